/**
 * The clocks of one simulated machine: its monotonic clock runs faster or slower than true time, and its wall clock jumps. Each
 * life of the process there has a view of its own, whose timers end with it.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import type { SimulatedClock } from '../simulated-clock.ts';

export class MachineClock {
  readonly #trueTime: SimulatedClock;
  /** Milliseconds of this clock for each true one. */
  #rate = 1;
  /** The moment at which the rate changed last, by true time and by this clock. */
  #trueMs = 0;
  #ownMs: number;
  #wallOffsetMs = 0;

  /** `startMs` is what the monotonic clock shows at first: on every machine something else. */
  constructor(trueTime: SimulatedClock, startMs: number) {
    this.#trueTime = trueTime;
    this.#ownMs = startMs;
  }

  get rate(): number {
    return this.#rate;
  }

  /** Never goes back by that; timers that are set keep the moment at which they were to fire. */
  runAt(rate: number): void {
    this.#ownMs = this.monotonicMs();
    this.#trueMs = this.#trueTime.monotonicMs();
    this.#rate = rate;
  }

  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  monotonicMs(): number {
    return this.#ownMs + (this.#trueTime.monotonicMs() - this.#trueMs) * this.#rate;
  }

  wallMs(): number {
    return this.#trueTime.wallMs() + this.#wallOffsetMs;
  }

  after(delayMs: number, action: () => void): Timer {
    return this.#trueTime.after(delayMs / this.#rate, action);
  }

  life(): ProcessClock {
    return new ProcessClock(this);
  }
}

/** As one process sees it. */
export class ProcessClock implements Clock {
  readonly #machine: MachineClock;
  #hasEnded = false;

  constructor(machine: MachineClock) {
    this.#machine = machine;
  }

  monotonicMs(): number {
    return this.#machine.monotonicMs();
  }

  wallMs(): number {
    return this.#machine.wallMs();
  }

  after(delayMs: number, action: () => void): Timer {
    return this.#machine.after(delayMs, () => {
      if (!this.#hasEnded) action();
    });
  }

  /** The process is gone: none of its timers fires any more. */
  end(): void {
    this.#hasEnded = true;
  }
}
