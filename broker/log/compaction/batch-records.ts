/** The records of a batch that is being cleaned: at once where that takes a fraction of a millisecond, else with help of the thread pool. */
import {
  batchField,
  batchHeaderBytes,
  decompressAsync,
  openRecords,
  readBatchHeader,
  RecordCursor,
} from '../../../protocol/index.ts';
import type { ScannedBatch } from '../reading/batch-scan.ts';

/** Worked on between two looks at the clock: a fraction of a millisecond. */
export const recordsAtOnce = 2000;
/** From here on the thread pool is worth the way there and back. */
export const asyncBytesMin = 16 * 1024;
/** As for every reader of batches. */
const decompressedBytesMax = 256 * 1024 * 1024;

/** Of a batch's attributes. */
export const attributeBits = { compression: 0x07, transactional: 0x10, control: 0x20, deleteHorizon: 0x40 };

export function isCompressed({ buffer, at }: ScannedBatch): boolean {
  return (batchField.attributes(buffer, at) & attributeBits.compression) !== 0;
}

/** Whether its records should be opened and gone over in parts, with others' turns in between. */
export function isLarge(batch: ScannedBatch): boolean {
  const { buffer, at, sizeBytes } = batch;
  if (batchField.recordCount(buffer, at) > recordsAtOnce) return true;
  return sizeBytes >= asyncBytesMin && isCompressed(batch);
}

/** A cursor at the first record. Throws a ProtocolError for what cannot be decompressed. */
export function openBatch(batch: ScannedBatch): RecordCursor {
  const { buffer, at, sizeBytes } = batch;
  if (!isCompressed(batch)) return new RecordCursor(buffer, at + batchHeaderBytes, at + sizeBytes);
  const whole = buffer.subarray(at, at + sizeBytes);
  return openRecords(whole, readBatchHeader(whole), { decompressedBytesMax });
}

/** As `openBatch`, with the codec on the thread pool. */
export async function openLargeBatch(batch: ScannedBatch): Promise<RecordCursor> {
  const { buffer, at, sizeBytes } = batch;
  if (!isCompressed(batch)) return openBatch(batch);
  const compressed = buffer.subarray(at + batchHeaderBytes, at + sizeBytes);
  const records = await decompressAsync(batchField.compression(buffer, at), compressed, decompressedBytesMax);
  return new RecordCursor(records, 0, records.length);
}
