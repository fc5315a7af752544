/**
 * What ends a command before its work is done: Ctrl-C, SIGTERM, or a reader of stdout that has left. Commands get an
 * AbortSignal and stop in order; who asks twice is not kept waiting.
 */
import { ExitCode } from './exit-codes.ts';

export type InterruptionReason = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'closed-output';

/** With stdout gone, nothing is left to do but to close in order, and not for long. */
const closingLimitMs = 3_000;

export class Interruption {
  readonly #controller = new AbortController();
  #reason: InterruptionReason | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get reason(): InterruptionReason | undefined {
    return this.#reason;
  }

  /** Listens for the rest of the process's life; called once, by main. */
  listen(target: NodeJS.Process): void {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      target.on(signal, () => {
        if (this.#reason !== undefined) target.exit(ExitCode.interrupted);
        this.interrupt(signal);
      });
    }
    target.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (this.#reason !== undefined) return;
      this.interrupt('closed-output');
      setTimeout(() => target.exit(ExitCode.ok), closingLimitMs).unref();
    });
    // Nobody is left to be told: the exit code says it.
    target.stderr.on('error', () => undefined);
  }

  interrupt(reason: InterruptionReason): void {
    this.#reason ??= reason;
    this.#controller.abort(new Error(`interrupted by ${reason}`));
  }
}
