/** Syncs that may wait (`flush.ms`): one timer for all logs of a directory, set for the earliest. Called by the Syncer alone. */
import { assert } from '../../../platform/assert.ts';
import type { Clock, Timer } from '../../../platform/clock.ts';
import type { SyncTarget } from './sync-target.ts';

/** Deadlines closer together than this share a turn. */
const stepMs = 10;

export class DeferredSyncs {
  readonly #clock: Clock | undefined;
  readonly #request: (target: SyncTarget) => void;
  /** When each is due, on the monotonic clock. */
  readonly #dueMs = new Map<SyncTarget, number>();
  #timer: Timer | undefined;
  #timerMs = Infinity;

  constructor(clock: Clock | undefined, request: (target: SyncTarget) => void) {
    this.#clock = clock;
    this.#request = request;
  }

  /** One that waits already keeps its time. */
  add(target: SyncTarget, delayMs: number): void {
    assert(this.#clock !== undefined, 'syncs that wait need a clock');
    if (this.#dueMs.has(target)) return;
    const dueMs = this.#clock.monotonicMs() + delayMs;
    this.#dueMs.set(target, dueMs);
    if (dueMs < this.#timerMs) this.#setTimer(dueMs);
  }

  cancel(target: SyncTarget): void {
    if (this.#dueMs.size > 0) this.#dueMs.delete(target);
  }

  close(): void {
    this.#timer?.cancel();
    this.#dueMs.clear();
  }

  #setTimer(dueMs: number): void {
    assert(this.#clock !== undefined, 'syncs that wait need a clock');
    this.#timer?.cancel();
    this.#timerMs = dueMs;
    const delayMs = Math.max(stepMs, dueMs - this.#clock.monotonicMs());
    this.#timer = this.#clock.after(delayMs, () => this.#fire());
  }

  #fire(): void {
    this.#timer = undefined;
    this.#timerMs = Infinity;
    const nowMs = this.#clock?.monotonicMs() ?? 0;
    let nextMs = Infinity;
    for (const [target, dueMs] of this.#dueMs) {
      if (dueMs <= nowMs) this.#request(target);
      else nextMs = Math.min(nextMs, dueMs);
    }
    if (nextMs < Infinity && this.#dueMs.size > 0) this.#setTimer(nextMs);
  }
}
