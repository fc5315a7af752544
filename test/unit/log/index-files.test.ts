/**
 * Index files that are not what they should be, at opening and afterwards: whatever is wrong with them, every offset and every
 * timestamp is found as by a walk over all records, and what is made again is what was there.
 */
import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import { readWholeFile } from '../../../platform/whole-files.ts';
import { batchField } from '../../../protocol/index.ts';
import { directory, expectedRecords, flushed, openLog, readAll, startTerm, batchOf } from './log-harness.ts';

const config = { segmentBytes: 1500, indexIntervalBytes: 100 };
const end = 160;

function timestampOf(offset: number): number {
  return 1000 + ((offset * 29) % 80);
}

async function build(disk = new MemoryDisk()): Promise<{ disk: MemoryDisk; bases: number[] }> {
  const { log } = await openLog({ disk, config });
  startTerm(log, 1);
  // Batches of one to four records: no two segments have the same index.
  for (let offset = 0; offset < end; offset = log.logEndOffset) {
    const count = Math.min(1 + ((offset * 7) % 4), end - offset);
    const offsets = Array.from({ length: count }, (_, place) => offset + place);
    const values = offsets.map((each) => `v${each}`);
    log.append(batchOf({ values, timestamps: offsets.map(timestampOf) }), 1);
  }
  await flushed(log);
  const bases = log.segments().map(({ baseOffset }) => baseOffset);
  await log.flushAndClose();
  return { disk, bases };
}

function pathOf(base: number, kind: 'index' | 'timeindex'): string {
  return `${directory}/${String(base).padStart(20, '0')}.${kind}`;
}

async function write(disk: Disk, path: string, bytes: Buffer): Promise<void> {
  const file = await disk.open(path, 'create');
  await file.truncate(0);
  await file.write([bytes], 0);
  await file.sync();
  await file.close();
}

async function indexesOf(disk: Disk): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for (const name of await disk.list(directory)) {
    if (name.endsWith('index'))
      content[name] = (await readWholeFile(disk, `${directory}/${name}`)).toString('hex');
  }
  return content;
}

/** Reads from every offset and looks for every timestamp. */
async function expectExact(disk: Disk): Promise<void> {
  const { log, recovery } = await openLog({ disk, config });
  expect(recovery.damage).toBeUndefined();
  expect(log.logEndOffset).toBe(end);
  for (let offset = 0; offset < end; offset += 7) {
    const read = await log.read({ offset, endOffset: end, maxBytes: 1, minOneBatch: true });
    const [first] = read.parts;
    expect(batchField.baseOffset(first!)).toBeLessThanOrEqual(offset);
    expect(batchField.lastOffset(first!)).toBeGreaterThanOrEqual(offset);
    read.release();
  }
  expect(await readAll(log)).toEqual(expectedRecords(end));
  for (let timestamp = 999; timestamp <= 1081; timestamp++) {
    const all = Array.from({ length: end }, (_, offset) => offset);
    const due = all.find((offset) => timestampOf(offset) >= timestamp);
    expect((await log.offsetForTimestamp(timestamp, end))?.offset).toBe(due);
  }
  await log.flushAndClose();
}

type Spoil = (disk: MemoryDisk, path: string, other: string) => Promise<void>;

/** What can be wrong with a file; `other` is the same index of another segment. */
const spoils: readonly (readonly [string, Spoil])[] = [
  ['is missing', (disk, path) => disk.remove(path)],
  ['is empty', (disk, path) => write(disk, path, Buffer.alloc(0))],
  [
    'lost its last entries',
    async (disk, path) => {
      const bytes = await readWholeFile(disk, path);
      await write(disk, path, bytes.subarray(0, 24));
    },
  ],
  [
    'ends within an entry',
    async (disk, path) => {
      const bytes = await readWholeFile(disk, path);
      await write(disk, path, bytes.subarray(0, bytes.length - 5));
    },
  ],
  [
    'is garbage of the same size',
    async (disk, path) => {
      const { length } = await readWholeFile(disk, path);
      await write(disk, path, Buffer.from(Array.from({ length }, (_, place) => (place * 151 + 77) % 256)));
    },
  ],
  [
    'is zeros of the same size',
    async (disk, path) => write(disk, path, Buffer.alloc((await readWholeFile(disk, path)).length)),
  ],
  [
    'is that of another segment',
    async (disk, path, other) => write(disk, path, await readWholeFile(disk, other)),
  ],
  [
    'begins like that of another segment',
    async (disk, path, other) => {
      const bytes = await readWholeFile(disk, path);
      (await readWholeFile(disk, other)).copy(bytes);
      await write(disk, path, bytes);
    },
  ],
  [
    'has more entries than the log',
    async (disk, path) => {
      const bytes = await readWholeFile(disk, path);
      await write(disk, path, Buffer.concat([bytes, Buffer.alloc(24, 0x7f)]));
    },
  ],
];

describe.each(['index', 'timeindex'] as const)('a full segment whose .%s', (kind) => {
  it.each(spoils)('%s is read exactly', async (_what, spoil) => {
    const { disk, bases } = await build();
    await spoil(disk, pathOf(bases[1]!, kind), pathOf(bases[2]!, kind));
    await expectExact(disk);
  });
});

describe.each(['index', 'timeindex'] as const)('the newest segment whose .%s', (kind) => {
  it.each(spoils)('%s is read exactly', async (_what, spoil) => {
    const { disk, bases } = await build();
    await spoil(disk, pathOf(bases.at(-1)!, kind), pathOf(bases[0]!, kind));
    await expectExact(disk);
  });
});

/** A disk that fails everything after so many operations more, once told so, and everything with such a path. */
function breakingDisk(): {
  disk: MemoryDisk;
  breakAfter: (operations: number) => void;
  breakAt: (path: RegExp | undefined) => void;
} {
  let left = Infinity;
  let broken: RegExp | undefined;
  const disk = new MemoryDisk({
    faults: (_operation, path) => (broken?.test(path) !== true && left-- > 0 ? undefined : 'io'),
  });
  return {
    disk,
    breakAfter: (operations) => {
      left = operations;
    },
    breakAt: (path) => {
      broken = path;
    },
  };
}

/** The timestamps in the first segment's time index. */
async function stampsOf(disk: Disk): Promise<number[]> {
  const times = await readWholeFile(disk, pathOf(0, 'timeindex'));
  return Array.from({ length: times.length / 12 }, (_, entry) => Number(times.readBigInt64BE(entry * 12)));
}

describe('indexes that are made again', () => {
  it('are whole or not there, wherever that is broken off', async () => {
    let remade = 0;
    for (let operations = 0; operations < 40; operations++) {
      const { disk, breakAfter } = breakingDisk();
      const { bases } = await build(disk);
      const before = await indexesOf(disk);
      await disk.remove(pathOf(bases[1]!, 'index'));
      await disk.remove(pathOf(bases[1]!, 'timeindex'));
      const { log } = await openLog({ disk, config });
      breakAfter(operations);
      try {
        const read = await log.read({
          offset: bases[1]! + 1,
          endOffset: end,
          maxBytes: 1,
          minOneBatch: true,
        });
        read.release();
      } catch (error) {
        expect(error).toMatchObject({ code: 'io' });
      }
      breakAfter(Infinity);
      const after = await indexesOf(disk);
      for (const [name, content] of Object.entries(before))
        expect([undefined, content], `${name} after ${operations} operations`).toContain(after[name]);
      if (Object.keys(after).length === Object.keys(before).length) remade++;
    }
    expect(remade).toBeGreaterThan(5);
  });

  it('of a log with one entry are right, wherever a truncation was broken off', async () => {
    const ends = new Set<number>();
    for (let operations = 0; operations < 60; operations++) {
      const { disk, breakAfter } = breakingDisk();
      const { log } = await openLog({ disk });
      startTerm(log, 1);
      for (const timestamp of [1000, 2000]) log.append(batchOf({ values: ['v'], timestamp }), 1);
      await log.flushAndClose();
      const { log: killed } = await openLog({ disk });
      breakAfter(operations);
      await killed.truncateTo(killed.indexOfOffset(1)).catch(() => undefined);
      breakAfter(Infinity);
      const { log: again } = await openLog({ disk: disk.kill() });
      ends.add(again.logEndOffset);
      const expected = again.logEndOffset === 1 ? [1000] : [2000];
      await again.flushAndClose();
      expect(await stampsOf(disk.kill()), `after ${operations} operations`).toEqual(expected);
    }
    expect(ends).toEqual(new Set([1, 2]));
  });

  it('of a log with one entry are right, wherever a recovery before was broken off', async () => {
    let broken = 0;
    for (let operations = 0; operations < 60; operations++) {
      const { disk, breakAfter, breakAt } = breakingDisk();
      const small = { indexIntervalBytes: 1 };
      const { log } = await openLog({ disk, config: small });
      startTerm(log, 1);
      log.append(batchOf({ values: ['v0'], timestamp: 1000 }), 1);
      await log.flushAndClose();
      // The process dies when its index files have a second entry and the state knows of one.
      const { log: killed } = await openLog({ disk, config: small });
      killed.append(batchOf({ values: ['v1'], timestamp: 2000 }), 1);
      await flushed(killed);
      breakAt(/replica-state/);
      await killed.flushAndClose().catch(() => undefined);
      breakAt(undefined);
      const second = disk.kill();
      breakAfter(operations);
      await openLog({ disk: second, config: small }).catch(() => broken++);
      breakAfter(Infinity);
      const { log: again } = await openLog({ disk: second.kill(), config: small });
      await again.flushAndClose();
      const stamps = await stampsOf(second.kill());
      expect([[2000], [1000, 2000]], `after ${operations} operations`).toContainEqual(stamps);
    }
    expect(broken).toBeGreaterThan(10);
  });

  it('of a log with one entry are read, not taken for what the state says of one of their size', async () => {
    const { disk, breakAt } = breakingDisk();
    const large = { indexIntervalBytes: 10_000 };
    const { log } = await openLog({ disk, config: large });
    startTerm(log, 1);
    log.append(batchOf({ values: ['v0'], timestamp: 1000 }), 1);
    await log.flushAndClose();
    // Made anew, the time index has the second batch for its one entry; the process dies before the state tells of that.
    await disk.remove(pathOf(0, 'timeindex'));
    await disk.remove(pathOf(0, 'index'));
    const { log: killed } = await openLog({ disk, config: large });
    killed.append(batchOf({ values: ['v1'], timestamp: 2000 }), 1);
    await flushed(killed);
    breakAt(/replica-state/);
    await expect(killed.flushAndClose()).rejects.toMatchObject({ code: 'io' });
    breakAt(undefined);
    expect(await stampsOf(disk)).toEqual([2000]);
    const last = disk.kill();
    const { log: again } = await openLog({ disk: last, config: { indexIntervalBytes: 1 } });
    await again.flushAndClose();
    expect(await stampsOf(last)).toEqual([1000, 2000]);
  });

  it('of a log with one entry are there before the second is appended to them', async () => {
    const disk = new MemoryDisk();
    const small = { segmentBytes: 10_000, indexIntervalBytes: 100 };
    const { log } = await openLog({ disk, config: small });
    startTerm(log, 1);
    log.append(batchOf({ values: ['v0'], timestamp: 1000 }), 1);
    await log.flushAndClose();
    await disk.remove(pathOf(0, 'timeindex'));
    await disk.remove(pathOf(0, 'index'));
    const { log: again } = await openLog({ disk, config: small });
    for (const timestamp of [2000, 3000]) again.append(batchOf({ values: ['v'.repeat(200)], timestamp }), 1);
    await again.flushAndClose();
    const times = await readWholeFile(disk, pathOf(0, 'timeindex'));
    const entries = Array.from({ length: times.length / 12 }, (_, entry) => [
      Number(times.readBigInt64BE(entry * 12)),
      times.readInt32BE(entry * 12 + 8),
    ]);
    // What the lost file said in place of the first is told by the batch itself.
    expect(entries).toEqual([
      [2000, 1],
      [3000, 2],
    ]);
  });

  it('are what they were', async () => {
    const { disk, bases } = await build();
    const before = await indexesOf(disk);
    for (const base of bases.slice(0, -1)) {
      await disk.remove(pathOf(base, 'index'));
      await write(disk, pathOf(base, 'timeindex'), Buffer.alloc(7));
    }
    await expectExact(disk);
    expect(await indexesOf(disk)).toEqual(before);
  });
});

describe('index files of a segment that is appended to', () => {
  const names = async (disk: Disk): Promise<string[]> =>
    (await disk.list(directory)).filter((name) => name.endsWith('index'));

  it('come with the first entry, be it after an unclean start, and lose what they had too much', async () => {
    const disk = new MemoryDisk();
    const born = await openLog({ disk, config });
    startTerm(born.log, 1);
    const values = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const append = ({ log }: typeof born, value: string): void => {
      log.append(batchOf({ values: [value], timestamps: [1000] }), 1);
    };
    append(born, 'a');
    await flushed(born.log);
    // What an earlier life wrote there counts for nothing.
    await write(disk, pathOf(0, 'timeindex'), Buffer.alloc(24, 1));

    // Killed: the log that was there is left as it is.
    const next = await openLog({ disk, config });
    expect(next.recovery.kind).toBe('recovered');
    expect(await indexesOf(disk)).toEqual({ '00000000000000000000.timeindex': '' });
    for (const value of values.slice(1)) append(next, value);
    await flushed(next.log);

    const third = await openLog({ disk, config });
    expect(third.recovery.kind).toBe('recovered');
    expect(await names(disk)).toEqual(['00000000000000000000.index', '00000000000000000000.timeindex']);
    expect((await readAll(third.log)).map(({ value }) => value)).toEqual(values);
    expect(Object.values(await indexesOf(disk)).every((bytes) => bytes.length > 0)).toBe(true);
    await third.log.flushAndClose();
    expect((await openLog({ disk, config })).recovery.kind).toBe('clean');
  });

  it('are both there when it is closed', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog({ disk, config });
    startTerm(log, 1);
    log.append(batchOf({ values: ['a'], timestamps: [1000] }), 1);
    await flushed(log);
    expect(await names(disk)).toEqual([]);
    await log.flushAndClose();
    expect(await names(disk)).toEqual(['00000000000000000000.index', '00000000000000000000.timeindex']);
  });
});
