/**
 * The one clock of a simulated world. It stands still until `step` fires the next timer, so that time passes as fast as the
 * work takes, and a run is decided by its seed alone. Each life of a process has a view of its own: with the process its
 * timers end, as they would on a machine.
 */
import type { Clock, Timer } from '../../platform/clock.ts';
import { TimerQueue } from '../../platform/timer-queue.ts';

export class SimulatedClock implements Clock {
  readonly #timers = new TimerQueue();
  #nowMs = 0;
  #wallOffsetMs = 1_704_067_200_000;

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

  /** Lets wall time jump, forwards or back; monotonic time stays. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Moves to the next deadline and runs that one timer; false where there is none. */
  step(): boolean {
    const timer = this.#timers.takeDue(Infinity);
    if (timer === undefined) return false;
    this.#nowMs = Math.max(this.#nowMs, timer.deadlineMs);
    timer.action();
    return true;
  }

  /** The clock of one life of a process. */
  life(): LifeClock {
    return new LifeClock(this);
  }
}

export class LifeClock implements Clock {
  readonly #clock: SimulatedClock;
  #hasEnded = false;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  after(delayMs: number, action: () => void): Timer {
    return this.#clock.after(delayMs, () => {
      if (!this.#hasEnded) action();
    });
  }

  /** The process is gone: none of its timers fires any more. */
  end(): void {
    this.#hasEnded = true;
  }
}

/**
 * Returns when every promise that could go on has done so: Node runs the next-tick queue only when there is no microtask left.
 * A macrotask would do the same and asks the operating system for events each time.
 */
export function drainMicrotasks(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}
