import { describe, expect, it } from 'vitest';
import { encodeAbortedTransactions } from '../../../broker/log/segments/aborted-transactions.ts';
import type { CommitLog } from '../../../broker/log/commit-log.ts';
import { scrubSegment } from '../../../broker/log/recovery/scrub-segment.ts';
import { cleanedPath } from '../../../broker/log/segments/segment-swap.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import type { DiskOperation } from '../../../platform/memory-disk.ts';
import { atEveryCrash } from './crash-points.ts';
import {
  appendValues,
  directory,
  expectedRecords,
  flushed,
  openLog,
  readAll,
  recordsOf,
  startTerm,
} from './log-harness.ts';
import { writeCleaned } from './small-cleaner.ts';

/** Two batches of one record to a segment, but for the first. */
const config = { segmentBytes: 200, fileDeleteDelayMs: 1000, indexIntervalBytes: 50 };
const isEven = (offset: number): boolean => offset % 2 === 0;

/** Records 0 to 10 in segments of at most two, with a new term before 4. */
async function filled(disk: MemoryDisk): Promise<CommitLog> {
  await disk.makeDirectory('/data');
  await disk.syncDirectory('/');
  const { log } = await openLog({ disk, config, clock: new ManualClock() });
  startTerm(log, 1);
  for (let value = 0; value < 11; value++) {
    if (value === 4) startTerm(log, 2);
    appendValues(log, [`v${value}`], 1000 + value);
  }
  await flushed(log);
  return log;
}

const all = expectedRecords(11);
const bases = (log: CommitLog) => log.segments().map(({ baseOffset }) => baseOffset);

async function clean(disk: MemoryDisk, log: CommitLog, from = 1, to = 3): Promise<boolean> {
  const old = log.fullSegments().slice(from, to + 1);
  const cleaned = await writeCleaned(disk, log, old, isEven);
  return log.replaceSegments(old, cleaned, old.at(-1)!.endOffset);
}

function cleanedRecords(log: CommitLog, from: number, to: number) {
  expect(log.logEndOffset).toBe(11);
  return all.filter(({ offset }) => offset < from || offset >= to || isEven(offset));
}

describe('a cleaned segment', () => {
  it('takes the place of its old ones: what was kept is read, from every offset, and positions are as before', async () => {
    const disk = new MemoryDisk();
    const log = await filled(disk);
    const [, first, , third] = log.fullSegments();
    const range = [first!.baseOffset, third!.endOffset] as const;
    const indexes = all.map(({ offset }) => [log.indexOfOffset(offset), log.epochAt(offset)]);
    expect(await clean(disk, log)).toBe(true);
    const expected = cleanedRecords(log, ...range);
    for (const isReopened of [false, true]) {
      const opened = isReopened ? (await openLog({ disk: disk.kill(), config })).log : log;
      expect(bases(opened).filter((base) => base >= range[0] && base < range[1])).toEqual([range[0]]);
      expect(opened.cleanedEndOffset).toBe(range[1]);
      for (let offset = 0; offset < 11; offset++) {
        expect(await readAll(opened, offset, 1)).toEqual(
          expected.filter((record) => record.offset >= offset),
        );
      }
      expect(all.map(({ offset }) => [opened.indexOfOffset(offset), opened.epochAt(offset)])).toEqual(
        indexes,
      );
      expect(opened.endIndex).toBe(14);
      expect((await opened.offsetForTimestamp(1003, 11))?.offset).toBe(
        expected.find(({ offset }) => offset >= 3)!.offset,
      );
    }
  });

  it('is checked by its header where the state is lost', async () => {
    const disk = new MemoryDisk();
    const log = await filled(disk);
    await clean(disk, log);
    const expected = await readAll(log);
    const entries = log.raftOnlyEntries();
    await log.flushAndClose();
    const after = disk.kill();
    await after.remove(`${directory}/replica-state`);
    const { log: again, recovery } = await openLog({ disk: after, config });
    expect(recovery).toMatchObject({ kind: 'recovered', damage: undefined });
    expect(await readAll(again)).toEqual(expected);
    expect([again.endIndex, again.raftOnlyEntries()]).toEqual([log.endIndex, entries]);
    expect(again.segments()).toEqual(log.segments());
  });

  it('tells of any bit that flips in it, CRC or not', async () => {
    const disk = new MemoryDisk();
    const log = await filled(disk);
    await clean(disk, log);
    const { path, appendedBytes } = log.fullSegments()[1]!;
    await log.flushAndClose();
    let current = disk.kill();
    await current.remove(`${directory}/replica-state`);
    const names = await current.list(directory);
    const files = new Map<string, Buffer>();
    for (const name of names) {
      const file = await current.open(`${directory}/${name}`, 'read');
      const bytes = Buffer.alloc(await file.size());
      await file.read(bytes, 0);
      files.set(name, bytes);
    }
    // The lowest bit of the second batch's offset among them: it moves the batch into a gap, where only the header tells.
    for (let position = 0; position < appendedBytes; position++) {
      current = new MemoryDisk();
      await current.makeDirectory(directory);
      for (const [name, bytes] of files)
        await (await current.open(`${directory}/${name}`, 'create')).write([bytes], 0);
      current.flipBit(path, position, position % 4 === 3 ? 0 : position % 8);
      const { recovery } = await openLog({ disk: current, config });
      expect(recovery.damage?.file, `byte ${position}`).toBe(path);
    }
  });

  it('can be cleaned again with its neighbours, up to all that is full', async () => {
    const disk = new MemoryDisk();
    const log = await filled(disk);
    await clean(disk, log, 1, 2);
    await clean(disk, log, 0, log.fullSegments().length - 1);
    expect(log.segmentCount).toBe(2);
    const expected = cleanedRecords(log, 0, log.fullSegments()[0]!.endOffset);
    expect(await readAll(log)).toEqual(expected);
    const { log: again } = await openLog({ disk: disk.kill(), config });
    expect(await readAll(again)).toEqual(expected);
  });
});

it('is refused, and its files go, where the segments are not there any more', async () => {
  const disk = new MemoryDisk();
  const log = await filled(disk);
  const old = log.fullSegments().slice(0, 3);
  const cleaned = await writeCleaned(disk, log, old, isEven);
  await log.advanceLogStart(3);
  expect(await log.replaceSegments(old, cleaned)).toBe(false);
  expect((await disk.list(directory)).filter((name) => name.endsWith('.cleaned'))).toEqual([]);
  expect(await readAll(log)).toEqual(all.slice(3));
});

it('is not seen by halves by those who read meanwhile', async () => {
  let turn = 0;
  const disk = new MemoryDisk({
    delay: async () => {
      for (let left = turn++ % 5; left > 0; left--) await Promise.resolve();
    },
  });
  const log = await filled(disk);
  const swap = { isDone: false };
  const cleaning = clean(disk, log).then(() => {
    swap.isDone = true;
  });
  let reads = 0;
  while (!swap.isDone) {
    for (let offset = 0; offset < 11; offset++) {
      const read = await log.read({ offset, endOffset: 11, maxBytes: 1, minOneBatch: true });
      const [record] = recordsOf(read);
      const next = offset % 2 === 1 && offset < 6 ? [offset, offset + 1] : [offset];
      expect(next).toContain(record?.offset);
      expect(record).toEqual(all[record!.offset]);
      reads++;
    }
    const found = await log.offsetForTimestamp(1004, 11);
    expect(found).toMatchObject({ offset: 4, timestamp: 1004 });
  }
  await cleaning;
  expect(reads).toBeGreaterThan(20);
});

it('a crash at any moment leaves the old segments or the new one', async () => {
  const states = new Set<boolean>();
  const operations = await atEveryCrash({
    prepare: async (disk) => {
      const log = await filled(disk);
      const old = log.fullSegments().slice(1, 4);
      return { log, old, cleaned: await writeCleaned(disk, log, old, isEven) };
    },
    act: ({ log, old, cleaned }) => log.replaceSegments(old, cleaned, old.at(-1)!.endOffset),
    check: async (disk, wasDone) => {
      const { log, recovery } = await openLog({ disk, config });
      expect(recovery.damage).toBeUndefined();
      const records = await readAll(log);
      const isSwapped = records.length < 11;
      states.add(isSwapped);
      if (wasDone) expect(isSwapped).toBe(true);
      expect(records).toEqual(isSwapped ? cleanedRecords(log, 1, 6) : all);
      if (isSwapped) expect(bases(log)).toEqual([0, 1, 6, 8, 10]);
      // A crash before the state was written has the swap finished, and the place where dirt begins as it was.
      expect(wasDone ? [6] : isSwapped ? [0, 6] : [0]).toContain(log.cleanedEndOffset);
      const names = await disk.list(directory);
      expect(names.filter((name) => /cleaned|swap|deleted|tmp/.test(name))).toEqual([]);
      appendValues(log, ['v11']);
      await flushed(log);
      await log.flushAndClose();
      const { log: again, recovery: second } = await openLog({ disk, config });
      expect(second.kind).toBe('clean');
      expect(await readAll(again)).toEqual([...records, { offset: 11, value: 'v11' }]);
    },
  });
  expect(states).toEqual(new Set([false, true]));
  expect(operations).toBeGreaterThan(30);
});

it('has its indexes under their names durably before its .log gets one: none can make an index of aborted transactions anew', async () => {
  let seen: string[] | undefined;
  const disk = new MemoryDisk({
    faults: (operation, path) => {
      const isSwapped = /\.(cleaned|swap)$/.test(path);
      if (operation === 'sync-directory') seen?.push('sync');
      else if (operation === 'rename' && isSwapped) seen?.push(path.replace(/^.*\d{20}/, ''));
      return undefined;
    },
  });
  const log = await filled(disk);
  const old = log.fullSegments().slice(1, 4);
  const cleaned = await writeCleaned(disk, log, old, isEven);
  await put(disk, cleanedPath(directory, cleaned.baseOffset, 'txnindex'), encodeAbortedTransactions([]));
  seen = [];
  await log.replaceSegments(old, cleaned, old.at(-1)!.endOffset);
  for (const suffix of ['cleaned', 'swap']) {
    const place = seen.indexOf(`.log.${suffix}`);
    const before = ['index', 'timeindex', 'txnindex'].map((kind) => seen.indexOf(`.${kind}.${suffix}`));
    expect(Math.min(...before)).toBeGreaterThanOrEqual(0);
    expect(seen.slice(Math.max(...before), place)).toContain('sync');
    expect(seen[place + 1]).toBe('sync');
  }
});

describe('a disk that fails', () => {
  const failing = () => {
    let failsOn: ((operation: DiskOperation, path: string) => boolean) | undefined;
    let code: 'no-space' | 'io' = 'io';
    const disk = new MemoryDisk({
      faults: (operation, path) => (failsOn?.(operation, path) === true ? code : undefined),
    });
    return {
      disk,
      arm: (on: typeof failsOn, as: typeof code) => {
        failsOn = on;
        code = as;
      },
    };
  };

  it('for lack of space before the point of no return, leaves the log serving with its old segments', async () => {
    for (const fails of [
      (operation: DiskOperation, path: string) => operation === 'rename' && path.endsWith('.log.cleaned'),
      (operation: DiskOperation, path: string) => operation === 'rename' && path.endsWith('.index.cleaned'),
      (operation: DiskOperation, path: string) => operation === 'write' && path.endsWith('replica-state.tmp'),
    ]) {
      const { disk, arm } = failing();
      const log = await filled(disk);
      const old = log.fullSegments().slice(1, 4);
      const cleaned = await writeCleaned(disk, log, old, isEven);
      arm(fails, 'no-space');
      await expect(log.replaceSegments(old, cleaned, 6)).rejects.toMatchObject({ code: 'no-space' });
      expect([log.failure, log.cleanedEndOffset]).toEqual([undefined, 0]);
      arm(undefined, 'io');
      expect((await disk.list(directory)).filter((name) => /cleaned|swap/.test(name))).toEqual([]);
      expect(await readAll(log)).toEqual(all);
      expect(await clean(disk, log)).toBe(true);
      await log.flushAndClose();
      const { log: again, recovery } = await openLog({ disk, config });
      expect([recovery.kind, await readAll(again)]).toEqual(['clean', cleanedRecords(again, 1, 6)]);
    }
  });

  it('otherwise ends the log, and nothing is lost', async () => {
    for (const fails of [
      (operation: DiskOperation) => operation === 'sync-directory',
      (operation: DiskOperation, path: string) => operation === 'rename' && path.endsWith('.log'),
      (operation: DiskOperation, path: string) => operation === 'rename' && path.endsWith('.swap'),
    ]) {
      const { disk, arm } = failing();
      const log = await filled(disk);
      const old = log.fullSegments().slice(1, 4);
      const cleaned = await writeCleaned(disk, log, old, isEven);
      arm(fails, 'io');
      await expect(log.replaceSegments(old, cleaned, 6)).rejects.toMatchObject({ code: 'io' });
      expect(log.failure).toMatchObject({ kind: 'write', code: 'io' });
      arm(undefined, 'io');
      await log.flushAndClose();
      const { log: again, recovery } = await openLog({ disk, config });
      expect(recovery.damage).toBeUndefined();
      const records = await readAll(again);
      expect([all, cleanedRecords(again, 1, 6)]).toContainEqual(records);
    }
  });
});

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

describe('while a cleaned segment takes its place', () => {
  it('scrubbing finds no damage in the segments that go, whenever it comes to one of them', async () => {
    let removed = 0;
    for (let wait = 0; wait < 250; wait++) {
      const disk = new MemoryDisk({ delay: () => turns(2) });
      const log = await filled(disk);
      const [, first, second] = log.fullSegments();
      const old = log.fullSegments().slice(1, 4);
      const cleaned = await writeCleaned(disk, log, old, isEven);
      const swapping = log.replaceSegments(old, cleaned, old.at(-1)!.endOffset);
      await turns(wait);
      const outcomes = await Promise.all(
        [first!, second!].map((segment) =>
          scrubSegment(log, segment, { disk, pace: () => Promise.resolve(true) }),
        ),
      );
      expect(await swapping).toBe(true);
      expect(log.damage, `begun after ${wait} turns`).toEqual([]);
      for (const { kind } of outcomes) {
        expect(['sound', 'removed']).toContain(kind);
        if (kind === 'removed') removed++;
      }
    }
    expect(removed).toBeGreaterThan(100);
  });

  it('the aborted transactions of a range are all found, whichever segments are read', async () => {
    const abortedIn = ({ endOffset }: { readonly endOffset: number }) => ({
      producerId: endOffset,
      firstOffset: endOffset - 2,
      lastOffset: endOffset - 1,
      lastStableOffset: endOffset,
    });
    for (let wait = 0; wait < 250; wait += 2) {
      const disk = new MemoryDisk({ delay: () => turns(2) });
      const first = await filled(disk);
      const segments = first.fullSegments().slice(1);
      for (const segment of segments)
        await put(disk, segment.transactionIndexPath, encodeAbortedTransactions([abortedIn(segment)]));
      await first.flushAndClose();
      const { log } = await openLog({ disk, config });
      const old = log.fullSegments().slice(1, 4);
      const cleaned = await writeCleaned(disk, log, old, isEven);
      const merged = encodeAbortedTransactions(old.map(abortedIn));
      await put(disk, cleanedPath(log.directory, cleaned.baseOffset, 'txnindex'), merged);
      const swapping = log.replaceSegments(old, cleaned, old.at(-1)!.endOffset);
      await turns(wait);
      const found = await log.abortedTransactions(0, 11);
      expect(
        found.map(({ firstOffset }) => firstOffset),
        `asked after ${wait} turns`,
      ).toEqual(segments.map(({ endOffset }) => endOffset - 2));
      expect(await swapping).toBe(true);
    }
  });
});

async function put(disk: MemoryDisk, path: string, bytes: Buffer): Promise<void> {
  const file = await disk.open(path, 'create');
  await file.write([bytes], 0);
  await file.sync();
  await file.close();
}
