/** Waits for something that the cluster does by itself, and says how far it is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { KafkaError } from '../../client/index.ts';
import type { CommandContext } from '../command-context.ts';

export interface Watch<T> {
  /** Asks the cluster once. */
  readonly look: () => Promise<T>;
  readonly isDone: (seen: T) => boolean;
  /** How far it is, in a few words. */
  readonly describe: (seen: T) => string;
  /** What becomes of it when nobody watches any more: a sentence for who presses Ctrl-C. */
  readonly withoutWatcher: string;
}

const pauseMs = 300;
/** Between two sentences for who reads a log instead of a terminal. */
const noteMs = 5_000;
/** Looks in a row that may fail, as brokers come and go. */
const failuresMax = 5;

/** Resolves with what was seen last. Rejects with an abort when the command is interrupted. */
export async function watch<T>(
  { look, isDone, describe, withoutWatcher }: Watch<T>,
  context: CommandContext,
): Promise<T> {
  const line = new ProgressLine(context);
  let failures = 0;
  try {
    for (;;) {
      try {
        const seen = await look();
        if (isDone(seen)) return seen;
        line.show(describe(seen));
        failures = 0;
      } catch (error) {
        failures++;
        if (!(error instanceof KafkaError) || !error.retriable || failures === failuresMax) throw error;
      }
      await sleep(pauseMs, undefined, { signal: context.interruption.signal });
    }
  } catch (error) {
    line.end();
    if (context.interruption.signal.aborted) context.output.note(withoutWatcher);
    throw error;
  } finally {
    line.end();
  }
}

/** One line that changes on a terminal; elsewhere a line now and then. */
class ProgressLine {
  readonly #context: CommandContext;
  #shown = '';
  #notedMs = -Infinity;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  show(text: string): void {
    if (text === this.#shown) return;
    if (this.#context.output.showsProgress) {
      process.stderr.write(`\r\u001b[K${text}`);
      this.#shown = text;
      return;
    }
    const nowMs = performance.now();
    if (nowMs - this.#notedMs < noteMs) return;
    this.#notedMs = nowMs;
    this.#shown = text;
    this.#context.output.note(text);
  }

  /** Clears the line. */
  end(): void {
    if (this.#shown !== '' && this.#context.output.showsProgress) process.stderr.write('\r\u001b[K');
    this.#shown = '';
  }
}
