/* oxlint-disable typescript/no-unsafe-type-assertion -- names and values come from the vectors, not from types */
/**
 * Every batch vector of the Java client, both ways. Those of magic 0 and 1 are only read: nothing writes these formats.
 */
import { describe, expect, it } from 'vitest';
import {
  BatchBuilder,
  codec,
  decodeBatch,
  decodeControlRecord,
  decodeFetched,
  encodeBatch,
  encodeControlBatch,
  encodeTransactionMarker,
  iterateBatches,
  iterateFetched,
  readBatchHeader,
  rebuildBatch,
  RecordCursor,
  setLogAppendTime,
  validateBatchRecords,
  verifyBatchCrc,
  verifyFetchedCrc,
} from '../../../protocol/index.ts';
import type { BatchHeader, LogRecord } from '../../../protocol/index.ts';
import { loadVectors, vectorsOf } from '../../vectors/load-vectors.ts';
import type { BatchVector, RecordBatchVector, RecordVector } from '../../vectors/load-vectors.ts';

const vectors = vectorsOf(loadVectors(), 'recordBatch');
const current = vectors.filter(({ batches }) => batches[0]!.magic === 2);
const legacy = vectors.filter(({ batches }) => batches[0]!.magic < 2);

function bytesOf(text: string | null): Buffer | null {
  return text === null ? null : Buffer.from(text, 'base64');
}

function recordsOf(records: readonly RecordVector[]): LogRecord[] {
  return records.map(({ offset, timestamp, key, value, headers = [] }) => ({
    offset,
    timestamp,
    key: bytesOf(key),
    value: bytesOf(value),
    headers: headers.map((header) => ({ key: header.key, value: bytesOf(header.value) })),
  }));
}

function headerOf(batch: BatchVector): BatchHeader {
  return {
    baseOffset: batch.baseOffset,
    batchLength: batch.batchLength,
    sizeBytes: batch.sizeInBytes,
    partitionLeaderEpoch: batch.partitionLeaderEpoch,
    magic: 2,
    crc: batch.crc,
    attributes: batch.attributes,
    lastOffsetDelta: batch.lastOffsetDelta,
    lastOffset: batch.lastOffset,
    baseTimestamp: batch.headerBaseTimestamp,
    maxTimestamp: batch.headerMaxTimestamp,
    producerId: batch.producerId,
    producerEpoch: batch.producerEpoch,
    baseSequence: batch.baseSequence,
    recordCount: batch.recordCount,
    compression: batch.compression,
    isTransactional: batch.isTransactional,
    isControl: batch.isControl,
    isLogAppendTime: batch.timestampType === 'LogAppendTime',
    hasDeleteHorizon: batch.deleteHorizonMs !== undefined,
  };
}

function batchesOf(vector: RecordBatchVector): Buffer[] {
  return [...iterateBatches(Buffer.from(vector.hex, 'hex'))].map(({ bytes }) => bytes);
}

describe('record batch vectors', () => {
  it('are all here', () => {
    expect([vectors.length, current.length, legacy.length]).toEqual([65, 56, 9]);
    expect(new Set(vectors.flatMap(({ batches }) => batches.map((batch) => batch.compression)))).toEqual(
      new Set(['none', 'gzip', 'snappy', 'lz4', 'zstd']),
    );
  });

  it.each(current)('$description: decodes to its headers and records', (vector) => {
    const slices = [...iterateBatches(Buffer.from(vector.hex, 'hex'))];
    expect(slices.map(({ header }) => header)).toStrictEqual(vector.batches.map(headerOf));
    for (const [index, { bytes }] of slices.entries()) {
      expect(verifyBatchCrc(bytes)).toBe(true);
      expect(decodeBatch(bytes)).toStrictEqual(recordsOf(vector.batches[index]!.records));
      expect(validateBatchRecords(bytes)).toBeUndefined();
    }
  });

  it.each(current)('$description: built again, holds the same', (vector) => {
    for (const [index, bytes] of batchesOf(vector).entries()) {
      const header = headerOf(vector.batches[index]!);
      const built = buildLike(header, bytes);
      if (vector.byteExact) expect(built.toString('hex')).toBe(bytes.toString('hex'));
      else {
        expect(verifyBatchCrc(built)).toBe(true);
        const { crc: _crc, batchLength: _length, sizeBytes: _size, ...rest } = header;
        expect(readBatchHeader(built)).toMatchObject(rest);
        expect(decodeBatch(built)).toStrictEqual(recordsOf(vector.batches[index]!.records));
      }
    }
  });

  const markers = current.filter(({ description }) => description.startsWith('control'));

  it.each(markers)('$description: says what it is and is made again', (vector) => {
    const bytes = Buffer.from(vector.hex, 'hex');
    const header = headerOf(vector.batches[0]!);
    const record = decodeBatch(bytes)[0]!;
    const control = decodeControlRecord(record);
    expect(control.type).toBe(vector.batches[0]!.records[0]!.controlType);
    const { baseOffset, partitionLeaderEpoch, producerId, producerEpoch } = header;
    const { timestamp } = record;
    if (control.type === 'ABORT' || control.type === 'COMMIT') {
      expect(vector.description).toBe(
        `control ${control.type.toLowerCase()} marker, coordinator epoch ${control.coordinatorEpoch}`,
      );
      const marker = { ...control, baseOffset, partitionLeaderEpoch, producerId, producerEpoch, timestamp };
      expect(encodeTransactionMarker(marker).equals(bytes)).toBe(true);
    } else {
      if (control.type === 'UNKNOWN') throw new Error('a type of no vector');
      const body = bodyCodec(control.type).encode(control.body);
      const built = encodeControlBatch(control.type, body, { baseOffset, partitionLeaderEpoch, timestamp });
      expect(built.equals(bytes)).toBe(true);
    }
  });

  it('of control records cover every type but the snapshot footer', () => {
    const types = markers.map(({ batches }) => batches[0]!.records[0]!.controlType);
    expect(new Set(types)).toEqual(
      new Set(['ABORT', 'COMMIT', 'LEADER_CHANGE', 'SNAPSHOT_HEADER', 'KRAFT_VERSION', 'KRAFT_VOTERS']),
    );
  });

  it.each(legacy)('$description: decodes to its records', (vector) => {
    const batches = [...iterateFetched(Buffer.from(vector.hex, 'hex'))];
    expect(batches.map(({ magic, lastOffset, bytes }) => [magic, lastOffset, bytes.length])).toEqual(
      vector.batches.map((batch) => [batch.magic, batch.lastOffset, batch.sizeInBytes]),
    );
    for (const [index, batch] of batches.entries()) {
      expect(verifyFetchedCrc(batch)).toBe(true);
      expect(decodeFetched(batch)).toStrictEqual(recordsOf(vector.batches[index]!.records));
    }
  });

  it.each(legacy)('$description: is refused where only magic 2 is accepted', (vector) => {
    const bytes = Buffer.from(vector.hex, 'hex');
    expect(() => [...iterateBatches(bytes)]).toThrow(expect.objectContaining({ code: 'unsupported-magic' }));
    expect(() => readBatchHeader(bytes)).toThrow(expect.objectContaining({ code: 'unsupported-magic' }));
  });
});

function bodyCodec(
  type: 'LEADER_CHANGE' | 'SNAPSHOT_HEADER' | 'SNAPSHOT_FOOTER' | 'KRAFT_VERSION' | 'KRAFT_VOTERS',
) {
  const names = {
    LEADER_CHANGE: 'LeaderChangeMessage',
    SNAPSHOT_HEADER: 'SnapshotHeaderRecord',
    SNAPSHOT_FOOTER: 'SnapshotFooterRecord',
    KRAFT_VERSION: 'KRaftVersionRecord',
    KRAFT_VOTERS: 'VotersRecord',
  } as const;
  return codec(names[type], 0);
}

/** The batch made again from its parts, by whatever makes such batches. */
function buildLike(header: BatchHeader, bytes: Buffer): Buffer {
  const records = decodeBatch(bytes);
  const isPlain =
    records.length - 1 === header.lastOffsetDelta && !header.hasDeleteHorizon && records.length > 0;
  if (!isPlain) return rebuildBatch(header, records);
  if (!header.isLogAppendTime) return encodeBatch(records, header);
  // The records keep the times that their producer gave them; only the header says that they do not count.
  const builder = new BatchBuilder({ ...header, timestampType: 'CreateTime' });
  const times = producerTimes(header, bytes);
  records.forEach((record, index) => builder.tryAppend({ ...record, timestamp: times[index]! }));
  const built = builder.build();
  setLogAppendTime(built, 0, header.maxTimestamp);
  return built;
}

function producerTimes(header: BatchHeader, bytes: Buffer): number[] {
  if (header.compression !== 'none') return Array<number>(header.recordCount).fill(header.baseTimestamp);
  const cursor = new RecordCursor(bytes, 61, bytes.length);
  return Array.from({ length: header.recordCount }, () => {
    cursor.next();
    return header.baseTimestamp + cursor.timestampDelta;
  });
}
