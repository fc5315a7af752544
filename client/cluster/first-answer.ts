/** Asks one after the other until one answers, without waiting for ever for those that hang. */
import type { Clock, Timer } from '../../platform/clock.ts';
import { toKafkaError, type KafkaError } from '../errors.ts';

/**
 * The first success. The next attempt begins when one has failed, or when none has succeeded for `patienceMs`; earlier ones go on.
 * Rejects with the first error that is not retriable, or, when all have failed, with what `allFailed` makes of their errors.
 */
export function firstAnswer<T>(
  clock: Clock,
  attempts: readonly (() => Promise<T>)[],
  { patienceMs, allFailed }: { readonly patienceMs: number; readonly allFailed: AllFailed },
): Promise<T> {
  return new Promise((resolve, reject) => {
    const errors: KafkaError[] = [];
    let begun = 0;
    let isOver = false;
    let timer: Timer | undefined;
    const end = (finish: () => void): void => {
      isOver = true;
      timer?.cancel();
      finish();
    };
    const failed = (error: unknown): void => {
      if (isOver) return;
      const failure = toKafkaError(error, 'ask a broker');
      errors.push(failure);
      if (!failure.retriable) end(() => reject(failure));
      else if (errors.length === attempts.length) end(() => reject(allFailed(errors)));
      else next();
    };
    function next(): void {
      timer?.cancel();
      const attempt = attempts[begun];
      if (isOver || attempt === undefined) return;
      begun++;
      timer = clock.after(patienceMs, next);
      attempt().then((value) => {
        if (!isOver) end(() => resolve(value));
      }, failed);
    }
    if (attempts.length === 0) end(() => reject(allFailed(errors)));
    else next();
  });
}

export type AllFailed = (errors: readonly KafkaError[]) => KafkaError;
