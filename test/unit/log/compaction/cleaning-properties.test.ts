/** Random logs, cleaned round after round, against a plain model: batch by batch, header by header. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { slotBytes } from '../../../../broker/log/compaction/key-map.ts';
import { LogCleaner } from '../../../../broker/log/compaction/log-cleaner.ts';
import { readCleanedHeader } from '../../../../broker/log/segments/cleaned-header.ts';
import { OrderCheck } from '../../../../broker/log/recovery/order-check.ts';
import { CountedYield } from '../../../../platform/counted-yield.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';
import { FakeLog } from './fake-log.ts';
import { modelClean, plainBatches } from './plain-model.ts';
import type { PlainBatch } from './plain-model.ts';
import { anyStep, LogScript } from './random-log.ts';
import type { Step } from './random-log.ts';

const deleteRetentionMs = 1000;

const hardCases = [
  'raft-only',
  'marker dropped',
  'marker with a horizon',
  'batch dropped',
  'batch emptied',
  'tombstones with a horizon',
  'tombstone dropped',
  'thinned none',
  'thinned gzip',
  'thinned snappy',
  'thinned lz4',
  'thinned zstd',
];

interface Node {
  readonly clock: ManualClock;
  readonly log: FakeLog;
  readonly script: LogScript;
  readonly cleaner: LogCleaner;
}

async function startNode(options: {
  mapKeys: number;
  chunkBytes?: number;
  segmentBytes: number;
}): Promise<Node> {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const log = await FakeLog.open(disk, {
    deleteRetentionMs,
    indexIntervalBytes: 100,
    segmentBytes: options.segmentBytes,
  });
  const cleaner = new LogCleaner({
    disk,
    clock,
    yielding: new CountedYield(),
    random: new SeededRandom(1),
    settings: () => ({
      dedupeBufferBytes: (options.mapKeys + 1) * slotBytes,
      loadFactor: 1,
      ioBufferBytes: options.chunkBytes ?? 4096,
      bytesPerSecondMax: Infinity,
    }),
  });
  return { clock, log, script: new LogScript(log), cleaner };
}

async function batchesOf(log: FakeLog, endOffset = Infinity): Promise<PlainBatch[]> {
  const all: PlainBatch[] = [];
  for (const segment of log.fullSegments()) {
    if (segment.endOffset <= endOffset) all.push(...plainBatches(await log.bytesOf(segment)));
  }
  return all;
}

/** The segments follow each other, their headers say what is in them, and their books fit their files. */
async function checkSegments(log: FakeLog): Promise<void> {
  const order = new OrderCheck({ writer: 'kappalog', table: log }, { offset: 0, index: 1, term: 0 });
  for (const segment of log.fullSegments()) {
    const buffer = await log.bytesOf(segment);
    expect(order.beginSegment(segment.baseOffset)).toBeUndefined();
    expect(segment.appendedBytes).toBe(buffer.length);
    if (segment.isCleaned) {
      const header = readCleanedHeader(buffer, 0)!;
      expect(header).toMatchObject({ baseOffset: segment.baseOffset, endOffset: segment.endOffset });
      expect(header.startIndex).toBe(order.nextIndex);
      expect(header.startTerm).toBe(log.termAt(header.startIndex - 1));
    }
    for (let at = 0; at < buffer.length;) {
      const sizeBytes = buffer.readInt32BE(at + 8) + 12;
      expect(order.take({ buffer, at, position: at, sizeBytes })).toBeUndefined();
      at += sizeBytes;
    }
    expect(order.endSegment()).toBeUndefined();
    expect(order.nextOffset).toBe(segment.endOffset);
  }
}

interface Round {
  readonly steps: readonly Step[];
  readonly activeProducers: readonly number[];
  readonly pauseMs: number;
}

const anyRound = fc.record<Round>({
  steps: fc.array(anyStep, { minLength: 1, maxLength: 25, size: 'large' }),
  activeProducers: fc.subarray([1, 2, 3, 4]),
  pauseMs: fc.constantFrom(1, 600, 1500),
});

/** Appends, rolls, cleans; what the log and the model say of what has been cleaned. */
async function playRound({ clock, log, script, cleaner }: Node, round: Round) {
  for (const step of round.steps) await script.take(step);
  await log.roll();
  const limits = {
    endOffset: script.lastStableOffset,
    lastOffsetsOfProducers: new Map(
      [...script.lastDataOffsets].filter(([producer]) => round.activeProducers.includes(producer)),
    ),
  };
  const startOffset = log.cleanedEndOffset;
  const endOffset = Math.max(
    startOffset,
    ...log
      .fullSegments()
      .flatMap((segment) => (segment.endOffset <= limits.endOffset ? [segment.endOffset] : [])),
  );
  const before = await batchesOf(log, endOffset);
  const cleaning = {
    startOffset,
    endOffset,
    nowMs: clock.wallMs(),
    deleteRetentionMs,
    aborted: log.aborted,
    limits,
  };
  const expected = endOffset > startOffset ? modelClean(before, cleaning) : before;
  const untouched = (await batchesOf(log)).slice(before.length);
  const outcome = await cleaner.cleanLog(log, limits);
  clock.advance(round.pauseMs);
  return { outcome, before: [...before, ...untouched], expected: [...expected, ...untouched], endOffset };
}

/** What has happened in all runs together, so that the test cannot pass by never meeting the hard cases. */
class Tally {
  readonly counts: Record<string, number> = {};

  add(before: readonly PlainBatch[], after: readonly PlainBatch[]): void {
    const left = new Map(after.map((batch) => [`${batch.baseOffset} ${batch.kind === 'raft-only'}`, batch]));
    for (const batch of before) {
      const now = left.get(`${batch.baseOffset} ${batch.kind === 'raft-only'}`);
      const isMarker = batch.kind === 'ABORT' || batch.kind === 'COMMIT';
      const hasTombstone = batch.records.some(({ value }) => value === undefined);
      if (batch.kind === 'raft-only') this.#count('raft-only');
      else if (now === undefined) this.#count(isMarker ? 'marker dropped' : 'batch dropped');
      else if (now.records.length === 0 && batch.records.length > 0)
        this.#count(isMarker ? 'marker emptied' : 'batch emptied');
      else if (isMarker && now.horizonMs !== batch.horizonMs) this.#count('marker with a horizon');
      else if (now.horizonMs !== batch.horizonMs) this.#count('tombstones with a horizon');
      else if (now.records.length < batch.records.length) this.#count(`thinned ${batch.compression}`);
      if (hasTombstone && batch.horizonMs !== undefined && now?.records.length !== batch.records.length)
        this.#count('tombstone dropped');
    }
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}

function visible(batches: readonly PlainBatch[], aborted: FakeLog['aborted']): string[] {
  return batches
    .filter(({ kind }) => kind === 'data')
    .filter(
      (batch) =>
        !aborted.some(
          ({ producerId, firstOffset, lastOffset }) =>
            batch.isTransactional &&
            producerId === batch.producerId &&
            firstOffset <= batch.lastOffset &&
            batch.lastOffset < lastOffset,
        ),
    )
    .flatMap(({ records }) => records.map(({ offset, key, value }) => `${offset} ${key} ${value}`));
}

describe('cleaning random logs', () => {
  it('leaves what the model says, batch by batch, over several rounds', async () => {
    const tally = new Tally();
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyRound, { minLength: 1, maxLength: 4, size: 'large' }),
        fc.constantFrom(100, 600, 100_000),
        async (rounds, segmentBytes) => {
          const node = await startNode({ mapKeys: 1000, segmentBytes });
          for (const round of rounds) {
            const { outcome, before, expected, endOffset } = await playRound(node, round);
            expect(outcome).not.toMatchObject({ kind: 'uncleanable' });
            seen.add(outcome.kind);
            expect(await batchesOf(node.log)).toEqual(expected);
            expect(node.log.cleanedEndOffset).toBe(endOffset);
            await checkSegments(node.log);
            tally.add(before, expected);
          }
          expect((await node.log.files()).filter((name) => name.endsWith('.cleaned'))).toEqual([]);
        },
      ),
      { numRuns: 150 },
    );
    for (const what of hardCases)
      expect([what, tally.counts[what] ?? 0]).toSatisfy(([, count]) => count >= 10);
    expect([...seen].sort()).toEqual(['cleaned', 'nothing-to-clean']);
  });

  it('leaves the same records with a map of one, two or three keys and the smallest buffers', async () => {
    let passesMax = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyRound, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 3 }),
        async (rounds, mapKeys) => {
          const node = await startNode({ mapKeys, chunkBytes: 64, segmentBytes: 600 });
          for (const round of rounds) {
            const { outcome, expected, endOffset } = await playRound(node, round);
            expect(visible(await batchesOf(node.log), node.log.aborted)).toEqual(
              visible(expected, node.log.aborted),
            );
            expect(node.log.cleanedEndOffset).toBe(endOffset);
            await checkSegments(node.log);
            passesMax = Math.max(passesMax, outcome.stats.passes);
          }
        },
      ),
      { numRuns: 80 },
    );
    expect(passesMax).toBeGreaterThan(5);
  });
});
