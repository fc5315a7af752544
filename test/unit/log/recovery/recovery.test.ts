import { describe, expect, it } from 'vitest';
import type { DurableFloor, Floor } from '../../../../broker/log/sync/durable-floors.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import {
  appendValues,
  directory,
  expectedRecords,
  flushed,
  openLog,
  readAll,
  startTerm,
} from '../log-harness.ts';

const logPath = `${directory}/00000000000000000000.log`;

/** A floor as it stands in a test; never moves. */
function floorAt(floor: Floor | undefined): DurableFloor {
  return {
    current: () => floor,
    raise: () => undefined,
    lower: () => Promise.resolve(),
    forget: () => Promise.resolve(),
  };
}

interface Written {
  /** Where the batches begin... */
  readonly begins: number[];
  /** ...and end. */
  readonly ends: number[];
}

/** A log of five batches of one record, with a new term before the fourth, not stopped cleanly. */
async function writeLog(disk: MemoryDisk): Promise<Written> {
  const { log } = await openLog({ disk });
  const written: Written = { begins: [], ends: [] };
  startTerm(log, 1);
  for (let value = 0; value < 5; value++) {
    if (value === 3) startTerm(log, 2);
    written.begins.push(log.sizeBytes);
    appendValues(log, [`v${value}`], 1000 + value);
    written.ends.push(log.sizeBytes);
  }
  await flushed(log);
  return written;
}

async function bytesOf(disk: MemoryDisk, path: string): Promise<Buffer> {
  const file = await disk.open(path, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, 0);
  return bytes;
}

async function patch(disk: MemoryDisk, path: string, position: number, bytes: Buffer): Promise<void> {
  await (await disk.open(path, 'write')).write([bytes], position);
}

async function cut(disk: MemoryDisk, path: string, sizeBytes: number): Promise<void> {
  await (await disk.open(path, 'write')).truncate(sizeBytes);
}

describe('a torn tail', () => {
  it('is cut wherever the last bytes end, and what is before stays', async () => {
    const { ends } = await writeLog(new MemoryDisk());
    const end = ends.at(-1)!;
    for (let sizeBytes = 0; sizeBytes <= end; sizeBytes += 7) {
      const disk = new MemoryDisk();
      await writeLog(disk);
      await cut(disk, logPath, sizeBytes);
      const { log, recovery } = await openLog({ disk });
      const kept = ends.filter((position) => position <= sizeBytes).length;
      expect(log.logEndOffset).toBe(kept);
      expect(await readAll(log)).toEqual(expectedRecords(kept));
      expect(recovery).toMatchObject({ kind: 'recovered', damage: undefined });
      expect(log.sizeBytes).toBe(sizeBytes - recovery.tornBytes - recovery.zeroBytes);
      startTerm(log, 9);
      expect(appendValues(log, ['next'])).toBe(kept);
    }
  });

  it('that is all there is leaves an empty log, which has had no term', async () => {
    const disk = new MemoryDisk();
    const written = (await openLog({ disk })).log;
    startTerm(written, 2);
    await flushed(written);
    await patch(disk, logPath, 21, Buffer.alloc(8));
    const { log } = await openLog({ disk });
    expect([log.endIndex, log.logEndOffset, log.lastTerm]).toEqual([1, 0, 0]);
    startTerm(log, 1);
    expect(appendValues(log, ['first'])).toBe(0);
  });

  it('takes zeros after the last batch for never written', async () => {
    const disk = new MemoryDisk();
    const end = (await writeLog(disk)).ends.at(-1)!;
    await cut(disk, logPath, end + 100_000);
    const { log, recovery } = await openLog({ disk });
    expect(recovery).toMatchObject({ kind: 'recovered', tornBytes: 0, zeroBytes: 100_000 });
    expect([log.sizeBytes, log.logEndOffset]).toEqual([end, 5]);
    expect((await bytesOf(disk, logPath)).length).toBe(end);
  });
});

describe('a flipped bit', () => {
  it('anywhere in a batch, header or body, ends the log there', async () => {
    const { begins, ends } = await writeLog(new MemoryDisk());
    const [from, to] = [begins[3]!, ends[3]!];
    for (let position = from; position < to; position++) {
      const disk = new MemoryDisk();
      await writeLog(disk);
      disk.flipBit(logPath, position, position % 8);
      const { log, recovery } = await openLog({ disk });
      expect(log.logEndOffset, `byte ${position - from}`).toBe(3);
      expect(recovery.tornReason).toBeTypeOf('string');
      expect(await readAll(log)).toEqual(expectedRecords(3));
    }
  });

  it('below the durable floor is damage: the segment is set aside, reading goes up to it, appending is refused', async () => {
    const disk = new MemoryDisk();
    const { begins } = await writeLog(disk);
    disk.flipBit(logPath, begins[2]! + 65, 3);
    const before = await bytesOf(disk, logPath);
    const { log, recovery } = await openLog({ disk, floor: floorAt({ term: 2, endIndex: 8 }) });
    expect(recovery.kind).toBe('damaged');
    expect(recovery.damage).toEqual({
      kind: 'corrupt',
      foundBy: 'recovery',
      file: logPath,
      position: begins[2],
      reason: 'the CRC does not fit the batch',
      validEndIndex: 4,
      validEndOffset: 2,
      floorTerm: 2,
      floorEndIndex: 8,
    });
    expect((await bytesOf(disk, `${logPath}.damaged`)).equals(before)).toBe(true);
    expect((await bytesOf(disk, logPath)).equals(before.subarray(0, begins[2]))).toBe(true);
    expect(await readAll(log)).toEqual(expectedRecords(2));
    expect(log.failure?.kind).toBe('damage');
    expect(() => startTerm(log, 3)).toThrow('invariant broken');
    const told = await new Promise((resolve) => log.onFailure(resolve));
    expect(told).toBe(log.failure);
  });

  it('above the floor is a torn tail', async () => {
    const disk = new MemoryDisk();
    const { begins } = await writeLog(disk);
    disk.flipBit(logPath, begins[4]! + 65, 3);
    const { log, recovery } = await openLog({ disk, floor: floorAt({ term: 2, endIndex: 7 }) });
    expect(recovery).toMatchObject({ kind: 'recovered', damage: undefined });
    expect([log.logEndOffset, log.endIndex]).toEqual([4, 7]);
  });
});

describe('files that are missing', () => {
  it('of all segments, below a floor, are damage', async () => {
    const disk = new MemoryDisk();
    await writeLog(disk);
    await disk.remove(logPath);
    const { recovery } = await openLog({ disk, floor: floorAt({ term: 2, endIndex: 8 }) });
    expect(recovery.damage).toMatchObject({
      reason: 'all segments are gone',
      validEndIndex: 1,
      floorTerm: 2,
      floorEndIndex: 8,
    });
  });

  it.each(['replica-state', '00000000000000000000.index', '00000000000000000000.timeindex'])(
    'or spoilt are made anew: %s',
    async (name) => {
      for (const spoil of ['remove', 'flip', 'cut']) {
        const disk = new MemoryDisk();
        const config = { segmentBytes: 800, indexIntervalBytes: 100 };
        const { log } = await openLog({ disk, config });
        startTerm(log, 4);
        for (let value = 0; value < 30; value++) appendValues(log, [`v${value}`], 1000 + value);
        startTerm(log, 6);
        await log.flushAndClose();
        const before = await bytesOf(disk, `${directory}/${name}`);
        if (spoil === 'remove') await disk.remove(`${directory}/${name}`);
        else if (spoil === 'flip') disk.flipBit(`${directory}/${name}`, 0, 7);
        else await cut(disk, `${directory}/${name}`, before.length - 5);
        const { log: again, recovery } = await openLog({ disk, config });
        expect(recovery.damage).toBeUndefined();
        expect([again.logEndOffset, again.endIndex, again.lastTerm]).toEqual([30, 33, 6]);
        expect(await readAll(again)).toEqual(expectedRecords(30));
        expect(await again.offsetForTimestamp(1003, 30)).toMatchObject({
          offset: 3,
          timestamp: 1003,
          leaderEpoch: 4,
        });
        expect([again.epochAt(29), again.epochAt(30), again.termAt(32)]).toEqual([4, 6, 6]);
        await again.flushAndClose();
        if (name.endsWith('index') && spoil !== 'cut') {
          expect((await bytesOf(disk, `${directory}/${name}`)).equals(before)).toBe(true);
        }
      }
    },
  );
});

describe('a clean stop', () => {
  it('lets the next opening read no segment', async () => {
    const reads: string[] = [];
    const disk = new MemoryDisk({
      faults: (operation, path) => {
        if (operation === 'read') reads.push(path);
        return undefined;
      },
    });
    const config = { segmentBytes: 500 };
    const { log } = await openLog({ disk, config });
    startTerm(log, 1);
    for (let value = 0; value < 40; value++) appendValues(log, [`v${value}`]);
    await log.flushAndClose();
    reads.length = 0;
    const { log: again, recovery } = await openLog({ disk, config });
    expect(recovery).toEqual({
      kind: 'clean',
      scannedBytes: 0,
      tornBytes: 0,
      zeroBytes: 0,
      tornReason: undefined,
      damage: undefined,
    });
    expect(reads.filter((path) => path.endsWith('.log'))).toEqual([]);
    expect(again.segments()).toEqual(log.segments());
    expect(await readAll(again)).toEqual(expectedRecords(40));
    startTerm(again, 2);
    expect(appendValues(again, ['v40'])).toBe(40);
  });

  it('is damage afterwards if the log is shorter than it was, floor or not', async () => {
    const disk = new MemoryDisk();
    const { log } = await openLog({ disk });
    startTerm(log, 1);
    appendValues(log, ['v0']);
    const size = log.sizeBytes;
    appendValues(log, ['v1']);
    await log.flushAndClose();
    await cut(disk, logPath, size);
    const { log: again, recovery } = await openLog({ disk });
    expect(recovery.damage).toMatchObject({
      reason: 'the file ends early',
      validEndOffset: 1,
      floorTerm: 1,
      floorEndIndex: 4,
    });
    expect(await readAll(again)).toEqual(expectedRecords(1));
  });
});

it('gives the entries of Raft back as they were appended', async () => {
  const disk = new MemoryDisk();
  const { log } = await openLog({ disk });
  startTerm(log, 7);
  log.appendRaftOnly({ kind: 'configuration', term: 7, payload: Buffer.from('voters: 1 2 3') });
  appendValues(log, ['v0', 'v1']);
  log.appendRaftOnly({ kind: 'delete-records', term: 7, payload: Buffer.from([1]) });
  const entries = [
    { index: 1, offset: 0, term: 7, kind: 'term-start', payload: Buffer.alloc(0) },
    { index: 2, offset: 0, term: 7, kind: 'configuration', payload: Buffer.from('voters: 1 2 3') },
    { index: 5, offset: 2, term: 7, kind: 'delete-records', payload: Buffer.from([1]) },
  ];
  await flushed(log);
  const scanned = await openLog({ disk });
  expect(scanned.recovery.kind).toBe('recovered');
  expect(scanned.log.raftOnlyEntries()).toEqual(entries);
  await scanned.log.flushAndClose();
  const clean = await openLog({ disk });
  expect(clean.recovery.kind).toBe('clean');
  expect(clean.log.raftOnlyEntries()).toEqual(entries);
});

it('refuses a batch whose bytes are whole but stand in the wrong place', async () => {
  for (const { to, from, offset } of [
    { to: 4, from: 3, offset: 4 },
    { to: 2, from: 3, offset: 2 },
    { to: 2, from: 0, offset: 2 },
  ]) {
    const disk = new MemoryDisk();
    const { begins, ends } = await writeLog(disk);
    const bytes = await bytesOf(disk, logPath);
    await patch(disk, logPath, begins[to]!, bytes.subarray(begins[from], ends[from]));
    const { log, recovery } = await openLog({ disk });
    expect(recovery.tornReason).toBe(`the batch does not begin at offset ${offset}`);
    expect(log.logEndOffset).toBe(offset);
  }
});
