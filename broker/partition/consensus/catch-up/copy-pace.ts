/**
 * Keeps copies from being felt. All copies of a node share it: so many bytes a second in all; and where an answer takes long, the other
 * node or this one's disk is busy, and the copy rests as long as it has worked.
 */
import type { Clock } from '../../../../platform/clock.ts';

export interface CopyPaceOptions {
  readonly clock: Clock;
  /** Read again at each use; Infinity for no limit. */
  readonly bytesPerSecondMax: () => number;
}

/** A piece of a file that takes longer than this to come and be written says that somebody is busy. */
const busyMs = 50;
/** Waits that are shorter are added up: a timer is no more exact. */
const waitMinMs = 2;
const restMsMax = 2_000;

export class CopyPace {
  readonly #options: CopyPaceOptions;
  /** When all bytes so far will have been paid for, on the monotonic clock. */
  #paidMs = 0;
  #chargedBytes = 0;

  constructor(options: CopyPaceOptions) {
    this.#options = options;
  }

  /** Bytes of all pieces so far. */
  get chargedBytes(): number {
    return this.#chargedBytes;
  }

  /**
   * Resolves when the next piece may be asked for: these bytes took `tookMs`. Where they are `heldBack` by the one who sends them, that says
   * nothing of who is busy.
   */
  async charge(sizeBytes: number, tookMs: number, heldBack = false): Promise<void> {
    const { clock, bytesPerSecondMax } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#chargedBytes += sizeBytes;
    this.#paidMs = Math.max(this.#paidMs, nowMs - tookMs) + (sizeBytes * 1000) / bytesPerSecondMax();
    const restMs = tookMs > busyMs && !heldBack ? Math.min(tookMs, restMsMax) : 0;
    const waitMs = Math.max(this.#paidMs - nowMs, restMs);
    if (waitMs >= waitMinMs) await this.wait(waitMs);
  }

  wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(delayMs, resolve);
    });
  }
}
