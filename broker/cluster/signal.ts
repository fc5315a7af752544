/** Wakes those who wait for something to have happened; who wakes looks again at what it waits for. */
import type { Clock } from '../../platform/clock.ts';

export class Signal {
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  raise(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves when it is raised the next time, or after so long. */
  whenRaised(timeoutMs?: number): Promise<void> {
    return new Promise((resolve) => {
      if (timeoutMs === undefined) {
        this.#waiting.push(resolve);
        return;
      }
      const wake = (): void => {
        timer.cancel();
        resolve();
      };
      const timer = this.#clock.after(timeoutMs, () => {
        this.#waiting = this.#waiting.filter((other) => other !== wake);
        resolve();
      });
      this.#waiting.push(wake);
    });
  }
}

/** As the promise, or undefined after so long. */
export function bounded<Result>(
  clock: Clock,
  promise: Promise<Result>,
  timeoutMs: number,
): Promise<Result | undefined> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () => resolve(undefined));
    promise.then(
      (result) => {
        timer.cancel();
        resolve(result);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}
