import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { appendValues, batchOf, flushed, openLog, startTerm } from './log-harness.ts';

interface Kept {
  readonly offset: number;
  readonly timestamp: number;
  readonly leaderEpoch: number;
}

describe('records by timestamp', () => {
  it('are found to the record, as a walk over all records finds them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 5 }), {
          maxLength: 40,
        }),
        fc.integer({ min: -1, max: 42 }),
        fc.nat(),
        async (batches, wanted, cut) => {
          const { log } = await openLog({
            disk: new MemoryDisk(),
            config: { segmentBytes: 600, segmentMs: 30, indexIntervalBytes: 150 },
          });
          const records: Kept[] = [];
          startTerm(log, 1);
          const borders = [0];
          for (const timestamps of batches) {
            if (timestamps.length === 5) startTerm(log, log.lastTerm + 1);
            const { baseOffset } = log.append(
              batchOf({ values: timestamps.map(() => 'v'), timestamps }),
              log.lastTerm,
            );
            timestamps.forEach((timestamp, place) => {
              records.push({ offset: baseOffset + place, timestamp, leaderEpoch: log.lastTerm });
            });
            borders.push(log.logEndOffset);
          }
          await flushed(log);
          const endOffset = borders[cut % borders.length]!;
          const visible = records.slice(0, endOffset);
          expect(await log.offsetForTimestamp(wanted, endOffset)).toEqual(
            visible.find(({ timestamp }) => timestamp >= wanted),
          );
          const largest = Math.max(...visible.map(({ timestamp }) => timestamp));
          expect(await log.maxTimestamp(endOffset)).toEqual(
            visible.find(({ timestamp }) => timestamp === largest),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  it('are none in a log without any', async () => {
    const { log } = await openLog({ disk: new MemoryDisk() });
    startTerm(log, 1);
    expect(await log.offsetForTimestamp(0, 0)).toBeUndefined();
    expect(await log.maxTimestamp(0)).toBeUndefined();
  });
});

describe('epochs', () => {
  it('end where the next one begins, as Kafka answers', async () => {
    const { log } = await openLog({ disk: new MemoryDisk() });
    expect(log.endOffsetForEpoch(0)).toBeUndefined();
    startTerm(log, 2);
    appendValues(log, ['a', 'b']);
    startTerm(log, 3);
    startTerm(log, 6);
    appendValues(log, ['c']);
    expect([1, 2, 3, 4, 5, 6, 7].map((epoch) => log.endOffsetForEpoch(epoch))).toEqual([
      { epoch: 1, endOffset: 0 },
      { epoch: 2, endOffset: 2 },
      { epoch: 3, endOffset: 2 },
      { epoch: 3, endOffset: 2 },
      { epoch: 3, endOffset: 2 },
      { epoch: 6, endOffset: 3 },
      undefined,
    ]);
  });
});

describe('scanHeaders', () => {
  it('visits every batch from the one that holds the offset on, without those of Raft', async () => {
    const { log } = await openLog({ disk: new MemoryDisk(), config: { segmentBytes: 300 } });
    startTerm(log, 1);
    for (let count = 0; count < 10; count++) {
      appendValues(log, ['a', 'b', 'c']);
      if (count % 3 === 0) startTerm(log, log.lastTerm + 1);
    }
    for (const from of [0, 1, 3, 17, 29]) {
      const seen: [number, number][] = [];
      await log.scanHeaders(from, ({ baseOffset, lastOffset }) => seen.push([baseOffset, lastOffset]));
      const first = Math.floor(from / 3);
      expect(seen).toEqual(
        Array.from({ length: 10 - first }, (_, place) => [3 * (first + place), 3 * (first + place) + 2]),
      );
    }
  });
});
