import type { Clock, Timer } from './clock.ts';
import { TimerQueue } from './timer-queue.ts';

/**
 * A clock that stands still until it is told to move: for tests and for simulation. Time moves from deadline to
 * deadline, so that a timer sees exactly its own deadline as the present.
 */
export class ManualClock implements Clock {
  readonly #timers = new TimerQueue();
  #nowMs = 0;
  #wallOffsetMs: number;

  /** `wallMs`: whole milliseconds since the epoch at the start; 2024-01-01 unless told. */
  constructor(wallMs = 1_704_067_200_000) {
    this.#wallOffsetMs = wallMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return Math.floor(this.#wallOffsetMs + this.#nowMs);
  }

  after(delayMs: number, action: () => void): Timer {
    const timer = this.#timers.add(this.#nowMs + Math.max(0, delayMs), action);
    return { cancel: () => this.#timers.remove(timer) };
  }

  /** Timers that have neither fired nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** When the next timer is due, on the monotonic scale; undefined where there is none. */
  get nextDeadlineMs(): number | undefined {
    return this.#timers.earliest?.deadlineMs;
  }

  /** Lets wall time jump by `byMs`, monotonic time staying as it is. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Moves on by `byMs`, running what falls due on the way, all in this call. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    while (this.#runNext(untilMs)) continue;
    this.#nowMs = untilMs;
  }

  /** As `advance`, but returns to a fresh macrotask before, between and after the timers, so that promises go on. */
  async advanceAsync(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    await macrotask();
    while (this.#runNext(untilMs)) await macrotask();
    this.#nowMs = untilMs;
    await macrotask();
  }

  /** Fires timers, one to a macrotask, until `isDone` holds; false where no timer is left or `withinMs` has passed before. */
  async runUntil(isDone: () => boolean, withinMs: number): Promise<boolean> {
    const untilMs = this.#nowMs + withinMs;
    await macrotask();
    while (!isDone()) {
      if (!this.#runNext(untilMs)) return false;
      await macrotask();
    }
    return true;
  }

  #runNext(untilMs: number): boolean {
    const timer = this.#timers.takeDue(untilMs);
    if (timer === undefined) return false;
    this.#nowMs = Math.max(this.#nowMs, timer.deadlineMs);
    timer.action();
    return true;
  }
}

function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
