import { describe, expect, it } from 'vitest';
import type { Components } from '../../../../client/components.ts';
import { namedTwice, unlessMoved } from '../../../../client/cluster/patience.ts';
import { KafkaError } from '../../../../client/errors.ts';
import { resolveSettings } from '../../../../client/settings.ts';
import { silentLogger } from '../../../../client/telemetry/logger.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryNetwork } from '../../../../platform/memory-network.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';

/** Waits for an answer that comes when the test says so; `looks` has the times at which somebody looked. */
function waiting(hasMoved: (look: number) => Promise<boolean>) {
  const clock = new ManualClock();
  const components: Components = {
    clock,
    network: new MemoryNetwork({ clock, latencyMs: () => 1 }),
    random: new SeededRandom(3),
    logger: silentLogger,
    settings: resolveSettings({ brokers: 'broker' }),
  };
  const answer = Promise.withResolvers<string>();
  const looks: number[] = [];
  const outcome = unlessMoved(components, answer.promise, {
    peer: 'broker 1',
    hasMoved: () => {
      looks.push(clock.monotonicMs());
      return hasMoved(looks.length);
    },
  });
  outcome.catch(() => undefined);
  return { clock, answer, looks, outcome };
}

const no = (): Promise<boolean> => Promise.resolve(false);

describe('waiting for an answer unless another broker has the place', () => {
  it('looks at nothing where the answer comes within a second', async () => {
    const { clock, answer, looks, outcome } = waiting(no);
    await clock.advanceAsync(990);
    answer.resolve('yes');
    await expect(outcome).resolves.toBe('yes');
    await clock.advanceAsync(10_000);
    expect(looks).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('looks about once in a second, and takes the answer however late it is', async () => {
    const { clock, answer, looks, outcome } = waiting(no);
    await clock.advanceAsync(60_000);
    expect(looks[0]).toBe(1_000);
    expect(looks.length).toBeGreaterThan(45);
    expect(looks.length).toBeLessThan(80);
    answer.resolve('at last');
    await expect(outcome).resolves.toBe('at last');
    expect(clock.pendingTimers).toBe(0);
  });

  it('ends with an error that may be tried again, when a look says so', async () => {
    const { clock, looks, outcome } = waiting((look) => Promise.resolve(look === 3));
    await clock.advanceAsync(1_500);
    await expect(outcome).rejects.toMatchObject({ code: 'TIMED_OUT', retriable: true });
    await clock.advanceAsync(10_000);
    expect(looks.length).toBe(3);
    expect(clock.pendingTimers).toBe(0);
  });

  it('goes on after looks that fail, and passes the error of the one that was asked on', async () => {
    const { clock, answer, looks, outcome } = waiting(() => Promise.reject(new Error('nobody is there')));
    await clock.advanceAsync(5_000);
    expect(looks.length).toBeGreaterThan(4);
    const error = new KafkaError('CONNECTION_FAILED', 'It is gone.');
    answer.reject(error);
    await expect(outcome).rejects.toBe(error);
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not begin a second look while one hangs', async () => {
    const { clock, answer, looks, outcome } = waiting(() => new Promise(() => {}));
    await clock.advanceAsync(30_000);
    expect(looks.length).toBe(1);
    answer.resolve('yes');
    await expect(outcome).resolves.toBe('yes');
  });
});

describe('a place that is told without an epoch', () => {
  const told = (...answers: number[]): Promise<boolean> => {
    let next = 0;
    return namedTwice(1, () => Promise.resolve(answers[next++]!))();
  };

  it('has moved where two name the same other broker', async () => {
    expect(await told(2, 2)).toBe(true);
    expect(await told(2, 1)).toBe(false);
    expect(await told(2, 3)).toBe(false);
    expect(await told(1)).toBe(false);
  });
});
