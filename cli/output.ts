/**
 * What commands print: data on stdout, everything said about it on stderr. `-o json` makes data and errors JSON; text is
 * for people. One Output belongs to one command.
 */
import { isUtf8 } from 'node:buffer';
import { styleText } from 'node:util';
import type { DescribedError } from './cli-error.ts';
import { renderTable, type Column } from './table.ts';

export type OutputFormat = 'table' | 'json';

export interface Streams {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

/** Text is written to stdout in pieces of this size. */
const pieceLength = 64 * 1024;

export class Output {
  readonly json: boolean;
  readonly #streams: Streams;
  readonly #quiet: boolean;
  #waiting = '';

  constructor(streams: Streams, options: { format: OutputFormat; quiet: boolean }) {
    this.#streams = streams;
    this.json = options.format === 'json';
    this.#quiet = options.quiet;
  }

  /** Whether somebody watches stderr and a bar that moves makes sense. */
  get showsProgress(): boolean {
    return this.#streams.stderr.isTTY && !this.#quiet && !this.json;
  }

  /** The command's result: `value` as one JSON document, or what `text` makes of it for people. */
  result(value: unknown, text: () => string): void {
    const shown = this.json ? JSON.stringify(value) : text();
    if (shown !== '') this.write(`${shown}\n`);
  }

  /** A list as the command's result; JSON has `{ [name]: [...] }`, so that fields can join it later. */
  list<Row>(name: string, rows: readonly Row[], columns: readonly Column<Row>[]): void {
    this.result({ [name]: rows }, () => renderTable(columns, rows));
  }

  /** Data for stdout, gathered into pieces; `flush` sends the rest. */
  write(text: string): void {
    this.#waiting += text;
    if (this.#waiting.length >= pieceLength) this.#send();
  }

  /** Bytes of a record for stdout, as they are. */
  writeContent(bytes: Buffer): void {
    if (isUtf8(bytes)) {
      this.write(bytes.toString('utf8'));
      return;
    }
    this.#send();
    this.#streams.stdout.write(bytes);
  }

  /** Resolves when stdout has taken everything: the reader of a pipe sets the pace. */
  async flush(): Promise<void> {
    this.#send();
    const { stdout } = this.#streams;
    if (stdout.writableLength === 0) return;
    await new Promise<void>((resolve) => stdout.write('', () => resolve()));
  }

  /** A sentence on stderr about what happens; none with --quiet or for machines. */
  note(text: string): void {
    if (!this.#quiet && !this.json) this.#streams.stderr.write(`${text}\n`);
  }

  /** A sentence on stderr that people should see even with --quiet. */
  warn(text: string): void {
    const line = this.json
      ? JSON.stringify({ warning: text })
      : `${this.#style('yellow', 'warning:')} ${text}`;
    this.#streams.stderr.write(`${line}\n`);
  }

  error({ code, message, retriable }: DescribedError): void {
    const line = this.json
      ? JSON.stringify({ error: { code, message, retriable } })
      : `${this.#style('red', 'error:')} ${message}`;
    this.#streams.stderr.write(`${line}\n`);
  }

  #send(): void {
    if (this.#waiting === '') return;
    this.#streams.stdout.write(this.#waiting);
    this.#waiting = '';
  }

  /** In colour on a terminal, unless NO_COLOR says otherwise. */
  #style(color: 'red' | 'yellow', text: string): string {
    return styleText(color, text, { stream: this.#streams.stderr });
  }
}
