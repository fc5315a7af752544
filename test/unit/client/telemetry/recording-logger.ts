import type { Logger } from '../../../../client/index.ts';

/** Keeps what is logged, as 'level sentence', and the fields. */
export class RecordingLogger implements Logger {
  readonly lines: string[] = [];
  readonly fields: object[] = [];

  debug(fields: object, message: string): void {
    this.#note('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#note('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#note('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#note('error', fields, message);
  }

  child(): Logger {
    return this;
  }

  #note(level: string, fields: object, message: string): void {
    this.lines.push(`${level} ${message}`);
    this.fields.push(fields);
  }
}
