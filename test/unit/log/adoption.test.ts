/** Logs that Apache Kafka wrote: no entries of Raft's, epochs from 0, gaps where a compaction has been. */
import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { encodeBatch } from '../../../protocol/index.ts';
import { appendValues, directory, flushed, openLog, readAll, startTerm } from './log-harness.ts';

interface KafkaBatch {
  readonly offset: number;
  readonly epoch: number;
  readonly values: readonly string[];
}

const segments: readonly (readonly KafkaBatch[])[] = [
  [
    { offset: 5, epoch: 0, values: ['a', 'b'] },
    { offset: 9, epoch: 0, values: ['c'] },
    { offset: 10, epoch: 2, values: ['d'] },
  ],
  [
    { offset: 22, epoch: 2, values: ['e'] },
    { offset: 30, epoch: 7, values: ['f', 'g', 'h'] },
  ],
];
const nameOf = (base: number) => String(base).padStart(20, '0');

async function write(disk: MemoryDisk, name: string, bytes: Buffer): Promise<void> {
  const file = await disk.open(`${directory}/${name}`, 'create');
  await file.write([bytes], 0);
}

/** The first segment's base is below its first batch, as after a compaction. */
async function kafkaLog(): Promise<{ disk: MemoryDisk; files: Map<string, Buffer> }> {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  const files = new Map<string, Buffer>();
  for (const [place, batches] of segments.entries()) {
    const bytes = batches.map(({ offset, epoch, values }) =>
      encodeBatch(
        values.map((value) => ({ timestamp: 1000 + offset, value: Buffer.from(value) })),
        { baseOffset: offset, partitionLeaderEpoch: epoch },
      ),
    );
    files.set(`${nameOf(place === 0 ? 3 : 20)}.log`, Buffer.concat(bytes));
  }
  for (const [name, bytes] of files) await write(disk, name, bytes);
  await write(disk, 'leader-epoch-checkpoint', Buffer.from('0\n3\n0 5\n2 10\n7 30\n'));
  await write(disk, 'partition.metadata', Buffer.from('version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n'));
  return { disk, files };
}

const records = segments
  .flat()
  .flatMap(({ offset, values }) => values.map((value, place) => ({ offset: offset + place, value })));

async function contentOf(disk: MemoryDisk, name: string): Promise<Buffer> {
  const file = await disk.open(`${directory}/${name}`, 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, 0);
  return bytes;
}

describe('a log of Apache Kafka', () => {
  it('is read as it is, to the byte, with its epochs', async () => {
    const { disk, files } = await kafkaLog();
    const { log, recovery } = await openLog({ disk });
    expect(recovery).toMatchObject({ kind: 'recovered', damage: undefined, tornBytes: 0 });
    expect([log.logStartOffset, log.logEndOffset, log.lastTerm]).toEqual([3, 33, 7]);
    expect(await readAll(log)).toEqual(records);
    for (const [name, bytes] of files) expect((await contentOf(disk, name)).equals(bytes)).toBe(true);
    expect([5, 9, 10, 22, 30].map((offset) => log.epochAt(offset))).toEqual([0, 0, 2, 2, 7]);
    expect([0, 1, 2, 6, 7, 8].map((epoch) => log.endOffsetForEpoch(epoch))).toEqual([
      { epoch: 0, endOffset: 10 },
      { epoch: 0, endOffset: 10 },
      { epoch: 2, endOffset: 30 },
      { epoch: 2, endOffset: 30 },
      { epoch: 7, endOffset: 33 },
      undefined,
    ]);
    expect(log.raftOnlyEntries()).toEqual([]);
    expect((await log.offsetForTimestamp(1010, 33))?.offset).toBe(10);
  });

  it('goes on as one of Kappalog, over restarts of any kind, and when its state is lost', async () => {
    const { disk } = await kafkaLog();
    const { log } = await openLog({ disk });
    startTerm(log, 8);
    appendValues(log, ['i', 'j']);
    await flushed(log);
    const all = [...records, { offset: 33, value: 'i' }, { offset: 34, value: 'j' }];
    const { endIndex } = log;
    const reopen = async (kind: string): Promise<void> => {
      const { log: again, recovery } = await openLog({ disk });
      expect([recovery.kind, recovery.damage]).toEqual([kind, undefined]);
      expect(await readAll(again)).toEqual(all);
      expect([again.endIndex, again.logStartOffset, again.epochAt(9), again.epochAt(34)]).toEqual([
        endIndex,
        3,
        0,
        8,
      ]);
      expect(again.offsetOfIndex(again.indexOfOffset(34))).toBe(34);
      await again.flushAndClose();
    };
    await reopen('recovered');
    await reopen('clean');
    await disk.remove(`${directory}/replica-state`);
    await reopen('recovered');
  });

  it('of one epoch and of none at all is adopted too', async () => {
    const disk = new MemoryDisk();
    await disk.makeDirectory(directory);
    await write(disk, `${nameOf(500)}.log`, Buffer.alloc(0));
    await write(disk, 'leader-epoch-checkpoint', Buffer.from('0\n0\n'));
    const { log } = await openLog({ disk });
    expect([log.logStartOffset, log.logEndOffset, log.lastTerm]).toEqual([500, 500, 0]);
    startTerm(log, 1);
    expect(appendValues(log, ['x'])).toBe(500);

    const one = new MemoryDisk();
    await one.makeDirectory(directory);
    await write(
      one,
      `${nameOf(0)}.log`,
      encodeBatch([{ timestamp: 1, value: Buffer.from('x') }], { baseOffset: 0, partitionLeaderEpoch: 0 }),
    );
    await write(one, 'leader-epoch-checkpoint', Buffer.from('0\n1\n0 0\n'));
    const { log: single } = await openLog({ disk: one });
    expect(single.endOffsetForEpoch(0)).toEqual({ epoch: 0, endOffset: 1 });
    startTerm(single, 1);
    expect(appendValues(single, ['y'])).toBe(1);
  });

  it('that is not whole is damaged, not cut', async () => {
    for (const breakIt of [
      async (disk: MemoryDisk) => disk.flipBit(`${directory}/${nameOf(20)}.log`, 90, 1),
      async (disk: MemoryDisk) => {
        await (await disk.open(`${directory}/${nameOf(20)}.log`, 'write')).truncate(100);
      },
      // A batch of the message format before the present one.
      async (disk: MemoryDisk) => {
        await (await disk.open(`${directory}/${nameOf(20)}.log`, 'write')).write([Buffer.from([1])], 16);
      },
    ]) {
      const { disk } = await kafkaLog();
      await breakIt(disk);
      const before = await contentOf(disk, `${nameOf(20)}.log`);
      const { log, recovery } = await openLog({ disk });
      expect(recovery.kind).toBe('damaged');
      expect(await readAll(log)).toEqual(records.filter(({ offset }) => offset < log.logEndOffset));
      expect((await contentOf(disk, `${nameOf(20)}.log.damaged`)).equals(before)).toBe(true);
    }
  });
});

it('gaps and epochs without an entry of Raft’s are faults in a log that Kafka did not write', async () => {
  const { disk } = await kafkaLog();
  await disk.remove(`${directory}/leader-epoch-checkpoint`);
  const { recovery } = await openLog({ disk });
  expect(recovery.damage).toMatchObject({ position: 0, reason: 'the batch does not begin at offset 3' });
});
