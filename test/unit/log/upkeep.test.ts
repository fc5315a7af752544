import { describe, expect, it } from 'vitest';
import type { CommitLog } from '../../../broker/log/commit-log.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { atEveryCrash } from './crash-points.ts';
import {
  appendValues,
  batchOf,
  directory,
  expectedRecords,
  flushed,
  openLog,
  readAll,
  recordsOf,
  startTerm,
} from './log-harness.ts';
import type { HarnessOptions } from './log-harness.ts';

const dayMs = 24 * 3600 * 1000;
/** Two batches of one record to a segment. */
const config = { segmentBytes: 200, fileDeleteDelayMs: 1000 };

function clockAt(wallMs: number): ManualClock {
  const clock = new ManualClock();
  clock.advance(wallMs - clock.wallMs());
  return clock;
}

/** Records 'v0'... of these timestamps, one to a batch; flushed. */
async function fill(log: CommitLog, timestamps: readonly number[]): Promise<void> {
  if (log.lastTerm === 0) startTerm(log, 1);
  for (const timestamp of timestamps) appendValues(log, [`v${log.logEndOffset}`], timestamp);
  await flushed(log);
}

async function opened(
  options: Partial<Omit<HarnessOptions, 'disk'>> & {
    readonly disk?: MemoryDisk;
    readonly timestamps: readonly number[];
  },
) {
  const disk = options.disk ?? new MemoryDisk();
  await disk.makeDirectory('/data');
  await disk.syncDirectory('/');
  const clock = options.clock ?? clockAt(10 * dayMs);
  const log = (await openLog({ disk, clock, ...options, config: { ...config, ...options.config } })).log;
  await fill(log, options.timestamps);
  return { disk, clock, log };
}

const segmentNames = async (disk: MemoryDisk) =>
  (await disk.list(directory))
    .filter((name) => name.endsWith('.log'))
    .map((name) => Number(name.slice(0, 20)));

const days = (...at: number[]) => at.map((day) => day * dayMs);

describe('retention by time', () => {
  it('takes segments whose latest record is older than retention.ms, up to the first that is not', async () => {
    const { log, disk } = await opened({ timestamps: days(1, 1, 2, 2, 5, 5, 2, 2, 9, 9) });
    expect(log.segments().map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 3, 5, 7, 9]);
    const deleted = await log.deleteOldSegments(log.logEndOffset);
    expect(deleted).toEqual([{ reason: 'time', segments: 2, bytes: expect.any(Number) }]);
    expect([log.logStartOffset, log.segments()[0]!.baseOffset]).toEqual([3, 3]);
    expect(await segmentNames(disk)).toEqual([3, 5, 7, 9]);
    expect(await readAll(log)).toEqual(expectedRecords(10, 3));
  });

  it('keeps what has a timestamp in the future, and what is after it', async () => {
    const { log } = await opened({ timestamps: days(1, 99, 1, 1, 1, 1, 1) });
    await log.deleteOldSegments(log.logEndOffset);
    expect(log.logStartOffset).toBe(1);
  });

  it('rolls the active segment where all of it is past, and so empties the log', async () => {
    const { log } = await opened({ timestamps: days(1, 1, 1, 1) });
    const rolls: number[] = [];
    log.onRoll((base) => rolls.push(base));
    await log.deleteOldSegments(4);
    expect([rolls, log.logStartOffset, log.logEndOffset, log.segmentCount]).toEqual([[4], 4, 4, 1]);
    expect(await log.deleteOldSegments(4)).toEqual([]);
    await fill(log, days(10, 10));
    expect(await readAll(log)).toEqual(expectedRecords(6, 4));
  });

  it('touches nothing at or above the limit, nothing with retention.ms -1, nothing of a log that is compacted only', async () => {
    const timestamps = days(1, 1, 1, 1, 1);
    const { log } = await opened({ timestamps });
    await log.deleteOldSegments(2);
    expect(log.logStartOffset).toBe(1);
    for (const setting of [{ retentionMs: -1 }, { deletes: false, compacts: true }]) {
      const { log: kept } = await opened({ timestamps, config: setting });
      expect([await kept.deleteOldSegments(5), kept.logStartOffset]).toEqual([[], 0]);
    }
  });

  it('counts a segment without timestamps from when it was closed', async () => {
    const clock = clockAt(10 * dayMs);
    const { log } = await opened({ clock, timestamps: [-1, -1, -1, -1] });
    expect(await log.deleteOldSegments(4)).toEqual([]);
    clock.advance(8 * dayMs);
    await log.deleteOldSegments(4);
    expect(log.logStartOffset).toBe(3);
  });
});

it('retention by size takes whole segments as long as what is left has the size', async () => {
  const { log } = await opened({ timestamps: days(9, 9, 9, 9, 9, 9, 9, 9), config: { retentionBytes: 300 } });
  const before = log.sizeBytes;
  const [size] = await log.deleteOldSegments(8);
  expect(size).toMatchObject({ reason: 'size' });
  expect(log.sizeBytes).toBe(before - size!.bytes);
  expect(log.sizeBytes).toBeGreaterThanOrEqual(300);
  expect(log.sizeBytes - log.segments()[0]!.sizeBytes).toBeLessThan(300);
});

it('stops at a segment that ends with entries of Raft which are not committed', async () => {
  const disk = new MemoryDisk();
  const { log } = await openLog({ disk, config: { segmentBytes: 300, retentionBytes: 0 } });
  startTerm(log, 1);
  for (let offset = 0; offset < 12; offset++) {
    appendValues(log, [`v${offset}`]);
    log.appendRaftOnly({ kind: 'configuration', term: 1, payload: Buffer.alloc(10) });
  }
  await flushed(log);
  const full = log.fullSegments();
  const place = full.findIndex(({ endOffset }, at) => {
    const next = full[at + 1]?.startIndex ?? 0;
    return at > 0 && next > log.indexOfOffset(endOffset - 1) + 1;
  });
  const { baseOffset, endOffset } = full[place]!;
  const endIndex = log.indexOfOffset(endOffset - 1) + 1;
  await log.deleteOldSegments(endOffset);
  expect(log.segments()[0]!.baseOffset).toBe(baseOffset);
  await log.advanceLogStart(endOffset);
  expect(log.segments()[0]!.baseOffset).toBe(baseOffset);
  await log.truncateTo(endIndex);
  expect([log.endIndex, log.logEndOffset]).toEqual([endIndex, endOffset]);
});

it('retention by size and time takes what either takes, each with its reason', async () => {
  const timestamps = days(1, 1, 1, 1, 1, 9, 9, 9, 9);
  const { log } = await opened({ timestamps, config: { retentionBytes: 500 } });
  const before = log.sizeBytes;
  const deleted = await log.deleteOldSegments(log.logEndOffset);
  expect(deleted.map(({ reason, segments }) => [reason, segments])).toEqual([
    ['size', 1],
    ['time', 2],
  ]);
  expect(log.sizeBytes).toBe(before - deleted[0]!.bytes - deleted[1]!.bytes);
  expect(log.logStartOffset).toBe(5);
  expect(await readAll(log)).toEqual(expectedRecords(9, 5));
});

describe('the log start', () => {
  it('goes to any offset, is there after a restart, and takes the segments below it', async () => {
    const { log, disk, clock } = await opened({ timestamps: days(9, 9, 9, 9, 9, 9) });
    await log.advanceLogStart(4);
    expect([log.logStartOffset, log.segments()[0]!.baseOffset]).toEqual([4, 3]);
    await log.advanceLogStart(2);
    expect(log.logStartOffset).toBe(4);
    expect(() => log.read({ offset: 3, endOffset: 6, maxBytes: 100, minOneBatch: true })).toThrow(
      'a read within the log',
    );
    expect([log.indexOfOffset(3), log.offsetOfIndex(5), log.epochAt(3), log.endIndex]).toEqual([5, 3, 1, 8]);
    await log.flushAndClose();
    const again = await openLog({ disk: disk.kill(), clock, config });
    expect(again.recovery).toMatchObject({ kind: 'clean', scannedBytes: 0 });
    expect([again.log.logStartOffset, again.log.endIndex]).toEqual([4, 8]);
    expect(await readAll(again.log)).toEqual(expectedRecords(6, 4));
    expect([again.log.indexOfOffset(5), again.log.termAt(6)]).toEqual([7, 1]);
  });

  it('stays where positions are right: the indexes of later entries do not change when a prefix goes', async () => {
    const { log, disk, clock } = await opened({ timestamps: days(9, 9) });
    for (let term = 2; term < 12; term++) {
      startTerm(log, term);
      log.appendRaftOnly({ kind: 'configuration', term, payload: Buffer.alloc(term * 9) });
      await fill(log, days(9, 9));
    }
    const offsets = Array.from({ length: log.logEndOffset }, (_, offset) => offset);
    const places = (of: CommitLog) =>
      offsets
        .filter((offset) => offset >= of.logStartOffset)
        .map((offset) => [
          offset,
          of.indexOfOffset(offset),
          of.epochAt(offset),
          of.termAt(of.indexOfOffset(offset)),
        ]);
    const before = places(log);
    for (const start of [3, 4, 9, 10, 17, 21]) {
      await log.advanceLogStart(start);
      expect(places(log)).toEqual(before.slice(start));
      for (const [offset, index] of places(log)) expect(log.offsetOfIndex(index!)).toBe(offset);
    }
    await flushed(log);
    const again = await openLog({ disk: disk.kill(), clock, config });
    expect(places(again.log)).toEqual(before.slice(21));
    await again.log.flushAndClose();
  });

  it('is above what can be lost: all below it is durable first', async () => {
    const { log, disk, clock } = await opened({ timestamps: days(9) });
    for (let value = 1; value < 5; value++) appendValues(log, [`v${value}`], 9 * dayMs);
    await log.advanceLogStart(5);
    expect(log.flushedEndIndex).toBe(log.endIndex);
    const again = await openLog({ disk: disk.kill(), clock, config });
    expect([again.log.logStartOffset, again.recovery.damage]).toEqual([5, undefined]);
  });

  it('is damage where the log ends below it', async () => {
    const { log, disk, clock } = await opened({ timestamps: days(9, 9, 9), config: { segmentBytes: 5000 } });
    await log.advanceLogStart(3);
    const again = disk.kill();
    await (await again.open(`${directory}/00000000000000000000.log`, 'write')).truncate(100);
    const { recovery } = await openLog({ disk: again, clock, config });
    expect(recovery.damage).toMatchObject({ reason: 'the last batch is cut off' });
  });
});

describe('files of deleted segments', () => {
  it('are renamed at once and removed after file.delete.delay.ms', async () => {
    const { log, disk, clock } = await opened({ timestamps: days(9, 9, 9, 9, 9, 9) });
    await log.advanceLogStart(3);
    const deleted = async () => (await disk.list(directory)).filter((name) => name.endsWith('.deleted'));
    expect(await deleted()).toEqual(
      [0, 1].flatMap((base) =>
        ['index', 'log', 'timeindex'].map((kind) => `${String(base).padStart(20, '0')}.${kind}.deleted`),
      ),
    );
    await clock.advanceAsync(999);
    expect(await deleted()).toHaveLength(6);
    await clock.advanceAsync(1);
    await clock.advanceAsync(0);
    expect(await deleted()).toEqual([]);
    await log.flushAndClose();
  });

  it('are removed by the next opening where the log was closed before', async () => {
    const { log, disk, clock } = await opened({ timestamps: days(9, 9, 9, 9, 9, 9) });
    await log.advanceLogStart(3);
    await log.flushAndClose();
    expect((await disk.list(directory)).some((name) => name.endsWith('.deleted'))).toBe(true);
    const again = await openLog({ disk, clock, config });
    expect(again.recovery.kind).toBe('clean');
    expect((await disk.list(directory)).some((name) => name.endsWith('.deleted'))).toBe(false);
  });

  it('do not disturb a reader that was reading them: it gets nothing, or what it asked for', async () => {
    const { log } = await opened({ timestamps: days(9, 9, 9, 9, 9, 9) });
    const reads = [0, 1, 2, 4].map(async (offset) => {
      const read = await log.read({ offset, endOffset: 6, maxBytes: 1, minOneBatch: true });
      return recordsOf(read);
    });
    await log.advanceLogStart(4);
    const found = await Promise.all(reads);
    expect(found[3]).toEqual(expectedRecords(5, 4));
    for (const [place, records] of found.slice(0, 3).entries())
      expect([[], expectedRecords(place + 1, place)]).toContainEqual(records);
  });
});

describe('segment.ms', () => {
  it('rolls an idle segment by the wall clock, less its jitter, and never one without offsets', async () => {
    const clock = clockAt(10 * dayMs);
    const { log } = await opened({ clock, timestamps: [], config: { segmentMs: 1000, segmentJitterMs: 0 } });
    clock.advance(5000);
    expect(await log.maybeRoll()).toBe(false);
    appendValues(log, ['v0']);
    expect(await log.maybeRoll()).toBe(true);
    expect(log.segments().map(({ baseOffset }) => baseOffset)).toEqual([0, 1]);
    expect(log.fullSegments().map(({ baseOffset }) => baseOffset)).toEqual([0]);
    appendValues(log, ['v1']);
    clock.advance(1000);
    expect(await log.maybeRoll()).toBe(false);
    clock.advance(1);
    expect(await log.maybeRoll()).toBe(true);
    expect(await readAll(log)).toEqual(expectedRecords(2));
  });

  it('spreads segments by segment.jitter.ms, the same way after a restart', async () => {
    const dueAt = async (base: number): Promise<number> => {
      const clock = clockAt(10 * dayMs);
      const disk = new MemoryDisk();
      const options = { disk, clock, config: { segmentMs: 1000, segmentJitterMs: 900 } };
      const { log } = await openLog(options);
      startTerm(log, 1);
      for (let value = 0; value <= base; value++) {
        appendValues(log, [`v${value}`]);
        if (value < base) {
          clock.advance(1001);
          expect(await log.maybeRoll()).toBe(true);
        }
      }
      for (let ms = 1; ; ms++) {
        clock.advance(1);
        if (await log.maybeRoll()) return ms;
      }
    };
    const due = [await dueAt(0), await dueAt(1), await dueAt(2)];
    expect(due).toEqual([await dueAt(0), await dueAt(1), await dueAt(2)]);
    expect(new Set(due).size).toBeGreaterThan(1);
    for (const ms of due) expect(ms).toBeGreaterThan(100);
  });

  it('gives way to max.compaction.lag.ms in a compacted log', async () => {
    const clock = clockAt(10 * dayMs);
    const { log } = await opened({
      clock,
      timestamps: days(9),
      config: { compacts: true, maxCompactionLagMs: 500 },
    });
    clock.advance(501);
    expect(await log.maybeRoll()).toBe(true);
  });
});

it('a log start that cannot be written for lack of space leaves the log as it was', async () => {
  let isFull = false;
  const disk = new MemoryDisk({
    faults: (operation, path) =>
      isFull && operation === 'write' && path.endsWith('replica-state.tmp') ? 'no-space' : undefined,
  });
  const { log } = await opened({ disk, timestamps: days(9, 9, 9, 9, 9) });
  isFull = true;
  await expect(log.advanceLogStart(3)).rejects.toMatchObject({ code: 'no-space' });
  expect([log.logStartOffset, log.failure, log.segments()[0]!.baseOffset]).toEqual([0, undefined, 0]);
  isFull = false;
  await log.advanceLogStart(3);
  await fill(log, days(9));
  expect(await readAll(log)).toEqual(expectedRecords(6, 3));
});

it('a log start that cannot be written otherwise ends the log, and is where it was or where it went', async () => {
  let isBroken = false;
  const disk = new MemoryDisk({
    faults: (operation) => (isBroken && operation === 'sync-directory' ? 'io' : undefined),
  });
  const { log, clock } = await opened({ disk, timestamps: days(9, 9, 9, 9, 9) });
  isBroken = true;
  await expect(log.advanceLogStart(3)).rejects.toMatchObject({ code: 'io' });
  expect([log.failure?.kind, log.logStartOffset]).toEqual(['write', 0]);
  isBroken = false;
  const again = await openLog({ disk, clock, config });
  expect([0, 3]).toContain(again.log.logStartOffset);
  expect(again.recovery.damage).toBeUndefined();
});

it('a crash at any moment of a deletion leaves the start where it was or where it went, and all above', async () => {
  const operations = await atEveryCrash({
    prepare: async (disk) => {
      const { log } = await opened({ disk, timestamps: days(9, 9, 9, 9, 9, 9, 9) });
      return log;
    },
    act: (log) => log.advanceLogStart(4),
    check: async (disk, wasDone) => {
      const { log, recovery } = await openLog({ disk, clock: clockAt(10 * dayMs), config });
      expect(recovery.damage).toBeUndefined();
      expect(wasDone ? [4] : [0, 4]).toContain(log.logStartOffset);
      expect(await readAll(log)).toEqual(expectedRecords(7, log.logStartOffset));
      expect(await segmentNames(disk)).toEqual(log.segments().map(({ baseOffset }) => baseOffset));
      expect((await disk.list(directory)).filter((name) => name.endsWith('.deleted'))).toEqual([]);
      log.append(batchOf({ values: ['v7'] }), log.lastTerm);
      await flushed(log);
      expect(await readAll(log)).toEqual(expectedRecords(8, log.logStartOffset));
    },
  });
  expect(operations).toBeGreaterThan(20);
});
