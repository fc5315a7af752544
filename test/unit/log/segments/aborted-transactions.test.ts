import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AbortedTransactionIndex,
  decodeAbortedTransactions,
  encodeAbortedTransactions,
  OpenTransactions,
} from '../../../../broker/log/segments/aborted-transactions.ts';
import type { AbortedTransaction } from '../../../../broker/log/segments/aborted-transactions.ts';
import { TransactionIndexFiles } from '../../../../broker/log/segments/transaction-index-files.ts';
import type { TransactionSegment } from '../../../../broker/log/segments/transaction-index-files.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { encodeBatch, encodeTransactionMarker } from '../../../../protocol/index.ts';

const directory = '/data/t-0';

interface Step {
  readonly producerId: number;
  readonly kind: 'data' | 'abort' | 'commit' | 'roll';
}

const steps = fc.array(
  fc.record({
    producerId: fc.integer({ min: 0, max: 3 }),
    kind: fc.constantFrom<Step['kind'][]>('data', 'data', 'data', 'abort', 'commit', 'roll'),
  }),
  { minLength: 10, maxLength: 60 },
);

interface Written {
  readonly disk: MemoryDisk;
  readonly segments: TransactionSegment[];
  /** By definition, from the steps alone. */
  readonly aborted: AbortedTransaction[];
}

/** Writes the steps as batches into segment files and keeps account of the transactions in the plainest way. */
async function write(all: readonly Step[]): Promise<Written> {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  const open = new Map<number, number>();
  const aborted: AbortedTransaction[] = [];
  const segments: TransactionSegment[] = [];
  let offset = 0;
  let base = 0;
  let batches: Buffer[] = [];
  const finish = async (): Promise<void> => {
    const path = `${directory}/${String(base).padStart(20, '0')}.log`;
    const file = await disk.open(path, 'create');
    await file.write(batches, 0);
    await file.close();
    const writtenBytes = Buffer.concat(batches).length;
    segments.push({ directory, baseOffset: base, endOffset: offset, writtenBytes, path });
  };
  for (const { kind, producerId } of all) {
    if (kind === 'roll') {
      if (offset === base) continue;
      await finish();
      base = offset;
      batches = [];
    } else if (kind === 'data') {
      const records = [{ timestamp: 1 }, { timestamp: 1 }];
      const fields = { baseOffset: offset, producerId, producerEpoch: 0, baseSequence: 0 };
      batches.push(encodeBatch(records, { ...fields, isTransactional: true }));
      if (!open.has(producerId)) open.set(producerId, offset);
      offset += 2;
    } else {
      const type = kind === 'abort' ? 'ABORT' : 'COMMIT';
      const marker = { type, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1 } as const;
      batches.push(encodeTransactionMarker({ ...marker, baseOffset: offset }));
      const firstOffset = open.get(producerId);
      open.delete(producerId);
      if (firstOffset !== undefined && kind === 'abort') {
        const lastStableOffset = Math.min(offset + 1, ...open.values());
        aborted.push({ producerId, firstOffset, lastOffset: offset, lastStableOffset });
      }
      offset++;
    }
  }
  await finish();
  return { disk, segments, aborted };
}

async function rebuildAll({ disk, segments }: Written): Promise<TransactionIndexFiles> {
  const files = new TransactionIndexFiles(disk, []);
  const open = new OpenTransactions();
  for (const segment of segments) await files.rebuild(segment, open);
  return files;
}

function overlapping(all: readonly AbortedTransaction[], from: number, to: number): AbortedTransaction[] {
  return all.filter(({ firstOffset, lastOffset }) => lastOffset >= from && firstOffset < to);
}

describe('the index of aborted transactions', () => {
  it('made from the batches has each aborted transaction, and finds those of any range over segments', async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), fc.nat(), async (all, a, b) => {
        const written = await write(all);
        const { disk, segments, aborted } = written;
        await rebuildAll(written);
        // Opened anew: what is found comes from the files.
        const files = new TransactionIndexFiles(disk, await disk.list(directory));
        expect(files.isEmpty).toBe(aborted.length === 0);
        const end = segments.at(-1)!.endOffset;
        expect(await files.collect(segments, 0, end)).toEqual(aborted);
        const from = Math.min(a % (end + 1), b % (end + 1));
        const to = Math.max(a % (end + 1), b % (end + 1));
        const reached = segments.filter((segment) => segment.endOffset > from);
        const found = await files.collect(reached, from, to);
        // Beyond the range, where it is known that nothing more can follow, entries are left out.
        const expected = overlapping(aborted, from, to);
        expect(found).toEqual(expected);
        compared += expected.length;
      }),
      { numRuns: 300 },
    );
    expect(compared).toBeGreaterThan(50);
  });

  it('is the same when entries are added as markers come, and after a cut', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), async (all, at) => {
        const { disk, segments, aborted } = await write(all);
        const files = new TransactionIndexFiles(disk, []);
        for (const segment of segments) {
          for (const entry of aborted) {
            if (entry.lastOffset >= segment.baseOffset && entry.lastOffset < segment.endOffset)
              await files.add(segment, [entry]);
          }
        }
        const last = segments.at(-1)!;
        const cutAt = last.baseOffset + (at % (last.endOffset - last.baseOffset + 1));
        await files.cut(last, cutAt);
        const reopened = new TransactionIndexFiles(disk, await disk.list(directory));
        const kept = aborted.filter(({ lastOffset }) => lastOffset < cutAt);
        expect(await reopened.collect(segments, 0, last.endOffset)).toEqual(kept);
        const names = (await disk.list(directory)).filter((name) => name.endsWith('.txnindex'));
        const holders = segments.filter(({ baseOffset, endOffset }) =>
          kept.some(({ lastOffset }) => lastOffset >= baseOffset && lastOffset < endOffset),
        );
        expect(names).toHaveLength(holders.length);
      }),
      { numRuns: 150 },
    );
  });

  it('has Kafka’s bytes', () => {
    const bytes = encodeAbortedTransactions([
      { producerId: 0x0102030405, firstOffset: 6, lastOffset: 0x100000007, lastStableOffset: 8 },
    ]);
    const fields = ['0000', '0000000102030405', '0000000000000006', '0000000100000007', '0000000000000008'];
    expect(bytes.toString('hex')).toBe(fields.join(''));
  });

  it('stops at what cannot be an entry, and says why', () => {
    const segment = { baseOffset: 10, endOffset: 40 };
    const good = { producerId: 7, firstOffset: 5, lastOffset: 12, lastStableOffset: 13 };
    const bad: readonly (readonly [Partial<AbortedTransaction>, RegExp])[] = [
      [{ producerId: -2 }, /entry 1 has the producer id -2/],
      [{ firstOffset: 20, lastOffset: 20 }, /from offset 20 to its marker at 20/],
      [{ lastOffset: 40 }, /marker at offset 40, outside the segment's 10 to 40/],
      [{ lastOffset: 9 }, /marker at offset 9, outside/],
      [{ lastOffset: 12 }, /at offset 12, after one at 12/],
      [{ lastOffset: 20, lastStableOffset: 22 }, /says 22 was stable at its marker at 20/],
    ];
    for (const [change, fault] of bad) {
      const bytes = encodeAbortedTransactions([good, { ...good, lastOffset: 20, ...change }]);
      const read = decodeAbortedTransactions(bytes, segment);
      expect(read.entries).toEqual([good]);
      expect(read.fault).toMatch(fault);
    }
    const whole = encodeAbortedTransactions([good]);
    expect(decodeAbortedTransactions(whole, segment)).toEqual({ entries: [good], fault: undefined });
    expect(decodeAbortedTransactions(whole.subarray(0, 33), segment).fault).toMatch(/cut off/);
    whole[1] = 1;
    expect(decodeAbortedTransactions(whole, segment).fault).toMatch(/entry 0 is of version 1/);
  });

  it('refuses a damaged file when it is asked, and a rebuild makes it good', async () => {
    const written = await write([
      { kind: 'data', producerId: 1 },
      { kind: 'abort', producerId: 1 },
    ]);
    const { disk, segments, aborted } = written;
    await rebuildAll(written);
    const path = `${directory}/00000000000000000000.txnindex`;
    disk.flipBit(path, 18, 1);
    const files = new TransactionIndexFiles(disk, await disk.list(directory));
    await expect(files.collect(segments, 0, 3)).rejects.toThrow(`${path} is damaged: entry 0 has its marker`);
    await files.rebuild(segments[0]!, new OpenTransactions());
    expect(await files.collect(segments, 0, 3)).toEqual(aborted);
  });

  it('refuses markers that do not ascend', () => {
    const index = new AbortedTransactionIndex();
    index.add({ producerId: 1, firstOffset: 0, lastOffset: 5, lastStableOffset: 6 });
    expect(() => index.add({ producerId: 2, firstOffset: 1, lastOffset: 5, lastStableOffset: 6 })).toThrow(
      'markers ascend',
    );
  });
});
