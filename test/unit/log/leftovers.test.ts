/** Each thing that a crash may leave in a log's directory, and its rule in storage-format.md. */
import { describe, expect, it } from 'vitest';
import type { DurableFloor } from '../../../broker/log/sync/durable-floors.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { atEveryCrash } from './crash-points.ts';
import {
  appendValues,
  directory,
  expectedRecords,
  flushed,
  openLog,
  readAll,
  startTerm,
} from './log-harness.ts';

const config = { segmentBytes: 300, indexIntervalBytes: 50 };
const pathOf = (base: number, kind: string): string =>
  `${directory}/${String(base).padStart(20, '0')}.${kind}`;

/** Records 0 to 19 in segments of a few; stopped cleanly unless said otherwise. Returns the segments' bases. */
async function filled(disk: MemoryDisk, isStopped = true): Promise<number[]> {
  await disk.makeDirectory('/data');
  await disk.syncDirectory('/');
  const { log } = await openLog({ disk, config });
  startTerm(log, 1);
  for (let value = 0; value < 20; value++) {
    if (value === 7) startTerm(log, 3);
    appendValues(log, [`v${value}`], 1000 + value);
  }
  await flushed(log);
  if (isStopped) await log.flushAndClose();
  return log.segments().map(({ baseOffset }) => baseOffset);
}

async function write(disk: MemoryDisk, path: string, bytes: Buffer): Promise<void> {
  const file = await disk.open(path, 'create');
  await file.truncate(0);
  await file.write([bytes], 0);
}

async function bytesOf(disk: MemoryDisk, path: string): Promise<Buffer> {
  const file = await disk.open(path, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, 0);
  return bytes;
}

/** The log is whole, takes more, and is found as it was left. */
async function expectWhole(disk: MemoryDisk): Promise<void> {
  const { log, recovery } = await openLog({ disk, config });
  expect(recovery.damage).toBeUndefined();
  expect(await readAll(log)).toEqual(expectedRecords(20));
  expect((await log.offsetForTimestamp(1009, 20))?.offset).toBe(9);
  startTerm(log, 9);
  appendValues(log, ['v20']);
  await log.flushAndClose();
  const { log: again } = await openLog({ disk, config });
  expect(await readAll(again)).toEqual(expectedRecords(21));
}

describe('leftovers that mean nothing', () => {
  const names = [
    'replica-state.tmp',
    'partition.metadata.tmp',
    '00000000000000000000.log.cleaned',
    '00000000000000000000.index.cleaned',
    '00000000000000000000.timeindex.swap',
    '00000000000000000003.log.deleted',
    '00000000000000000000.log.valid',
    '00000000000000000001.index',
    '00000000000000000001.timeindex',
    '00000000000000000001.txnindex',
  ];
  it.each(names)('%s is removed', async (name) => {
    for (const isStopped of [true, false]) {
      const disk = new MemoryDisk();
      await filled(disk, isStopped);
      await write(disk, `${directory}/${name}`, Buffer.alloc(300, 0x5a));
      await expectWhole(disk);
      expect(await disk.list(directory)).not.toContain(name);
    }
  });

  it('segments below the log start, which were about to be deleted, go', async () => {
    const disk = new MemoryDisk();
    await filled(disk);
    const old = await bytesOf(disk, pathOf(0, 'log'));
    const { log } = await openLog({ disk, config });
    await log.advanceLogStart(8);
    await log.flushAndClose();
    await write(disk, pathOf(0, 'log'), old);
    const { log: again, recovery } = await openLog({ disk, config });
    expect([recovery.kind, again.logStartOffset]).toEqual(['clean', 8]);
    expect(await readAll(again)).toEqual(expectedRecords(20, 8));
    expect(await disk.exists(pathOf(0, 'log'))).toBe(false);
  });
});

describe('index files of a full segment', () => {
  it.each(['index', 'timeindex'])('are made again where they lack or are torn: .%s', async (kind) => {
    for (const spoil of ['missing', 'half', 'cut entry', 'longer', 'zeros']) {
      for (const isStateLost of [false, true]) {
        const disk = new MemoryDisk();
        const bases = await filled(disk);
        const path = pathOf(bases[1]!, kind);
        const whole = await bytesOf(disk, path);
        expect(whole.length).toBeGreaterThan(10);
        if (spoil === 'missing') await disk.remove(path);
        else if (spoil === 'half') await write(disk, path, whole.subarray(0, kind === 'index' ? 8 : 12));
        else if (spoil === 'cut entry') await write(disk, path, whole.subarray(0, whole.length - 5));
        else if (spoil === 'longer') await write(disk, path, Buffer.concat([whole, whole]));
        else await write(disk, path, Buffer.alloc(whole.length));
        if (isStateLost) await disk.remove(`${directory}/replica-state`);
        await expectWhole(disk);
        if (spoil !== 'longer' || isStateLost) expect(await bytesOf(disk, path), spoil).toEqual(whole);
      }
    }
  });
});

describe('damage', () => {
  const floor = (endIndex: number): DurableFloor => ({
    current: () => ({ term: 3, endIndex }),
    raise: () => undefined,
    lower: () => Promise.resolve(),
    forget: () => Promise.resolve(),
  });

  interface Broken {
    readonly name: string;
    /** Breaks the second segment; returns how many records are left before the damage. */
    readonly breakIt: (disk: MemoryDisk, bases: number[]) => Promise<number>;
    readonly reason: string;
  }
  const broken: Broken[] = [
    {
      name: 'a flipped bit in a full segment',
      breakIt: async (disk, bases) => {
        disk.flipBit(pathOf(bases[1]!, 'log'), 100, 2);
        return bases[1]! + 1;
      },
      reason: 'the CRC does not fit the batch',
    },
    {
      name: 'a full segment that is too short',
      breakIt: async (disk, bases) => {
        const whole = await bytesOf(disk, pathOf(bases[1]!, 'log'));
        await write(disk, pathOf(bases[1]!, 'log'), whole.subarray(0, whole.length - 10));
        return bases[2]! - 1;
      },
      reason: 'the last batch is cut off',
    },
    {
      name: 'zeros at the end of a full segment',
      breakIt: async (disk, bases) => {
        const whole = await bytesOf(disk, pathOf(bases[1]!, 'log'));
        await write(disk, pathOf(bases[1]!, 'log'), whole.fill(0, whole.length - 80));
        return bases[2]! - 2;
      },
      reason: 'the CRC does not fit the batch',
    },
    {
      name: 'a missing segment in the middle',
      breakIt: async (disk, bases) => {
        await disk.remove(pathOf(bases[1]!, 'log'));
        return bases[1]!;
      },
      reason: 'the segment begins at offset',
    },
    {
      name: 'a missing first segment',
      breakIt: async (disk, bases) => {
        await disk.remove(pathOf(bases[0]!, 'log'));
        return 0;
      },
      reason: 'the segment begins at offset',
    },
  ];

  it.each(broken)(
    '$name ends the log there; what is bad is set aside, and found again',
    async ({ breakIt, reason, name }) => {
      for (const isStateLost of [false, true]) {
        if (isStateLost && name === 'a missing first segment') continue;
        const disk = new MemoryDisk();
        const bases = await filled(disk);
        const before = new Map<string, Buffer>();
        // A bit that flips in what a clean stop vouches for is for scrubbing to find.
        if (name.startsWith('a flipped') || name.startsWith('zeros'))
          await disk.remove(`${directory}/replica-state`);
        else if (isStateLost) await disk.remove(`${directory}/replica-state`);
        const left = await breakIt(disk, bases);
        for (const path of await disk.list(directory))
          before.set(path, await bytesOf(disk, `${directory}/${path}`));
        for (let start = 0; start < 3; start++) {
          const { log, recovery } = await openLog({ disk, config });
          expect(recovery.kind).toBe('damaged');
          if (start === 0) expect(recovery.damage!.reason).toContain(reason);
          expect([recovery.damage!.validEndOffset, log.logEndOffset]).toEqual([left, left]);
          expect(log.damage).toEqual([recovery.damage]);
          expect(await readAll(log)).toEqual(expectedRecords(left));
          expect(() => appendValues(log, ['no'])).toThrow('a log that takes appends');
          await log.flushAndClose();
        }
        // Nothing of it is lost: every segment's bytes are there, under its own name or the one that it was set aside with.
        for (const [file, bytes] of before) {
          if (!file.endsWith('.log')) continue;
          const aside = `${directory}/${file}.damaged`;
          const kept = (await disk.exists(aside)) ? aside : `${directory}/${file}`;
          expect((await bytesOf(disk, kept)).equals(bytes), file).toBe(true);
        }
      }
    },
  );

  it('is not forgotten where nothing but the files set aside tells of it', async () => {
    const disk = new MemoryDisk();
    const bases = await filled(disk);
    await disk.remove(`${directory}/replica-state`);
    disk.flipBit(pathOf(bases[1]!, 'log'), 100, 2);
    await (await openLog({ disk, config })).log.flushAndClose();
    const { recovery } = await openLog({ disk, config });
    expect(recovery.damage).toMatchObject({
      reason: 'set aside when the log was opened before',
      file: `${pathOf(bases[1]!, 'log')}.damaged`,
    });
  });

  it('can happen twice to one segment', async () => {
    const disk = new MemoryDisk();
    const bases = await filled(disk);
    await disk.remove(`${directory}/replica-state`);
    disk.flipBit(pathOf(bases[1]!, 'log'), 180, 2);
    await openLog({ disk, config });
    disk.flipBit(pathOf(bases[1]!, 'log'), 20, 2);
    const { log } = await openLog({ disk, config });
    expect(log.logEndOffset).toBe(bases[1]);
    const names = await disk.list(directory);
    expect(names.filter((name) => name.includes('log.damaged')).length).toBe(bases.length);
    expect(names).toContain(`${String(bases[1]).padStart(20, '0')}.log.damaged.2`);
  });

  it('is served as it is where there is no space for a copy', async () => {
    let isFull = false;
    const disk = new MemoryDisk({
      faults: (operation, path) =>
        isFull && operation === 'write' && path.endsWith('.valid') ? 'no-space' : undefined,
    });
    const bases = await filled(disk);
    await disk.remove(`${directory}/replica-state`);
    disk.flipBit(pathOf(bases[1]!, 'log'), 100, 2);
    isFull = true;
    const { log, recovery } = await openLog({ disk, config, floor: floor(22) });
    expect([recovery.kind, log.logEndOffset]).toEqual(['damaged', bases[1]! + 1]);
    expect(await readAll(log)).toEqual(expectedRecords(bases[1]! + 1));
    expect(await disk.exists(`${pathOf(bases[1]!, 'log')}.damaged`)).toBe(false);
    expect((await disk.list(directory)).filter((name) => name.endsWith('.valid'))).toEqual([]);
  });

  it('is found again after a crash at any moment of setting it aside', async () => {
    const operations = await atEveryCrash({
      prepare: async (disk) => {
        const bases = await filled(disk);
        disk.flipBit(pathOf(bases[1]!, 'log'), 100, 2);
        await disk.remove(`${directory}/replica-state`);
        await disk.syncDirectory(directory);
        return { disk, left: bases[1]! + 1 };
      },
      act: ({ disk }) => openLog({ disk, config }),
      check: async (disk) => {
        const { log, recovery } = await openLog({ disk, config });
        expect(recovery.kind).toBe('damaged');
        expect(await readAll(log)).toEqual(expectedRecords(log.logEndOffset));
        const base = log.segments().at(-1)!.baseOffset;
        expect(log.logEndOffset).toBe(base + 1);
        const names = await disk.list(directory);
        expect(names.filter((name) => name.endsWith('.valid'))).toEqual([]);
        expect(names).toContain(`${String(base).padStart(20, '0')}.log.damaged`);
        expect((await openLog({ disk, config })).recovery.kind).toBe('damaged');
      },
    });
    expect(operations).toBeGreaterThan(30);
  });

  it('that scrubbing reports is listed, once, and the log goes on', async () => {
    const disk = new MemoryDisk();
    await filled(disk);
    const { log } = await openLog({ disk, config });
    const damage = {
      kind: 'corrupt',
      foundBy: 'scrub',
      file: pathOf(0, 'log'),
      position: 70,
      reason: 'the CRC does not fit the batch',
      validEndIndex: 2,
      validEndOffset: 1,
      floorTerm: 1,
      floorEndIndex: 22,
    } as const;
    log.reportDamage(damage);
    log.reportDamage({ ...damage });
    expect([log.damage, log.failure]).toEqual([[damage], undefined]);
    startTerm(log, 9);
    appendValues(log, ['v20']);
    expect(await readAll(log)).toEqual(expectedRecords(21));
  });
});

it('a newest segment whose name was lost before it held anything is made again', async () => {
  const disk = new MemoryDisk();
  await filled(disk);
  const clock = new ManualClock();
  const { log } = await openLog({ disk, clock, config: { ...config, segmentMs: 1000 } });
  clock.advance(2000);
  expect(await log.maybeRoll()).toBe(true);
  await log.flushAndClose();
  await disk.remove(pathOf(20, 'log'));
  await expectWhole(disk);
});
