import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  catchUpSeconds,
  PartitionProgress,
  trendOf,
  windowMs,
} from '../../../../broker/groups/lag/partition-progress.ts';

function progressOf(
  samples: readonly (readonly [atMs: number, committed: number, end: number])[],
): PartitionProgress {
  const progress = new PartitionProgress();
  for (const [atMs, committed, end] of samples) progress.note({ atMs, committed, end });
  return progress;
}

describe('the progress of a group in a partition', () => {
  it('is not known from one sample', () => {
    const progress = progressOf([[0, 5, 10]]);
    expect([progress.rates, progress.lags]).toEqual([undefined, undefined]);
  });

  it('is in records a second', () => {
    const progress = progressOf([
      [0, 0, 100],
      [10_000, 50, 120],
    ]);
    expect(progress.rates).toEqual({ produced: 2, consumed: 5 });
    expect(progress.lags).toEqual([100, 70]);
  });

  it('begins anew where offsets go back', () => {
    const progress = progressOf([
      [0, 0, 100],
      [10_000, 50, 120],
      [20_000, 10, 120],
    ]);
    expect(progress.rates).toBeUndefined();
    progress.note({ atMs: 30_000, committed: 20, end: 120 });
    expect(progress.rates).toEqual({ produced: 0, consumed: 1 });
  });

  it('is that of the last minutes, whatever went before', () => {
    const step = fc.record({
      forMs: fc.integer({ min: 1, max: 90_000 }),
      read: fc.nat(1000),
      written: fc.nat(1000),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (history) => {
        const progress = new PartitionProgress();
        const samples = [{ atMs: 0, committed: 0, end: 0 }];
        progress.note(samples[0]!);
        for (const { forMs, read, written } of history) {
          const last = samples.at(-1)!;
          const next = { atMs: last.atMs + forMs, committed: last.committed + read, end: last.end + written };
          samples.push(next);
          progress.note(next);
        }
        const last = samples.at(-1)!;
        const { rates } = progress;
        const within = samples.filter(({ atMs }) => last.atMs - atMs <= windowMs && atMs < last.atMs);
        if (within.length === 0) return rates === undefined;
        return within.some((first) => {
          const forMs = last.atMs - first.atMs;
          return (
            rates !== undefined &&
            Math.abs(rates.produced * forMs - 1000 * (last.end - first.end)) < 1e-3 &&
            Math.abs(rates.consumed * forMs - 1000 * (last.committed - first.committed)) < 1e-3
          );
        });
      }),
    );
  });

  it('spans minutes, however often it is looked at', () => {
    const progress = new PartitionProgress();
    for (let second = 0; second <= 1_000; second++)
      progress.note({ atMs: second * 1_000, committed: 0, end: second ** 2 });
    // From about 700 s on: the mean of 700 and 1000, twice.
    expect(progress.rates!.produced).toBeGreaterThan(1_700);
    expect(progress.rates!.produced).toBeLessThan(1_770);
  });
});

it.each([
  [0, 0, 'steady'],
  [100, 105, 'steady'],
  [100, 106, 'growing'],
  [100, 95, 'steady'],
  [100, 94, 'shrinking'],
  [0, 1, 'growing'],
] as const)('a lag that goes from %i to %i is %s', (before, now, trend) => {
  expect(trendOf([before, now])).toBe(trend);
});

it.each([
  [0, 5, 1, 0],
  [100, 1, 5, 25],
  [100, 5, 5, null],
  [100, 6, 5, null],
])(
  '%i records at %i produced and %i consumed a second are read in %s seconds',
  (lag, produced, consumed, seconds) => {
    expect(catchUpSeconds(lag, { produced, consumed })).toBe(seconds);
  },
);
