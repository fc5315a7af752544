import { describe, expect, it } from 'vitest';
import { cleanableRange, groupSegments } from '../../../../broker/log/compaction/cleanable-range.ts';
import type { CleanableLog, CleanerLimits } from '../../../../broker/log/compaction/cleanable-log.ts';
import { slotBytes } from '../../../../broker/log/compaction/key-map.ts';
import { LogCleaner } from '../../../../broker/log/compaction/log-cleaner.ts';
import type { CleanerSettings } from '../../../../broker/log/compaction/log-cleaner.ts';
import type { LogConfig } from '../../../../broker/log/log-types.ts';
import { Segment } from '../../../../broker/log/segments/segment.ts';
import { CountedYield } from '../../../../platform/counted-yield.ts';
import { DiskError } from '../../../../platform/disk.ts';
import type { DiskErrorCode } from '../../../../platform/disk.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import type { DiskOperation } from '../../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';
import { encodeBatch, encodeTransactionMarker } from '../../../../protocol/index.ts';
import { FakeLog } from './fake-log.ts';
import { plainBatches } from './plain-model.ts';

const hourMs = 3_600_000;

interface Setup {
  readonly config?: Partial<LogConfig>;
  readonly settings?: Partial<CleanerSettings>;
  readonly yielding?: CountedYield;
  readonly faults?: (operation: DiskOperation, path: string) => DiskErrorCode | undefined;
}

async function setUp({ config, settings, yielding, faults }: Setup = {}) {
  const disk = new MemoryDisk(faults === undefined ? {} : { faults });
  const clock = new ManualClock();
  const log = await FakeLog.open(disk, config);
  const cleaner = new LogCleaner({
    disk,
    clock,
    yielding: yielding ?? new CountedYield(),
    random: new SeededRandom(1),
    settings: () => ({
      dedupeBufferBytes: 1000 * slotBytes,
      loadFactor: 0.9,
      ioBufferBytes: 4096,
      bytesPerSecondMax: Infinity,
      ...settings,
    }),
  });
  return { disk, clock, log, cleaner };
}

/** A segment of one batch: `a=1` is a value, `a` a tombstone, `=1` a record without a key. */
async function segmentOf(log: FakeLog, records: string, timestamp = 1000): Promise<void> {
  const batch = encodeBatch(
    records.split(' ').map((text) => {
      const [key, value] = text.split('=');
      return {
        timestamp,
        key: key === '' ? null : Buffer.from(key!),
        value: value === undefined ? null : Buffer.from(value),
      };
    }),
  );
  log.append(batch);
  await log.roll();
}

function all(log: FakeLog): CleanerLimits {
  return { endOffset: log.logEndOffset, lastOffsetsOfProducers: new Map() };
}

async function recordsOf(log: FakeLog): Promise<string> {
  const texts: string[] = [];
  for (const segment of log.fullSegments()) {
    for (const { kind, records } of plainBatches(await log.bytesOf(segment))) {
      if (kind !== 'data') continue;
      for (const { offset, key = '', value } of records)
        texts.push(`${offset}:${key}${value === undefined ? '' : `=${value}`}`);
    }
  }
  return texts.join(' ');
}

describe('what is cleaned', () => {
  it('is whole segments below the limit, never the active one', async () => {
    const { log } = await setUp();
    await segmentOf(log, 'a=1 b=1');
    await segmentOf(log, 'a=2 b=2');
    await segmentOf(log, 'a=3');
    log.append(encodeBatch([{ timestamp: 1, key: Buffer.from('a'), value: null }]));
    const endOf = (endOffset: number): number =>
      cleanableRange(log, { ...all(log), endOffset }, 5000).endOffset;
    expect([1, 2, 3, 4, 5, 6].map(endOf)).toEqual([0, 2, 2, 4, 5, 5]);
  });

  it('leaves segments alone that are younger than min.compaction.lag.ms, and all after them', async () => {
    const { log } = await setUp({ config: { minCompactionLagMs: 1000 } });
    await segmentOf(log, 'a=1', 1000);
    await segmentOf(log, 'a=2', 3000);
    await segmentOf(log, 'a=3', 1000);
    const endAt = (nowMs: number): number => cleanableRange(log, all(log), nowMs).endOffset;
    expect([1999, 2000, 3999, 4000].map(endAt)).toEqual([0, 1, 1, 3]);
  });

  it('counts dirty bytes from the first segment that is not clean to its end', async () => {
    const { log } = await setUp();
    await segmentOf(log, 'a=1 b=1');
    await segmentOf(log, 'a=2 b=2');
    await segmentOf(log, 'a=3 b=3');
    await segmentOf(log, 'a=4 b=4');
    const [first, second] = log.fullSegments();
    log.cleanedEndOffset = 3;
    const range = cleanableRange(log, all(log), 5000);
    expect(range).toMatchObject({ startOffset: 3, endOffset: 8, cleanBytes: first!.appendedBytes });
    expect(range.dirtyBytes).toBe(3 * second!.appendedBytes);
    log.logStartOffset = 6;
    expect(cleanableRange(log, all(log), 5000).startOffset).toBe(6);
    log.cleanedEndOffset = 8;
    expect(cleanableRange(log, all(log), 5000)).toMatchObject({ dirtyBytes: 0, dirtyRatio: 0 });
  });

  it('is grouped into segments by log bytes, index bytes and relative offsets', () => {
    const segmentAt = (baseOffset: number, endOffset: number, sizeBytes: number): Segment => {
      const segment = new Segment('/data/t-0', baseOffset, 0);
      segment.endOffset = endOffset;
      segment.appendedBytes = sizeBytes;
      return segment;
    };
    const bases = (groups: Segment[][]): number[][] =>
      groups.map((group) => group.map(({ baseOffset }) => baseOffset));
    const five = [0, 10, 20, 30, 40].map((base) => segmentAt(base, base + 10, 400));
    const roomy = { segmentBytes: 10_000, segmentIndexBytes: 10_000, indexIntervalBytes: 100 };
    expect(bases(groupSegments(five, roomy))).toEqual([[0, 10, 20, 30, 40]]);
    expect(bases(groupSegments(five, { ...roomy, segmentBytes: 1000 }))).toEqual([[0, 10], [20, 30], [40]]);
    expect(bases(groupSegments(five, { ...roomy, segmentBytes: 100 }))).toEqual([
      [0],
      [10],
      [20],
      [30],
      [40],
    ]);
    // Twelve bytes for each of at most 13 entries of 1,200 bytes.
    expect(bases(groupSegments(five, { ...roomy, segmentIndexBytes: 13 * 12 }))).toEqual([
      [0, 10, 20],
      [30, 40],
    ]);
    const far = [segmentAt(0, 10, 1), segmentAt(10, 2 ** 31, 1), segmentAt(2 ** 31, 2 ** 31 + 1, 1)];
    expect(bases(groupSegments(far, roomy))).toEqual([[0, 10], [2 ** 31]]);
  });
});

describe('tombstones', () => {
  it('stay for delete.retention.ms from when they are first cleaned', async () => {
    const { log, cleaner, clock } = await setUp({ config: { deleteRetentionMs: hourMs } });
    await segmentOf(log, 'a=1 b=1 a');
    await segmentOf(log, 'c=1');
    await cleaner.cleanLog(log, all(log));
    expect(await recordsOf(log)).toBe('1:b=1 2:a 3:c=1');
    clock.advance(hourMs - 1);
    await segmentOf(log, 'c=2');
    await cleaner.cleanLog(log, all(log));
    expect(await recordsOf(log)).toBe('1:b=1 2:a 4:c=2');
    clock.advance(1);
    await segmentOf(log, 'c=3');
    await cleaner.cleanLog(log, all(log));
    expect(await recordsOf(log)).toBe('1:b=1 5:c=3');
  });

  it('that the map did not reach get no horizon yet', async () => {
    const { log, cleaner, clock } = await setUp({
      config: { deleteRetentionMs: hourMs, segmentBytes: 100_000 },
      settings: { dedupeBufferBytes: 2 * slotBytes, loadFactor: 1 },
    });
    await segmentOf(log, 'a=1 b=1');
    await segmentOf(log, 'c=1 b');
    const outcome = await cleaner.cleanLog(log, all(log));
    expect(outcome.stats.passes).toBeGreaterThan(1);
    const batches = plainBatches(await log.bytesOf(log.fullSegments()[0]!));
    expect(batches.map(({ horizonMs }) => horizonMs)).toEqual([
      undefined,
      undefined,
      clock.wallMs() + hourMs,
    ]);
  });

  it('with delete.retention.ms without limit never go', async () => {
    const { log, cleaner, clock } = await setUp({ config: { deleteRetentionMs: Number.MAX_SAFE_INTEGER } });
    await segmentOf(log, 'a=1 a');
    await cleaner.cleanLog(log, all(log));
    clock.advance(1000 * 365 * 24 * hourMs);
    await segmentOf(log, 'b=1');
    await cleaner.cleanLog(log, all(log));
    expect(await recordsOf(log)).toBe('1:a 2:b=1');
  });
});

describe('records and batches', () => {
  it('drops records without keys, and says how many', async () => {
    const { log, cleaner } = await setUp();
    await segmentOf(log, '=1 a=1 =2');
    await segmentOf(log, 'a=2');
    const { stats } = await cleaner.cleanLog(log, all(log));
    expect(await recordsOf(log)).toBe('3:a=2');
    expect(stats).toMatchObject({ keylessRecords: 2, recordsRead: 4, recordsKept: 1, passes: 1 });
  });

  it('leaves a segment that keeps everything as it is, but for the last', async () => {
    const { log, cleaner } = await setUp({ config: { segmentBytes: 100 } });
    for (const text of ['a=1', 'b=1', 'c=1']) await segmentOf(log, text);
    const before = log.fullSegments();
    await cleaner.cleanLog(log, all(log));
    expect(log.replaced).toEqual([{ bases: [2], cleanedEndOffset: 3 }]);
    expect(log.fullSegments().slice(0, 2)).toEqual(before.slice(0, 2));
    expect((await log.files()).filter((name) => name.endsWith('.cleaned'))).toEqual([]);
  });

  it('keeps the last marker of a producer of whom nothing else is known', async () => {
    const { log, cleaner, clock } = await setUp({ config: { deleteRetentionMs: 10 } });
    const marker = { type: 'COMMIT', producerId: 7, coordinatorEpoch: 0, timestamp: 1000 } as const;
    log.append(encodeTransactionMarker({ ...marker, producerEpoch: 1 }));
    log.append(encodeTransactionMarker({ ...marker, producerEpoch: 2 }));
    await segmentOf(log, 'a=1');
    for (let round = 0; round < 2; round++) {
      await cleaner.cleanLog(log, { ...all(log), markerEpochsOfProducers: new Map([[7, 2]]) });
      clock.advance(10);
      await segmentOf(log, 'a=2');
    }
    const kept = plainBatches(await log.bytesOf(log.fullSegments()[0]!));
    expect(kept.map(({ kind, producer }) => `${kind} ${producer}`)).toEqual([
      'raft-only -1/-1/-1/3',
      'empty-control 7/2/-1/3',
      'data -1/-1/-1/3',
    ]);
  });

  it('writes the aborted transactions that are still told beside the cleaned segment', async () => {
    const { log, cleaner } = await setUp();
    const options = { isTransactional: true, producerId: 7, producerEpoch: 0, baseSequence: 0 };
    log.append(encodeBatch([{ timestamp: 1, key: Buffer.from('a'), value: Buffer.from('lost') }], options));
    const marker = {
      type: 'ABORT',
      producerId: 7,
      producerEpoch: 0,
      coordinatorEpoch: 0,
      timestamp: 1,
    } as const;
    log.append(encodeTransactionMarker(marker));
    log.aborted.push({ producerId: 7, firstOffset: 0, lastOffset: 1, lastStableOffset: 2 });
    await segmentOf(log, 'b=1');
    await cleaner.cleanLog(log, all(log));
    expect(await log.files()).toContain('00000000000000000000.txnindex');
    await segmentOf(log, 'b=2');
    await cleaner.cleanLog(log, all(log));
    expect(await log.files()).not.toContain('00000000000000000000.txnindex');
    expect(await recordsOf(log)).toBe('3:b=2');
  });
});

describe('damage and failures', () => {
  it('make a log uncleanable, are reported, and keep no other log from being cleaned', async () => {
    const { log, cleaner, disk, clock } = await setUp();
    await segmentOf(log, 'a=1');
    await segmentOf(log, 'a=2');
    const path = log.fullSegments()[1]!.path;
    const file = await disk.open(path, 'write');
    await file.write([Buffer.from('!')], log.fullSegments()[1]!.appendedBytes - 2);
    await file.close();
    const otherDisk = new MemoryDisk();
    const other = await FakeLog.open(otherDisk);
    await segmentOf(other, 'a=1');
    const outcome = await cleaner.cleanLog(log, all(log));
    expect(outcome).toMatchObject({
      kind: 'uncleanable',
      damage: { file: path, position: 0, validEndOffset: 1, reason: 'the CRC does not fit the batch' },
    });
    expect(log.damage).toHaveLength(1);
    expect(log.replaced).toEqual([]);
    expect(await cleaner.cleanDirty(() => [{ log, limits: () => all(log) }])).toEqual([]);
    expect([...cleaner.uncleanable.keys()]).toEqual([log]);
    await cleaner.callOff(log);
    expect(cleaner.uncleanable.size).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('notice an abort that the index of aborted transactions lacks, before anything is dropped', async () => {
    const { log, cleaner } = await setUp();
    await segmentOf(log, 'a=1');
    const options = { isTransactional: true, producerId: 7, producerEpoch: 0, baseSequence: 0 };
    log.append(encodeBatch([{ timestamp: 1, key: Buffer.from('a'), value: Buffer.from('lost') }], options));
    const marker = {
      type: 'ABORT',
      producerId: 7,
      producerEpoch: 0,
      coordinatorEpoch: 0,
      timestamp: 1,
    } as const;
    log.append(encodeTransactionMarker(marker));
    await log.roll();
    expect((await cleaner.cleanLog(log, all(log))).kind).toBe('uncleanable');
    expect(log.replaced).toEqual([]);
  });

  it('of the disk end the cleaning and leave nothing behind', async () => {
    let isFull = false;
    const { log, cleaner } = await setUp({
      faults: (operation, path) =>
        isFull && operation === 'write' && path.includes('.cleaned') ? 'no-space' : undefined,
    });
    await segmentOf(log, 'a=1');
    await segmentOf(log, 'a=2');
    isFull = true;
    expect(await cleaner.cleanLog(log, all(log))).toMatchObject({
      kind: 'failed',
      error: { code: 'no-space' },
    });
    expect((await log.files()).filter((name) => name.endsWith('.cleaned'))).toEqual([]);
    isFull = false;
    expect((await cleaner.cleanLog(log, all(log))).kind).toBe('cleaned');
    expect(await recordsOf(log)).toBe('1:a=2');
  });
});

describe('rounds', () => {
  it('take the filthiest log first, and leave those below min.cleanable.dirty.ratio', async () => {
    const { cleaner, disk } = await setUp();
    const logs: FakeLog[] = [];
    for (const [dirty, minCleanableDirtyRatio] of [
      [2, 0.5],
      [5, 0.5],
      [1, 0.5],
    ] as const) {
      const log = await FakeLog.open(disk, { minCleanableDirtyRatio, segmentBytes: 60 });
      for (let segment = 0; segment < 6; segment++) await segmentOf(log, 'a=1');
      log.cleanedEndOffset = 6 - dirty;
      logs.push(log);
    }
    // They share a directory on the disk, and only what is chosen is looked at.
    const chosen: number[] = [];
    const candidates = logs.map((log, place) => ({
      log,
      limits: () => {
        chosen.push(place);
        return all(log);
      },
    }));
    const [first, ...others] = await cleaner.cleanDirty(() => candidates);
    expect(first!.log).toBe(logs[1]);
    expect(others).toEqual([]);
    expect(chosen).toEqual([0, 1, 2, 0, 1, 2]);
    expect(cleaner.totals().dirtyRatioMax).toBeCloseTo(0.3, 1);
    expect(cleaner.mapBytes).toBe(0);
  });

  it('take a log below that ratio when max.compaction.lag.ms has passed since its oldest dirty batch', async () => {
    const config = { minCleanableDirtyRatio: 1, maxCompactionLagMs: hourMs };
    const { log, cleaner, clock } = await setUp({ config });
    await segmentOf(log, 'a=1', clock.wallMs());
    await segmentOf(log, 'a=2', clock.wallMs());
    // As after a restart, when only the file tells.
    for (const segment of log.fullSegments()) segment.totals.firstTimestamp = -1;
    const round = () => cleaner.cleanDirty(() => [{ log, limits: () => all(log) }]);
    clock.advance(hourMs);
    expect(await round()).toEqual([]);
    clock.advance(1);
    expect((await round()).map(({ kind }) => kind)).toEqual(['cleaned']);
    expect(await recordsOf(log)).toBe('1:a=2');
  });

  it('skip logs that are not compacted or have no limits now', async () => {
    const { log, cleaner } = await setUp();
    const plain = await FakeLog.open(new MemoryDisk(), { compacts: false });
    await segmentOf(plain, 'a=1');
    await segmentOf(log, 'a=1');
    const candidates = [
      { log: plain, limits: () => all(plain) },
      { log, limits: () => undefined },
    ];
    expect(await cleaner.cleanDirty(() => candidates)).toEqual([]);
  });
});

describe('where a log cannot begin the segment that it is due to', () => {
  it('that is told, and the others are cleaned', async () => {
    const { log, cleaner, disk } = await setUp({ config: { maxCompactionLagMs: hourMs } });
    await segmentOf(log, 'a=1');
    await segmentOf(log, 'a=2');
    const error = new DiskError('no-space', '/data/t-1/00000000000000000000.log', 'The disk is full.');
    const full: CleanableLog = Object.assign(await FakeLog.open(disk, { maxCompactionLagMs: hourMs }), {
      maybeRoll: () => Promise.reject(error),
    });
    const outcomes = await cleaner.cleanDirty(() => [
      { log: full, limits: () => undefined },
      { log, limits: () => all(log) },
    ]);
    expect(outcomes.map(({ kind, log: of }) => [kind, of === log])).toEqual([
      ['failed', false],
      ['cleaned', true],
    ]);
    expect(outcomes[0]).toMatchObject({ error });
    expect(await recordsOf(log)).toBe('1:a=2');
  });
});

describe('beside other work', () => {
  it('keeps to its bytes a second', async () => {
    const { log, cleaner, clock } = await setUp({ settings: { bytesPerSecondMax: 1000 } });
    for (let segment = 0; segment < 20; segment++) await segmentOf(log, `a=${'x'.repeat(400)}`);
    const startMs = clock.monotonicMs();
    let isDone = false;
    const cleaning = cleaner.cleanLog(log, all(log)).finally(() => {
      isDone = true;
    });
    await clock.runUntil(() => isDone, 24 * hourMs);
    const { stats } = await cleaning;
    const bytes = stats.bytesRead + stats.bytesWritten;
    expect(bytes).toBeGreaterThan(16_000);
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(bytes - 2);
    expect(clock.monotonicMs() - startMs).toBeLessThan(bytes + 100);
    expect(cleaner.totals().throttledMs).toBeGreaterThan(bytes - 100);
  });

  it('yields at least once for each read', async () => {
    const yielding = new CountedYield();
    const { log, cleaner } = await setUp({ yielding });
    for (let segment = 0; segment < 10; segment++) await segmentOf(log, `a=${'x'.repeat(20_000)}`);
    const { stats } = await cleaner.cleanLog(log, all(log));
    expect(yielding.turns).toBeGreaterThanOrEqual(stats.bytesRead / 24_000);
  });

  it('is called off at once while it waits, and nothing is done to a log that has closed', async () => {
    const { log, cleaner, clock } = await setUp({ settings: { bytesPerSecondMax: 1 } });
    await segmentOf(log, 'a=1');
    await segmentOf(log, 'a=2');
    const first = cleaner.cleanLog(log, all(log));
    const second = cleaner.cleanLog(log, all(log));
    await clock.advanceAsync(0);
    expect(clock.pendingTimers).toBe(1);
    await cleaner.callOff(log);
    expect(await Promise.all([first, second])).toMatchObject([
      { kind: 'called-off' },
      { kind: 'called-off' },
    ]);
    expect(clock.pendingTimers).toBe(0);
    expect(log.replaced).toEqual([]);
  });

  it('ends when the cleaner is closed', async () => {
    const { log, cleaner, clock } = await setUp({ settings: { bytesPerSecondMax: 1 } });
    await segmentOf(log, 'a=1');
    await segmentOf(log, 'a=2');
    const cleaning = cleaner.cleanDirty(() => [{ log, limits: () => all(log) }]);
    await clock.advanceAsync(0);
    await cleaner.close();
    expect((await cleaning).map(({ kind }) => kind)).toEqual(['called-off']);
    expect((await cleaner.cleanLog(log, all(log))).kind).toBe('called-off');
  });

  it('stops when retention takes a segment that it reads', async () => {
    const yielding = new CountedYield((turn) => (turn === 3 ? holder.log?.removeFirst() : undefined));
    const holder: { log?: FakeLog } = {};
    const { log, cleaner } = await setUp({ yielding });
    holder.log = log;
    await segmentOf(log, 'a=1');
    await segmentOf(log, 'a=2');
    expect((await cleaner.cleanLog(log, all(log))).kind).toBe('called-off');
    expect(log.cleanedEndOffset).toBe(0);
  });
});
