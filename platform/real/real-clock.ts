import { performance } from 'node:perf_hooks';
import type { Clock, Timer } from '../clock.ts';
import { TimerQueue } from '../timer-queue.ts';

/** The longest delay that setTimeout takes. */
const armedMsMax = 2 ** 31 - 1;

/** How many due timers get their turn before sockets and files get theirs. */
const dueAtOnceMax = 256;

/**
 * The machine's time. One setTimeout is armed for the earliest deadline: Node's own timers keep no order between
 * different delays, and are dear to cancel by the hundred thousand. Each action runs in a macrotask of its own.
 */
export class RealClock implements Clock {
  readonly #timers = new TimerQueue();
  #armed: NodeJS.Timeout | undefined;
  /** What #armed was armed for; Infinity while nothing is. */
  #armedForMs = Infinity;
  /** Immediates on their way, each of which runs one due timer. */
  #immediates = 0;

  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, action: () => void): Timer {
    const timer = this.#timers.add(performance.now() + Math.max(0, delayMs), action);
    if (timer.slot === 0) this.#arm();
    return { cancel: () => this.#cancel(timer) };
  }

  #cancel(timer: Parameters<TimerQueue['remove']>[0]): void {
    this.#timers.remove(timer);
    if (this.#timers.size === 0) this.#disarm();
  }

  #disarm(): void {
    clearTimeout(this.#armed);
    this.#armed = undefined;
    this.#armedForMs = Infinity;
  }

  /** Sees to it that something will wake for the earliest timer: too early is fine, too late is not. */
  #arm(): void {
    const earliest = this.#timers.earliest;
    if (earliest === undefined || this.#immediates > 0 || earliest.deadlineMs >= this.#armedForMs) return;
    const nowMs = performance.now();
    this.#disarm();
    if (earliest.deadlineMs <= nowMs) {
      this.#wake(nowMs);
      return;
    }
    this.#armedForMs = earliest.deadlineMs;
    const delayMs = Math.min(armedMsMax, Math.ceil(earliest.deadlineMs - nowMs));
    this.#armed = setTimeout(() => {
      this.#armed = undefined;
      this.#armedForMs = Infinity;
      this.#arm();
    }, delayMs);
  }

  #wake(nowMs: number): void {
    this.#immediates = this.#timers.countDue(nowMs, dueAtOnceMax);
    for (let count = 0; count < this.#immediates; count++) setImmediate(() => this.#runOne());
  }

  #runOne(): void {
    const due = this.#timers.takeDue(performance.now());
    this.#immediates--;
    try {
      due?.action();
    } finally {
      this.#arm();
    }
  }
}
