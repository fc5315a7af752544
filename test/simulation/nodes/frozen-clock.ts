/**
 * The clock of a process that may be frozen, as by SIGSTOP or a virtual machine that is moved: time goes on, and the process does nothing.
 * All that would have happened to it waits, and happens when it goes on: first its timers, as event loops do, so that it acts on how late it
 * is before it reads what has arrived meanwhile.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import type { ProcessClock } from '../cluster/machine-clock.ts';

export class FrozenClock implements Clock {
  readonly #clock: ProcessClock;
  #isFrozen = false;
  #hasEnded = false;
  #timers: (() => void)[] = [];
  #arrivals: (() => void)[] = [];

  constructor(clock: ProcessClock) {
    this.#clock = clock;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  after(delayMs: number, action: () => void): Timer {
    let isCancelled = false;
    const fire = (): void => {
      if (isCancelled || this.#hasEnded) return;
      if (!this.#isFrozen) return action();
      (delayMs > 0 ? this.#timers : this.#arrivals).push(fire);
    };
    const timer = this.#clock.after(delayMs, fire);
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** What comes from the disk or the network, at once where the process runs; never where it has ended. */
  arrive(action: () => void): void {
    if (this.#hasEnded) return;
    if (this.#isFrozen) this.#arrivals.push(() => this.arrive(action));
    else action();
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  /** Returns how much has waited. */
  thaw(): number {
    this.#isFrozen = false;
    const waiting = [...this.#timers.splice(0), ...this.#arrivals.splice(0)];
    for (const action of waiting) this.#clock.after(0, action);
    return waiting.length;
  }

  /** The process is gone, frozen or not: nothing happens to it any more. */
  end(): void {
    this.#hasEnded = true;
    this.#clock.end();
  }
}
