import { describe, expect, it } from 'vitest';
import { BrokerConfig } from '../../../broker/config/broker-config.ts';
import { resolveTopicConfig } from '../../../broker/config/topic-config.ts';
import { checkBatch } from '../../../broker/partition/batch-checks.ts';
import type { BatchRefusal, CheckedBatch } from '../../../broker/partition/batch-checks.ts';
import { decodeBatch, encodeBatch, readBatchHeader, verifyBatchCrc } from '../../../protocol/index.ts';
import { crc32c } from '../../../protocol/index.ts';

const nowMs = 1_700_000_000_000;

function check(
  batch: Buffer | null,
  settings: Record<string, string> = {},
  requestVersion = 9,
): CheckedBatch {
  const config = resolveTopicConfig(new Map(Object.entries(settings)), new BrokerConfig());
  return checkBatch(batch, { config, nowMs, requestVersion });
}

function refusalOf(...given: Parameters<typeof check>): BatchRefusal {
  const checked = check(...given);
  if (checked.kind !== 'refused') throw new Error('the batch was taken');
  return checked.refusal;
}

function taken(...given: Parameters<typeof check>): Extract<CheckedBatch, { kind: 'good' }> {
  const checked = check(...given);
  if (checked.kind !== 'good') throw new Error(`${checked.refusal.error}: ${checked.refusal.message}`);
  return checked;
}

const records = [
  { timestamp: nowMs - 5, key: Buffer.from('a'), value: Buffer.from('1') },
  { timestamp: nowMs - 3, key: Buffer.from('b'), value: Buffer.from('2') },
  { timestamp: nowMs - 4, key: Buffer.from('c'), value: null },
];

/** A batch with some bytes of its header changed, and a CRC that is right again. */
function forged(change: (batch: Buffer) => void): Buffer {
  const batch = encodeBatch(records);
  change(batch);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

describe('checkBatch', () => {
  it('takes a good batch as it is, byte for byte', () => {
    const batch = encodeBatch(records);
    const copy = Buffer.from(batch);
    const good = taken(batch);
    expect(good.batch).toBe(batch);
    expect(batch).toEqual(copy);
    expect(good.header).toEqual(readBatchHeader(batch));
    expect(good.logAppendTimeMs).toBe(-1);
  });

  it.each([
    ['nothing', null, 'INVALID_RECORD'],
    ['no bytes', Buffer.alloc(0), 'INVALID_RECORD'],
    ['a cut batch', encodeBatch(records).subarray(0, -1), 'CORRUPT_MESSAGE'],
    ['a cut header', encodeBatch(records).subarray(0, 30), 'CORRUPT_MESSAGE'],
    ['two batches', Buffer.concat([encodeBatch(records), encodeBatch(records)]), 'INVALID_RECORD'],
    ['an old format', forged((batch) => batch.writeInt8(1, 16)), 'INVALID_RECORD'],
    ['a base offset', forged((batch) => batch.writeInt32BE(1, 4)), 'INVALID_RECORD'],
    ['a control batch', forged((batch) => batch.writeInt16BE(0x20, 21)), 'INVALID_RECORD'],
    ['a transaction that nobody knows', forged((batch) => batch.writeInt16BE(0x10, 21)), 'INVALID_TXN_STATE'],
    ['no records', forged((batch) => batch.writeInt32BE(0, 57)), 'INVALID_RECORD'],
    ['a false count', forged((batch) => batch.writeInt32BE(4, 57)), 'INVALID_RECORD'],
    [
      'a count that agrees with no record',
      forged((batch) => {
        batch.writeInt32BE(4, 57);
        batch.writeInt32BE(3, 23);
      }),
      'INVALID_RECORD',
    ],
    ['a producer without a sequence', forged((batch) => batch.writeBigInt64BE(7n, 43)), 'INVALID_RECORD'],
  ])('refuses %s', (_name, batch, error) => {
    expect(refusalOf(batch).error).toBe(error);
  });

  it('refuses a batch whose bytes do not match its CRC', () => {
    const batch = encodeBatch(records);
    batch[batch.length - 1]! ^= 1;
    expect(refusalOf(batch).error).toBe('CORRUPT_MESSAGE');
  });

  it('refuses a batch above max.message.bytes and says both sizes', () => {
    const batch = encodeBatch(records);
    const { error, message } = refusalOf(batch, { 'max.message.bytes': String(batch.length - 1) });
    expect(error).toBe('MESSAGE_TOO_LARGE');
    expect(message).toContain(`${batch.length} bytes`);
    expect(taken(batch, { 'max.message.bytes': String(batch.length) }).batch).toBe(batch);
  });

  it('names the record that has no key in a compacted topic', () => {
    const batch = encodeBatch([...records, { timestamp: nowMs, key: null, value: Buffer.from('x') }]);
    const refusal = refusalOf(batch, { 'cleanup.policy': 'compact' });
    expect(refusal.error).toBe('INVALID_RECORD');
    expect(refusal.records?.map(({ index }) => index)).toEqual([3]);
  });

  it('names the record whose time is out of bounds', () => {
    const batch = encodeBatch([...records, { timestamp: nowMs + 3_600_001, value: Buffer.from('x') }]);
    const refusal = refusalOf(batch, { 'message.timestamp.after.max.ms': '3600000' });
    expect(refusal.error).toBe('INVALID_TIMESTAMP');
    expect(refusal.records?.map(({ index }) => index)).toEqual([3]);
  });

  it('takes zstd only from Produce version 7 on', () => {
    const batch = encodeBatch(records, { compression: 'zstd' });
    expect(refusalOf(batch, {}, 6).error).toBe('UNSUPPORTED_COMPRESSION_TYPE');
    expect(taken(batch, {}, 7).batch).toBe(batch);
  });

  it.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'refuses a %s batch that holds more than it may',
    (compression) => {
      const batch = encodeBatch([{ timestamp: nowMs, value: Buffer.alloc(2_000_000) }], { compression });
      const settings = { 'max.decompressed.message.bytes': '1000000' };
      expect(refusalOf(batch, settings).error).toBe('MESSAGE_TOO_LARGE');
    },
  );

  it('gives all records the time of the append in a LogAppendTime topic', () => {
    const good = taken(encodeBatch(records), { 'message.timestamp.type': 'LogAppendTime' });
    expect(good.logAppendTimeMs).toBe(nowMs);
    expect(verifyBatchCrc(good.batch)).toBe(true);
    expect(decodeBatch(good.batch).map(({ timestamp }) => timestamp)).toEqual([nowMs, nowMs, nowMs]);
  });

  it('corrects a header that is wrong about the largest time', () => {
    const good = taken(forged((batch) => batch.writeBigInt64BE(5n, 35)));
    expect(good.header.maxTimestamp).toBe(nowMs - 3);
    expect(verifyBatchCrc(good.batch)).toBe(true);
  });

  it.each([
    ['gzip', 'compression.gzip.level', '1', '9'],
    ['zstd', 'compression.zstd.level', '-1000', '19'],
  ])('compresses with %s at the level of the topic', (codec, setting, low, high) => {
    const words = ['append', 'commit', 'fetch', 'offset', 'term'];
    const value = Array.from({ length: 4000 }, (_, at) => words[(at * at * 7 + (at >> 3)) % 5]).join(' ');
    const sizeAt = (level: string): number => {
      const batch = encodeBatch([{ timestamp: nowMs, value: Buffer.from(value) }]);
      const good = taken(batch, { 'compression.type': codec, [setting]: level });
      expect([...decodeBatch(good.batch)].map((record) => record.value?.toString())).toEqual([value]);
      return good.batch.length;
    };
    expect(sizeAt(low)).toBeGreaterThan(sizeAt(high));
  });

  it('recompresses to the codec of the topic and keeps the records', () => {
    const sent = encodeBatch(records, {
      compression: 'gzip',
      producerId: 9,
      producerEpoch: 2,
      baseSequence: 4,
    });
    const good = taken(sent, { 'compression.type': 'zstd' });
    expect(good.header).toMatchObject({
      compression: 'zstd',
      producerId: 9,
      producerEpoch: 2,
      baseSequence: 4,
    });
    expect(decodeBatch(good.batch)).toEqual(decodeBatch(sent));
    const plain = taken(sent, { 'compression.type': 'uncompressed' });
    expect(plain.header.compression).toBe('none');
    expect(decodeBatch(plain.batch)).toEqual(decodeBatch(sent));
  });
});
