import { describe, expect, it } from 'vitest';
import { FetchedRecords } from '../../../../client/consumer/fetched-records.ts';
import { PartitionState } from '../../../../client/consumer/partition-state.ts';
import { encodeBatch, setBaseOffset } from '../../../../protocol/index.ts';

interface Options {
  readonly producerId?: number;
  readonly control?: 'abort' | 'commit';
  readonly isTransactional?: boolean;
}

function batch(baseOffset: number, count: number, options: Options = {}): Buffer {
  const { producerId = -1, control, isTransactional = producerId >= 0 } = options;
  const key = control === undefined ? null : Buffer.from([0, 0, 0, control === 'abort' ? 0 : 1]);
  const records = Array.from({ length: count }, () => ({ timestamp: 5, key, value: Buffer.from('v') }));
  const bytes = encodeBatch(records, {
    producerId,
    producerEpoch: 0,
    isTransactional,
    isControl: control !== undefined,
  });
  setBaseOffset(bytes, 0, baseOffset);
  return bytes;
}

function read(
  bytes: Buffer,
  options: {
    from?: number;
    end?: number;
    aborted?: { producerId: number; firstOffset: number }[];
    committed?: boolean;
  } = {},
) {
  const { from = 0, end = Infinity, aborted = [], committed = true } = options;
  const state = new PartitionState({ topic: 't', partition: 3 }, from, end);
  const fetched = new FetchedRecords(
    state,
    bytes,
    { highWatermark: 100, abortedTransactions: aborted },
    committed,
  );
  const offsets: number[] = [];
  let nextOffset = from;
  while (!fetched.isUsedUp) {
    const decoded = fetched.decode(nextOffset, end);
    offsets.push(...decoded.messages.map((message) => message.offset));
    nextOffset = decoded.nextOffset;
    if (nextOffset >= end) break;
  }
  return { offsets, nextOffset, fetchedTo: fetched.nextOffset };
}

describe('fetched records', () => {
  it('begin where they were asked for and end where reading ends', () => {
    const bytes = Buffer.concat([batch(0, 5), batch(5, 5), batch(12, 3)]);
    expect(read(bytes, { from: 3, end: 13 })).toEqual({
      offsets: [3, 4, 5, 6, 7, 8, 9, 12],
      nextOffset: 13,
      fetchedTo: 15,
    });
  });

  it('leave a batch that was cut off for the next fetch', () => {
    const bytes = Buffer.concat([batch(0, 2), batch(2, 2).subarray(0, 70)]);
    expect(read(bytes)).toEqual({ offsets: [0, 1], nextOffset: 2, fetchedTo: 2 });
  });

  it('hand out no control records, and go on behind them', () => {
    const bytes = Buffer.concat([
      batch(0, 2, { producerId: 7 }),
      batch(2, 1, { producerId: 7, control: 'commit' }),
    ]);
    expect(read(bytes)).toEqual({ offsets: [0, 1], nextOffset: 3, fetchedTo: 3 });
    expect(read(bytes, { committed: false }).offsets).toEqual([0, 1]);
  });

  it('leave out what was aborted, of that producer, up to its marker', () => {
    const bytes = Buffer.concat([
      batch(0, 1, { producerId: 7 }),
      batch(1, 1, { producerId: 8 }),
      batch(2, 1),
      batch(3, 1, { producerId: 7, isTransactional: false }),
      batch(4, 1, { producerId: 7, control: 'abort' }),
      batch(5, 1, { producerId: 7 }),
      batch(6, 1, { producerId: 8, control: 'commit' }),
      batch(7, 1, { producerId: 7, control: 'commit' }),
    ]);
    const aborted = [{ producerId: 7, firstOffset: 0 }];
    expect(read(bytes, { aborted }).offsets).toEqual([1, 2, 3, 5]);
    expect(read(bytes, { aborted, committed: false }).offsets).toEqual([0, 1, 2, 3, 5]);
    // The transaction began before this answer does: it is listed all the same.
    expect(read(bytes.subarray(batch(0, 1).length), { from: 1, aborted }).offsets).toEqual([1, 2, 3, 5]);
  });

  it('are refused when a byte has changed', () => {
    const bytes = batch(0, 2);
    bytes[bytes.length - 1]! ^= 1;
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code: 'CORRUPT_MESSAGE', retriable: false }));
  });
});
