import { expect, it } from 'vitest';
import { showPartitions } from '../../../../cli/group/describe.ts';
import { WatchedGroup } from '../../../../cli/group/lag.ts';

function partition(
  index: number,
  committed: number | null,
  end: number | null,
  lagSeconds: number | null = null,
) {
  const lag = committed === null || end === null ? null : end - committed;
  return {
    topic: 't',
    partition: index,
    committed,
    start: 0,
    end,
    lag,
    lagSeconds,
    memberId: null,
    clientId: null,
  };
}

it('looks at a group as a whole, and knows rates from the second look on', () => {
  const watched = new WatchedGroup();
  expect(watched.look([partition(0, 0, 100, 40), partition(1, 10, 10, 0)], 1_000)).toEqual({
    at: '1970-01-01T00:00:01.000Z',
    lag: 100,
    lagSeconds: 40,
    rates: null,
    trend: null,
    catchUpSeconds: null,
  });
  expect(watched.look([partition(0, 60, 120, 20), partition(1, 30, 30, 0)], 11_000)).toMatchObject({
    lag: 60,
    lagSeconds: 20,
    rates: { produced: 4, consumed: 8 },
    trend: 'shrinking',
    catchUpSeconds: 15,
  });
});

it('says that the whole is not known where a part is not', () => {
  const look = new WatchedGroup().look([partition(0, 0, 100, 1), partition(1, 3, null)], 0);
  expect([look.lag, look.lagSeconds]).toEqual([null, 1]);
});

it('shows partitions as ranges, by topic', () => {
  const of = (topic: string, ...partitions: number[]) =>
    partitions.map((each) => ({ topic, partition: each }));
  expect(showPartitions([...of('u', 1), ...of('t', 5, 0, 2, 1)])).toBe('t: 0-2,5; u: 1');
  expect(showPartitions([])).toBe('');
});
