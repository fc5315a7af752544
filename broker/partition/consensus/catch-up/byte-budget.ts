/**
 * So many bytes a second, for those who take turns: each says how many it will use and waits until all before it are paid for. Nothing
 * is saved up while nobody asks. The rate may change at any time; who waits already waits by the new one.
 */
import type { Clock } from '../../../../platform/clock.ts';

export class ByteBudget {
  readonly #clock: Clock;
  readonly #bytesPerSecondMax: () => number;
  /** Bytes that were asked for, and of these the ones that time has paid for. Invariant: paid <= taken. */
  #taken = 0;
  #paid = 0;
  #paidAtMs: number;

  /** The rate is read again at each use; Infinity for no limit. */
  constructor(clock: Clock, bytesPerSecondMax: () => number) {
    this.#clock = clock;
    this.#bytesPerSecondMax = bytesPerSecondMax;
    this.#paidAtMs = clock.monotonicMs();
  }

  get bytesPerSecondMax(): number {
    return this.#bytesPerSecondMax();
  }

  /** Asks for bytes; returns the turn to wait for (`waitMs`). */
  take(sizeBytes: number): number {
    this.#pay();
    const turn = this.#taken;
    this.#taken += sizeBytes;
    return turn;
  }

  /** What was asked for and not used; negative where it was more. */
  giveBack(sizeBytes: number): void {
    if (sizeBytes < 0) this.take(-sizeBytes);
    // What others wait for comes earlier by so much; turns stay as they were told.
    else this.#paid = Math.min(this.#taken, this.#paid + sizeBytes);
  }

  /** How long until this turn has come, at the present rate: 0 when it has, Infinity where nothing is allowed. */
  waitMs(turn: number): number {
    this.#pay();
    if (this.#paid >= turn) return 0;
    return ((turn - this.#paid) * 1000) / this.#bytesPerSecondMax();
  }

  #pay(): void {
    const nowMs = this.#clock.monotonicMs();
    const rate = this.#bytesPerSecondMax();
    const earned = Number.isFinite(rate) ? (rate * (nowMs - this.#paidAtMs)) / 1000 : Infinity;
    this.#paidAtMs = nowMs;
    this.#paid = Math.min(this.#taken, this.#paid + earned);
  }
}
