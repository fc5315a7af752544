/** Batches written anew in another codec, as a topic's compression.type asks. */
import { BatchBuilder } from './batch-builder.ts';
import { decodeBatch } from './batch-decoder.ts';
import type { DecodeLimits } from './batch-decoder.ts';
import { batchField, readBatchHeader, setCreateTime, setLogAppendTime } from './record-batch.ts';
import type { CompressionCodec } from './record-batch.ts';

export interface RecompressOptions extends DecodeLimits {
  readonly compressionLevel?: number | undefined;
}

/**
 * A new batch with the same records and header fields in another codec (or the same). Offset deltas run from 0 in the new
 * batch. Throws what decodeBatch throws.
 */
export function recompressBatch(
  batch: Buffer,
  compression: CompressionCodec,
  options: RecompressOptions = {},
): Buffer {
  const header = readBatchHeader(batch);
  const builder = new BatchBuilder({
    baseOffset: header.baseOffset,
    compression,
    compressionLevel: options.compressionLevel,
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    baseSequence: header.baseSequence,
    isTransactional: header.isTransactional,
    isControl: header.isControl,
    partitionLeaderEpoch: header.partitionLeaderEpoch,
  });
  for (const record of decodeBatch(batch, options)) builder.tryAppend(record);
  const rebuilt = builder.build();
  if (header.isLogAppendTime) setLogAppendTime(rebuilt, 0, header.maxTimestamp);
  else if (batchField.maxTimestamp(rebuilt) !== header.maxTimestamp && header.recordCount === 0) {
    setCreateTime(rebuilt, 0, header.maxTimestamp);
  }
  return rebuilt;
}
