/**
 * Keeps a cleaning from being felt: it works for a few milliseconds, then lets the event loop go round; and it reads and
 * writes no more bytes a second than allowed. One Pace is shared by all cleanings of a node.
 */
import type { Clock } from '../../../platform/clock.ts';
import type { Yield } from '../../../platform/yield.ts';

export interface PaceOptions {
  readonly clock: Clock;
  readonly yielding: Yield;
  /** How long to work at a stretch. */
  readonly sliceMs: number;
  /** Bytes read and written together; read again at each use. Infinity for no limit. */
  readonly bytesPerSecondMax: () => number;
}

/** Shorter waits are added up: a timer is no more exact. */
const waitMinMs = 2;

export class Pace {
  readonly #options: PaceOptions;
  #sliceEndMs = 0;
  /** When all bytes so far will have been paid for, on the monotonic clock. */
  #paidMs = 0;
  /** Ends the wait that is going on. */
  #wake: (() => void) | undefined;
  #waitedMs = 0;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** How long the limit on bytes has kept cleanings waiting, in all. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  get yielding(): Yield {
    return this.#options.yielding;
  }

  /** Whether the present stretch of work has been long enough. */
  get isDue(): boolean {
    return this.#options.clock.monotonicMs() >= this.#sliceEndMs;
  }

  /** Lets others run. */
  async pause(): Promise<void> {
    await this.#options.yielding.turn();
    this.#sliceEndMs = this.#options.clock.monotonicMs() + this.#options.sliceMs;
  }

  /** Lets others run, and waits until these bytes, which have been read or written, are paid for. */
  async charge(bytes: number): Promise<void> {
    const { clock, bytesPerSecondMax } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#paidMs = Math.max(this.#paidMs, nowMs) + (bytes * 1000) / bytesPerSecondMax();
    if (this.#paidMs - nowMs >= waitMinMs) {
      await this.#wait(this.#paidMs - nowMs);
      this.#waitedMs += clock.monotonicMs() - nowMs;
    }
    await this.pause();
  }

  /** Ends the present wait at once: the cleaning has been called off. */
  wake(): void {
    this.#wake?.();
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(delayMs, () => this.#wake?.());
      this.#wake = () => {
        timer.cancel();
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
