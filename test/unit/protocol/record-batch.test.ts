/** Batches by example: headers patched in place, faults of records, false counts, builders. */
import { describe, expect, it } from 'vitest';
import {
  BatchBuilder,
  batchField,
  compress,
  compressAsync,
  decodeBatch,
  decodeControlRecord,
  encodeBatch,
  encodeTransactionMarker,
  iterateBatches,
  ProtocolError,
  readBatchHeader,
  rebuildBatch,
  recompressBatch,
  setBaseOffset,
  setCreateTime,
  setLogAppendTime,
  setPartitionLeaderEpoch,
  setProducerState,
  validateBatchRecords,
  verifyBatchCrc,
} from '../../../protocol/index.ts';
import type { CompressionCodec, NewRecord, ProtocolErrorCode } from '../../../protocol/index.ts';
import { writeBatchCrc, writeInt64 } from '../../../protocol/record-batch.ts';

const now = 1_700_000_000_000;
const codecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

function recordsOf(count: number): NewRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    timestamp: now + index,
    key: Buffer.from(`key-${index}`),
    value: Buffer.from(`value-${index}`),
    headers: index % 3 === 0 ? [{ key: 'h', value: Buffer.from([index]) }] : [],
  }));
}

function codeOf(run: () => unknown): ProtocolErrorCode | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return undefined;
}

/** The batch with other record bytes, uncompressed, and as many records as said. */
function withRecords(bytes: Buffer, recordCount: number): Buffer {
  const batch = Buffer.concat([encodeBatch([{ timestamp: now }]).subarray(0, 61), bytes]);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt32BE(recordCount - 1, 23);
  batch.writeInt32BE(recordCount, 57);
  writeBatchCrc(batch, 0);
  return batch;
}

describe('a batch in place', () => {
  it('takes its offset and leader epoch without a new CRC', () => {
    const batch = encodeBatch(recordsOf(3), { producerId: 9, producerEpoch: 1, baseSequence: 4 });
    const crc = batchField.crc(batch);
    setBaseOffset(batch, 0, 2 ** 40 + 1);
    setPartitionLeaderEpoch(batch, 0, 77);
    expect(verifyBatchCrc(batch)).toBe(true);
    expect(readBatchHeader(batch)).toMatchObject({
      baseOffset: 2 ** 40 + 1,
      lastOffset: 2 ** 40 + 3,
      partitionLeaderEpoch: 77,
      crc,
    });
    expect(decodeBatch(batch).map(({ offset }) => offset)).toEqual([2 ** 40 + 1, 2 ** 40 + 2, 2 ** 40 + 3]);
  });

  it('takes a log append time for all its records', () => {
    const batch = encodeBatch(recordsOf(3));
    setLogAppendTime(batch, 0, now + 1000);
    expect(verifyBatchCrc(batch)).toBe(true);
    expect(readBatchHeader(batch)).toMatchObject({
      isLogAppendTime: true,
      maxTimestamp: now + 1000,
      baseTimestamp: now,
    });
    expect(decodeBatch(batch).map(({ timestamp }) => timestamp)).toEqual([
      now + 1000,
      now + 1000,
      now + 1000,
    ]);
    setCreateTime(batch, 0, now + 2);
    expect(batch).toEqual(encodeBatch(recordsOf(3)));
  });

  it("takes its producer's state", () => {
    const state = { producerId: 2 ** 33, producerEpoch: 3, baseSequence: 2 ** 31 - 1 };
    const batch = encodeBatch(recordsOf(2));
    setProducerState(batch, 0, state);
    expect(batch).toEqual(encodeBatch(recordsOf(2), state));
  });

  it('shows its fields without an object, at any position', () => {
    const first = encodeBatch(recordsOf(1));
    const second = encodeBatch(recordsOf(2), {
      baseOffset: 5,
      compression: 'lz4',
      partitionLeaderEpoch: 8,
      producerId: 3,
    });
    const both = Buffer.concat([first, second]);
    const header = readBatchHeader(both, first.length);
    const at = first.length;
    expect(verifyBatchCrc(both, at)).toBe(true);
    expect({
      baseOffset: batchField.baseOffset(both, at),
      sizeBytes: batchField.sizeBytes(both, at),
      partitionLeaderEpoch: batchField.leaderEpoch(both, at),
      magic: batchField.magic(both, at),
      crc: batchField.crc(both, at),
      attributes: batchField.attributes(both, at),
      lastOffsetDelta: batchField.lastOffsetDelta(both, at),
      lastOffset: batchField.lastOffset(both, at),
      baseTimestamp: batchField.baseTimestamp(both, at),
      maxTimestamp: batchField.maxTimestamp(both, at),
      producerId: batchField.producerId(both, at),
      producerEpoch: batchField.producerEpoch(both, at),
      baseSequence: batchField.baseSequence(both, at),
      recordCount: batchField.recordCount(both, at),
      compression: batchField.compression(both, at),
    }).toMatchObject({ ...pick(header) });
    both[at + 70]! ^= 1;
    expect(verifyBatchCrc(both, at)).toBe(false);
    expect(verifyBatchCrc(both, 0)).toBe(true);
    expect(verifyBatchCrc(both.subarray(0, -1), at)).toBe(false);
  });
});

function pick(header: ReturnType<typeof readBatchHeader>): object {
  const { isTransactional, isControl, isLogAppendTime, hasDeleteHorizon, batchLength, ...rest } = header;
  expect([isTransactional, isControl, isLogAppendTime, hasDeleteHorizon]).toEqual([
    false,
    false,
    false,
    false,
  ]);
  expect(batchLength).toBe(header.sizeBytes - 12);
  return rest;
}

describe('a header', () => {
  it('is refused when it cannot be', () => {
    const batch = encodeBatch(recordsOf(1));
    expect(codeOf(() => readBatchHeader(batch.subarray(0, 16)))).toBe('short');
    expect(codeOf(() => readBatchHeader(batch.subarray(0, 60)))).toBe('short');
    const changed = (change: (copy: Buffer) => void): ProtocolErrorCode | undefined => {
      const copy = Buffer.from(batch);
      change(copy);
      return codeOf(() => readBatchHeader(copy));
    };
    expect(changed((copy) => copy.writeInt8(1, 16))).toBe('unsupported-magic');
    expect(changed((copy) => copy.writeInt8(3, 16))).toBe('unsupported-magic');
    expect(changed((copy) => copy.writeInt32BE(48, 8))).toBe('bad-batch');
    expect(changed((copy) => copy.writeInt32BE(-1, 8))).toBe('bad-batch');
    expect(changed((copy) => copy.writeInt16BE(5, 21))).toBe('bad-batch');
    expect(changed((copy) => copy.writeInt32BE(-1, 57))).toBe('bad-batch');
  });

  it('of a batch that is cut off can be read; its records cannot', () => {
    const batch = encodeBatch(recordsOf(5));
    const cut = batch.subarray(0, -1);
    expect(readBatchHeader(cut).recordCount).toBe(5);
    expect(codeOf(() => decodeBatch(cut))).toBe('short');
    expect(codeOf(() => validateBatchRecords(cut))).toBe('short');
    expect([...iterateBatches(cut)]).toEqual([]);
  });
});

describe.each(codecs)('a false record count in a batch of %s', (compression) => {
  it('is seen before it costs anything', () => {
    for (const count of [0, 4, 6, 1000, 2 ** 31 - 1]) {
      const batch = encodeBatch(recordsOf(5), { compression });
      batch.writeInt32BE(count, 57);
      writeBatchCrc(batch, 0);
      const expected = count === 6 ? 'bad-record' : 'bad-batch';
      expect(
        codeOf(() => decodeBatch(batch)),
        `${count}`,
      ).toBe(expected);
      if (count === 6) expect(validateBatchRecords(batch)).toMatchObject({ kind: 'malformed', index: 5 });
      else
        expect(
          codeOf(() => validateBatchRecords(batch)),
          `${count}`,
        ).toBe('bad-batch');
    }
  });

  it('does not hide behind the limit of what is decompressed', () => {
    const batch = encodeBatch([{ timestamp: now, value: Buffer.alloc(100_000) }], { compression });
    if (compression === 'none')
      return expect(decodeBatch(batch, { decompressedBytesMax: 10 }).length).toBe(1);
    expect(codeOf(() => decodeBatch(batch, { decompressedBytesMax: 100_000 }))).toBe(
      'decompressed-too-large',
    );
    expect(decodeBatch(batch, { decompressedBytesMax: 100_100 })[0]!.value!.length).toBe(100_000);
  });
});

describe('records one by one', () => {
  it('must use up their length exactly', () => {
    const good = '0c000000010100';
    // Its bytes keep the count of records plausible.
    const longer = '16000000010a616263646500';
    expect(validateBatchRecords(withRecords(Buffer.from(good, 'hex'), 1))).toBeUndefined();
    const bad = [
      // One byte more or less than announced, a key or value beyond the record, lengths below -1, headers that are not there.
      '0e00000001010000',
      '0a0000000101',
      '0c000000100100',
      '0c000000011000',
      '0c000000030100',
      '0c000000010300',
      '0c000000010102',
      '0c000000010101',
      '0c00000001017e',
      '0c0000ffffffff',
      '7e000000010100',
      '01000000010100',
      '0c00ffffffffff',
    ];
    for (const hex of bad) {
      const bytes = Buffer.from(good + hex + longer, 'hex');
      const batch = withRecords(bytes, 3);
      expect(validateBatchRecords(batch), hex).toMatchObject({ kind: 'malformed', index: 1 });
      expect(
        codeOf(() => decodeBatch(batch)),
        hex,
      ).toBe('bad-record');
    }
    const trailing = withRecords(Buffer.from(`${good}00`, 'hex'), 1);
    expect(codeOf(() => validateBatchRecords(trailing))).toBe('bad-batch');
  });

  it('must have headers that lie within them', () => {
    // Two headers: "a" with null, "" with one byte.
    const good = Buffer.from('18000000010104026101000207', 'hex');
    expect(decodeBatch(withRecords(good, 1))[0]!.headers).toEqual([
      { key: 'a', value: null },
      { key: '', value: Buffer.from([7]) },
    ]);
    for (const hex of [
      '18000000010104026101000407',
      '18000000010104016101000207',
      '18000000010104026103000207',
    ]) {
      expect(validateBatchRecords(withRecords(Buffer.from(hex, 'hex'), 1)), hex).toMatchObject({
        kind: 'malformed',
      });
    }
  });

  it('need keys where the topic is compacted', () => {
    const batch = encodeBatch([{ timestamp: now, key: Buffer.alloc(0) }, { timestamp: now }], {
      compression: 'gzip',
    });
    expect(validateBatchRecords(batch)).toBeUndefined();
    expect(validateBatchRecords(batch, { requireKeys: true })).toMatchObject({
      kind: 'missing-key',
      index: 1,
    });
  });

  it('must have times within bounds, or none', () => {
    const batch = encodeBatch([
      { timestamp: now },
      { timestamp: now + 50 },
      { timestamp: now - 50 },
      { timestamp: -1 },
    ]);
    expect(validateBatchRecords(batch, { timestampMin: now - 50, timestampMax: now + 50 })).toBeUndefined();
    expect(validateBatchRecords(batch, { timestampMin: now - 50, timestampMax: now + 49 })).toMatchObject({
      kind: 'timestamp',
      index: 1,
    });
    expect(validateBatchRecords(batch, { timestampMin: now - 49, timestampMax: now + 50 })).toMatchObject({
      kind: 'timestamp',
      index: 2,
    });
    expect(validateBatchRecords(batch, { timestampMin: now + 1 })).toMatchObject({
      kind: 'timestamp',
      index: 0,
    });
  });

  it('of a LogAppendTime batch have the time of its header', () => {
    const batch = encodeBatch([{ timestamp: 5 }]);
    setLogAppendTime(batch, 0, now);
    expect(validateBatchRecords(batch, { timestampMin: now, timestampMax: now })).toBeUndefined();
    expect(validateBatchRecords(batch, { timestampMin: 0, timestampMax: now - 1 })).toMatchObject({
      kind: 'timestamp',
    });
    setLogAppendTime(batch, 0, -1);
    expect(validateBatchRecords(batch, { timestampMin: 0, timestampMax: now })).toMatchObject({
      kind: 'timestamp',
    });
    expect(validateBatchRecords(batch)).toBeUndefined();
  });

  it('need not be numbered in sequence unless that is asked for', () => {
    const batch = withRecords(Buffer.from('0c0000000101000c000004010100', 'hex'), 2);
    const summary = { maxTimestamp: 0, maxTimestampOffsetDelta: 0, isSequential: true };
    expect(validateBatchRecords(batch, { summary })).toBeUndefined();
    expect(summary.isSequential).toBe(false);
    expect(validateBatchRecords(batch, { requireSequentialOffsets: true })).toMatchObject({
      kind: 'offset-delta',
      index: 1,
    });
    const rebuilt = recompressBatch(batch, 'lz4');
    expect(validateBatchRecords(rebuilt, { requireSequentialOffsets: true, summary })).toBeUndefined();
    expect(summary.isSequential).toBe(true);
  });

  it('tell the largest time and the first record that has it', () => {
    const summary = { maxTimestamp: 0, maxTimestampOffsetDelta: 0, isSequential: false };
    const times = [now, now + 9, now - 5, now + 9];
    validateBatchRecords(encodeBatch(times.map((timestamp) => ({ timestamp }))), { summary });
    expect(summary).toEqual({ maxTimestamp: now + 9, maxTimestampOffsetDelta: 1, isSequential: true });
    validateBatchRecords(encodeBatch([{ timestamp: -1 }, { timestamp: -1 }]), { summary });
    expect(summary).toEqual({ maxTimestamp: -1, maxTimestampOffsetDelta: -1, isSequential: true });
  });
});

describe('BatchBuilder', () => {
  it('refuses the record that would take it above its limit, but never the first', () => {
    const record = { timestamp: now, value: Buffer.alloc(100) };
    const builder = new BatchBuilder({ sizeBytesMax: 61 + 2 * 109 });
    expect([1, 2, 3].map(() => builder.tryAppend(record))).toEqual([true, true, false]);
    expect([builder.recordCount, builder.estimatedSizeBytes]).toEqual([2, 61 + 2 * 109]);
    expect(builder.build().length).toBe(61 + 2 * 109);
    const tiny = new BatchBuilder({ sizeBytesMax: 10 });
    expect([tiny.tryAppend(record), tiny.tryAppend(record), tiny.recordCount]).toEqual([true, false, 1]);
  });

  it('builds the same on the thread pool, and takes producer fields late', async () => {
    for (const compression of codecs) {
      const [first, second] = [new BatchBuilder({ compression }), new BatchBuilder({ compression })];
      for (const record of recordsOf(200))
        expect([first.tryAppend(record), second.tryAppend(record)]).toEqual([true, true]);
      const producer = { producerId: 5, producerEpoch: 6, baseSequence: 7 };
      const built = first.build(producer);
      expect((await second.buildAsync(compressAsync, producer)).equals(built), compression).toBe(true);
      expect(built.equals(encodeBatch(recordsOf(200), { compression, ...producer }))).toBe(true);
    }
  });

  it('refuses times that are not safe integers', () => {
    const builder = new BatchBuilder();
    for (const timestamp of [NaN, 1.5, 2 ** 53, Infinity]) {
      expect(codeOf(() => builder.tryAppend({ timestamp }))).toBe('unsafe-integer');
    }
    expect(builder.recordCount).toBe(0);
  });
});

describe('rebuildBatch', () => {
  it('keeps offsets and sequence numbers when records are left out', () => {
    const batch = encodeBatch(recordsOf(6), {
      baseOffset: 100,
      producerId: 1,
      producerEpoch: 0,
      baseSequence: 50,
      compression: 'zstd',
    });
    const header = readBatchHeader(batch);
    const kept = decodeBatch(batch).filter(({ offset }) => offset % 2 === 1);
    const rebuilt = rebuildBatch(header, kept);
    expect(readBatchHeader(rebuilt)).toMatchObject({
      baseOffset: 100,
      lastOffset: 105,
      baseSequence: 50,
      recordCount: 3,
      compression: 'zstd',
      baseTimestamp: now + 1,
      maxTimestamp: now + 5,
    });
    expect(decodeBatch(rebuilt)).toEqual(kept);
    const empty = rebuildBatch(header, []);
    expect(empty.length).toBe(61);
    expect(readBatchHeader(empty)).toMatchObject({
      lastOffset: 105,
      recordCount: 0,
      baseTimestamp: -1,
      maxTimestamp: now + 5,
    });
    expect(decodeBatch(empty)).toEqual([]);
    expect(codeOf(() => rebuildBatch(header, [{ ...kept[0]!, offset: 106 }]))).toBe('out-of-range');
  });

  it('keeps a delete horizon until another is given', () => {
    const header = readBatchHeader(encodeBatch(recordsOf(2)));
    const records = decodeBatch(encodeBatch(recordsOf(2)));
    const first = rebuildBatch(header, records, { deleteHorizonMs: now + 86_400_000 });
    expect(readBatchHeader(first)).toMatchObject({ hasDeleteHorizon: true, baseTimestamp: now + 86_400_000 });
    const second = rebuildBatch(readBatchHeader(first), decodeBatch(first));
    expect(second).toEqual(first);
    expect(decodeBatch(second)).toEqual(records);
  });
});

describe('control batches', () => {
  it('mark the end of transactions', () => {
    const marker = {
      type: 'COMMIT',
      producerId: 12,
      producerEpoch: 3,
      coordinatorEpoch: 9,
      timestamp: now,
      baseOffset: 70,
    } as const;
    const batch = encodeTransactionMarker(marker);
    expect(readBatchHeader(batch)).toMatchObject({
      isControl: true,
      isTransactional: true,
      producerId: 12,
      producerEpoch: 3,
      baseSequence: -1,
      baseOffset: 70,
    });
    expect(decodeControlRecord(decodeBatch(batch)[0]!)).toEqual({ type: 'COMMIT', coordinatorEpoch: 9 });
  });

  it('of unknown types are named as such', () => {
    const value = Buffer.alloc(6);
    expect(decodeControlRecord({ key: Buffer.from([0, 4, 0, 0]), value })).toEqual({
      type: 'ABORT',
      coordinatorEpoch: 0,
    });
    expect(decodeControlRecord({ key: Buffer.from([0, 0, 0, 99]), value: null })).toEqual({
      type: 'UNKNOWN',
      typeNumber: 99,
    });
    expect(codeOf(() => decodeControlRecord({ key: null, value }))).toBe('bad-record');
    expect(codeOf(() => decodeControlRecord({ key: Buffer.from([0]), value }))).toBe('short');
  });

  it('without records may carry a payload that is not records', () => {
    const batch = withRecords(Buffer.from('a term, an index'), 0);
    batch.writeInt16BE(0x20, 21);
    writeBatchCrc(batch, 0);
    expect(readBatchHeader(batch)).toMatchObject({ isControl: true, recordCount: 0, lastOffsetDelta: -1 });
    expect(decodeBatch(batch)).toEqual([]);
    const data = withRecords(Buffer.from('not of a control batch'), 0);
    expect(codeOf(() => decodeBatch(data))).toBe('bad-batch');
  });
});

it('writes and reads int64 fields as safe integers only', () => {
  const batch = encodeBatch(recordsOf(1), { compression: 'none' });
  for (const value of [0, -1, 2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 32, -(2 ** 32), 2 ** 31]) {
    writeInt64(batch, 43, value);
    expect(batchField.producerId(batch)).toBe(value);
    expect(batch.readBigInt64BE(43)).toBe(BigInt(value));
  }
  expect(codeOf(() => writeInt64(batch, 43, 2 ** 53))).toBe('unsafe-integer');
  expect(compress('none', batch)).toBe(batch);
});
