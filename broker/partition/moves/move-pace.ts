/**
 * Keeps moves of replicas between directories from being felt. All moves of a node share it: so many bytes a second in all; and where
 * the disks take long, somebody is busy, and the move rests as long as it has worked.
 */
import type { Clock } from '../../../platform/clock.ts';

export interface MovePaceOptions {
  readonly clock: Clock;
  /** Read again at each look; Infinity for no limit, 0 to stand still. */
  readonly bytesPerSecondMax: () => number;
}

/** A piece that takes longer than this to be read, written and synced says that a disk is busy. */
const busyMs = 100;
const restMsMax = 2_000;
/** How soon another rate, or the end of a move, is noticed. */
const lookMs = 100;
/** Waits that are shorter are added up. */
const waitMinMs = 2;

export class MovePace {
  readonly #options: MovePaceOptions;
  /** Of all pieces so far, what the rate has not yet paid for at `#paidAtMs`. */
  #owedBytes = 0;
  #paidAtMs: number;

  constructor(options: MovePaceOptions) {
    this.#options = options;
    this.#paidAtMs = options.clock.monotonicMs();
  }

  /** Resolves when the next piece may be taken, these bytes having taken `tookMs`, or when the move is not wanted any more. */
  async charge(sizeBytes: number, tookMs: number, isWanted: () => boolean): Promise<void> {
    this.#pay();
    this.#owedBytes += sizeBytes;
    if (tookMs > busyMs) await this.#wait(Math.min(tookMs, restMsMax));
    for (let waitMs = this.#waitMs(); waitMs >= waitMinMs && isWanted(); waitMs = this.#waitMs()) {
      await this.#wait(Math.min(waitMs, lookMs));
    }
  }

  #waitMs(): number {
    this.#pay();
    return this.#owedBytes === 0 ? 0 : (this.#owedBytes * 1000) / this.#options.bytesPerSecondMax();
  }

  #pay(): void {
    const { clock, bytesPerSecondMax } = this.#options;
    const nowMs = clock.monotonicMs();
    const rate = bytesPerSecondMax();
    const paidBytes = rate === Infinity ? Infinity : (rate * (nowMs - this.#paidAtMs)) / 1000;
    this.#owedBytes = Math.max(0, this.#owedBytes - paidBytes);
    this.#paidAtMs = nowMs;
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(delayMs, resolve);
    });
  }
}
