/** Batches written anew: in another codec, as a topic's compression.type asks, or with some of their records left out. */
import { withHeaderRoom, writeBatchHeader } from './batch-builder.ts';
import { decodeBatch } from './batch-decoder.ts';
import type { DecodeLimits, LogRecord } from './batch-decoder.ts';
import { compress } from './compression/compression.ts';
import { ProtocolError } from './protocol-error.ts';
import { batchBytesMax, readBatchHeader } from './record-batch.ts';
import type { BatchHeader, CompressionCodec } from './record-batch.ts';
import { RecordBuffer } from './record-buffer.ts';

export interface RebuildOptions {
  /** The header's own unless given. */
  readonly compression?: CompressionCodec | undefined;
  readonly compressionLevel?: number | undefined;
  /**
   * When the batch's tombstones or marker may go, in milliseconds; it stands in place of the base timestamp. One that the
   * header has already is kept unless another is given.
   */
  readonly deleteHorizonMs?: number | undefined;
}

export interface RecompressOptions extends DecodeLimits {
  readonly compressionLevel?: number | undefined;
}

/**
 * A batch with these records, at the offsets they have, under the header of the batch that they come from: its base and
 * last offset stay, whatever records are left. With CreateTime the times in the header follow from the records.
 */
export function rebuildBatch(
  header: BatchHeader,
  records: readonly LogRecord[],
  options: RebuildOptions = {},
): Buffer {
  const { compression = header.compression } = options;
  const deleteHorizonMs =
    options.deleteHorizonMs ?? (header.hasDeleteHorizon ? header.baseTimestamp : undefined);
  const baseTimestamp = deleteHorizonMs ?? records[0]?.timestamp ?? -1;
  let maxTimestamp = -1;
  const buffer = new RecordBuffer();
  for (const record of records) {
    const offsetDelta = record.offset - header.baseOffset;
    if (offsetDelta < 0 || offsetDelta > header.lastOffsetDelta) {
      throw new ProtocolError('out-of-range', `offset ${record.offset} does not lie within its batch`);
    }
    if (!buffer.tryAppend(record, record.timestamp - baseTimestamp, offsetDelta, batchBytesMax)) {
      throw new ProtocolError('too-large', 'the records are too large for one batch');
    }
    if (record.timestamp > maxTimestamp) maxTimestamp = record.timestamp;
  }
  const batch =
    compression === 'none' || records.length === 0
      ? buffer.batch()
      : withHeaderRoom(compress(compression, buffer.records(), options.compressionLevel));
  const keepsTime = header.isLogAppendTime || records.length === 0;
  writeBatchHeader(batch, {
    baseOffset: header.baseOffset,
    partitionLeaderEpoch: header.partitionLeaderEpoch,
    compression,
    timestampType: header.isLogAppendTime ? 'LogAppendTime' : 'CreateTime',
    isTransactional: header.isTransactional,
    isControl: header.isControl,
    hasDeleteHorizon: deleteHorizonMs !== undefined,
    lastOffsetDelta: header.lastOffsetDelta,
    baseTimestamp,
    maxTimestamp: keepsTime ? header.maxTimestamp : maxTimestamp,
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    baseSequence: header.baseSequence,
    recordCount: records.length,
  });
  return batch;
}

/**
 * A new batch with the same records and header fields in another codec (or the same). Offset deltas run from 0 in the new
 * batch, as a leader makes them. Throws what decodeBatch throws.
 */
export function recompressBatch(
  batch: Buffer,
  compression: CompressionCodec,
  options: RecompressOptions = {},
): Buffer {
  const header = readBatchHeader(batch);
  const records = decodeBatch(batch, options);
  records.forEach((record, index) => {
    record.offset = header.baseOffset + index;
  });
  const { compressionLevel } = options;
  return rebuildBatch({ ...header, lastOffsetDelta: records.length - 1 }, records, {
    compression,
    compressionLevel,
  });
}
