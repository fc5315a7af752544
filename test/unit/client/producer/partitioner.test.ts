import { describe, expect, it } from 'vitest';
import { draw, StickyPartitioner } from '../../../../client/producer/partitioner.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';

const even = (count: number) =>
  Array.from({ length: count }, (_, partition) => ({ partition, hasLeader: true, queuedBytes: 0 }));

describe('the choice without a key', () => {
  it('stays until a batch is complete and enough has gone there, or twice the batch size at most', () => {
    const sticky = new StickyPartitioner(new SeededRandom(3), 100_000);
    const first = sticky.choose(1_000, () => even(50));
    sticky.onBatchComplete(first);
    expect(sticky.choose(16_000, () => even(50))).toBe(first);
    sticky.onBatchComplete(first + 1);
    expect(sticky.choose(100, () => even(50))).toBe(first);
    sticky.onBatchComplete(first);
    const second = sticky.choose(150_000, () => even(50));
    expect(second).not.toBe(first);
    expect(sticky.choose(50_000, () => even(50))).toBe(second);
    expect(sticky.choose(1, () => even(50))).not.toBe(second);
  });

  it('is even over equal partitions, favours short queues, and leaves out partitions without a leader', () => {
    const random = new SeededRandom(5);
    const count = (loads: Parameters<typeof draw>[1]): number[] => {
      const counts = loads.map(() => 0);
      for (let turn = 0; turn < 3_000; turn++) counts[draw(random, loads)]!++;
      return counts;
    };
    for (const share of count(even(3))) expect(Math.abs(share - 1_000)).toBeLessThan(150);
    const busy = { partition: 1, hasLeader: true, queuedBytes: 99 * 1024 };
    const [idle, loaded] = count([even(1)[0]!, busy]);
    expect(idle! / loaded!).toBeGreaterThan(50);
    expect(
      count([
        { partition: 0, hasLeader: false, queuedBytes: 0 },
        { ...busy, queuedBytes: 0 },
      ]),
    ).toEqual([0, 3_000]);
    expect(count([{ partition: 0, hasLeader: false, queuedBytes: 0 }])).toEqual([3_000]);
  });
});
