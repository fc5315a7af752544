import { describe, expect, it } from 'vitest';
import {
  encodeAbortedTransactions,
  OpenTransactions,
} from '../../../../broker/log/segments/aborted-transactions.ts';
import type { AbortedTransaction } from '../../../../broker/log/segments/aborted-transactions.ts';
import { checkBatches } from '../../../../broker/log/recovery/segment-check.ts';
import { Segment } from '../../../../broker/log/segments/segment.ts';
import { TransactionIndexCheck } from '../../../../broker/log/recovery/transaction-index-check.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { encodeBatch, encodeTransactionMarker } from '../../../../protocol/index.ts';

const producerId = 7;

/** A segment with one transaction, whose batch of `valueBytes` is at offset 10 and whose abort at 11; without data nothing here tells where it began. */
async function faultOf(
  entries: readonly AbortedTransaction[] | undefined,
  { valueBytes = 10, hasData = true }: { valueBytes?: number; hasData?: boolean } = {},
): Promise<string | undefined> {
  const disk = new MemoryDisk();
  await disk.makeDirectory('/t-0');
  const segment = new Segment('/t-0', 10, 0);
  segment.endOffset = 12;
  const fields = { baseOffset: 10, producerEpoch: 0, baseSequence: 0 };
  const records = [{ timestamp: 1, value: Buffer.alloc(valueBytes) }];
  const data = encodeBatch(records, {
    ...fields,
    ...(hasData ? { producerId, isTransactional: true } : {}),
  });
  const marker = encodeTransactionMarker({
    type: 'ABORT',
    producerId,
    producerEpoch: 0,
    coordinatorEpoch: 0,
    timestamp: 1,
    baseOffset: 11,
  });
  const file = await disk.open(segment.path, 'create');
  await file.write([data, marker], 0);
  if (entries !== undefined) {
    const index = await disk.open(segment.transactionIndexPath, 'create');
    await index.write([encodeAbortedTransactions(entries)], 0);
  }
  const check = new TransactionIndexCheck(new OpenTransactions());
  const range = { from: 0, to: await file.size() };
  const { fault } = await checkBatches(file, range, {
    visit: (batch) => {
      check.take(batch);
      return undefined;
    },
  });
  expect(fault).toBeUndefined();
  return check.fault(disk, segment);
}

const entry = { producerId, firstOffset: 10, lastOffset: 11, lastStableOffset: 12 };

describe('the check of a segment’s aborted transactions', () => {
  it('takes a file that says what the markers do', async () => {
    expect(await faultOf([entry])).toBeUndefined();
    // It began before the segment, so that nobody here can know where.
    expect(await faultOf([{ ...entry, firstOffset: 3 }], { hasData: false })).toBeUndefined();
    expect(await faultOf(undefined, { hasData: false })).toBeUndefined();
  });

  it.each([10, 200_000])('misses a transaction that the file lacks, of %i bytes', async (valueBytes) => {
    expect(await faultOf(undefined, { valueBytes })).toBe(
      'the transaction that was aborted at offset 11 is missing',
    );
  });

  it('refuses an entry without a marker', async () => {
    expect(await faultOf([{ ...entry, firstOffset: 2, lastOffset: 10, lastStableOffset: 2 }, entry])).toBe(
      'nothing is aborted at offset 10',
    );
  });

  it('refuses what is no entry', async () => {
    expect(await faultOf([{ ...entry, lastOffset: 12 }])).toMatch(/outside the segment's 10 to 12$/);
  });
});
