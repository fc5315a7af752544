/** Ways to wait: for time, for a change, for a promise, each ended early by an AbortSignal or by closing. */
import type { Clock } from '../platform/clock.ts';
import type { Random } from '../platform/random.ts';
import { abortedError } from './errors.ts';

/** Resolves after `delayMs`; rejects with 'ABORTED' when the signal fires before. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortedError(signal, 'wait'));
      return;
    }
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    function onAbort(): void {
      timer.cancel();
      reject(abortedError(signal!, 'wait'));
    }
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** The promise's outcome, or 'ABORTED' when the signal fires first; the work behind the promise goes on. */
export function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  doing: string,
): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      // The promise is still watched: its rejection must not go unhandled.
      promise.catch(() => undefined);
      reject(abortedError(signal, doing));
      return;
    }
    const onAbort = (): void => reject(abortedError(signal, doing));
    signal.addEventListener('abort', onAbort, { once: true });
    const forget = (): void => signal.removeEventListener('abort', onAbort);
    promise.then(resolve, reject).finally(forget).catch(reject);
  });
}

/** The pause before try number `attempt` (from 1): doubled each time up to the longest, with a jitter of a fifth either way. */
export function backoffMs(random: Random, attempt: number, firstMs: number, maxMs: number): number {
  const plainMs = Math.min(maxMs, firstMs * 2 ** Math.min(30, Math.max(0, attempt - 1)));
  return plainMs * (0.8 + random.below(401) / 1000);
}

/** Something to wait for that happens again and again. A notification wakes all that wait, and nobody who comes later. */
export class Bell {
  readonly #waiters = new Set<() => void>();

  /** How many wait. */
  get waiting(): number {
    return this.#waiters.size;
  }

  ring(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  next(): Promise<void> {
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  /** Resolves at the next ring, or after `limitMs`, whichever comes first. */
  nextWithin(clock: Clock, limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        resolve();
      };
      const timer = clock.after(limitMs, () => {
        this.#waiters.delete(wake);
        resolve();
      });
      this.#waiters.add(wake);
    });
  }
}

export interface TimeLimit {
  readonly signal: AbortSignal;
  cancel(): void;
}

/** Its signal fires after `limitMs`, unless it is cancelled before. */
export function timeLimit(clock: Clock, limitMs: number): TimeLimit {
  const controller = new AbortController();
  const timer = clock.after(Math.max(0, limitMs), () => controller.abort());
  return { signal: controller.signal, cancel: () => timer.cancel() };
}
