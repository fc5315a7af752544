import { describe, expect, it } from 'vitest';
import { firstAnswer } from '../../../../client/cluster/first-answer.ts';
import { KafkaError } from '../../../../client/errors.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';

const allFailed = (errors: readonly KafkaError[]): KafkaError =>
  new KafkaError('CONNECTION_FAILED', errors.map(({ message }) => message).join(' '));

/** Asks four; what each does is called in the test's own time. */
function asked() {
  const clock = new ManualClock();
  const begun: number[] = [];
  const answers: PromiseWithResolvers<string>[] = [0, 1, 2, 3].map(() => Promise.withResolvers<string>());
  const attempts = answers.map(({ promise }, index) => () => {
    begun.push(index);
    return promise;
  });
  const outcome = firstAnswer(clock, attempts, { patienceMs: 1_000, allFailed });
  outcome.catch(() => undefined);
  const fail = (index: number, code: 'TIMED_OUT' | 'CLOSED') =>
    answers[index]!.reject(new KafkaError(code, `${index} failed.`));
  return { clock, begun, answers, outcome, fail };
}

describe('the first answer', () => {
  it('of one that answers in time is that, and nobody else is asked', async () => {
    const { clock, begun, answers, outcome } = asked();
    await clock.advanceAsync(900);
    answers[0]!.resolve('yes');
    await expect(outcome).resolves.toBe('yes');
    await clock.advanceAsync(10_000);
    expect(begun).toEqual([0]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('comes from the next one where one says nothing, or from one that was asked before', async () => {
    const { clock, begun, answers, outcome } = asked();
    await clock.advanceAsync(2_500);
    expect(begun).toEqual([0, 1, 2]);
    answers[1]!.resolve('late');
    await expect(outcome).resolves.toBe('late');
    await clock.advanceAsync(10_000);
    expect(begun).toEqual([0, 1, 2]);
  });

  it('does not wait where one has failed', async () => {
    const { clock, begun, answers, outcome, fail } = asked();
    fail(0, 'TIMED_OUT');
    await clock.advanceAsync(0);
    expect(begun).toEqual([0, 1]);
    await clock.advanceAsync(999);
    expect(begun).toEqual([0, 1]);
    answers[1]!.resolve('yes');
    await expect(outcome).resolves.toBe('yes');
  });

  it('is an error when all have failed, or at once when one says that asking is of no use', async () => {
    const all = asked();
    await all.clock.advanceAsync(5_000);
    for (const index of [3, 1, 0]) all.fail(index, 'TIMED_OUT');
    await all.clock.advanceAsync(100_000);
    expect(all.clock.pendingTimers).toBe(0);
    all.fail(2, 'TIMED_OUT');
    await expect(all.outcome).rejects.toMatchObject({ message: '3 failed. 1 failed. 0 failed. 2 failed.' });
    const closed = asked();
    closed.fail(0, 'CLOSED');
    await expect(closed.outcome).rejects.toMatchObject({ code: 'CLOSED' });
    await closed.clock.advanceAsync(10_000);
    expect(closed.begun).toEqual([0]);
  });
});
