/** Records out of batches, for consumers and coordinators; the broker's own path never comes here. */
import type { RecordHeader } from './record-buffer.ts';
import { decompress } from './compression/compression.ts';
import { ProtocolError } from './protocol-error.ts';
import { batchField, batchHeaderBytes, batchPrefixBytes, readBatchHeader } from './record-batch.ts';
import type { BatchHeader } from './record-batch.ts';
import { RecordCursor, recordBytesMin } from './record-cursor.ts';

export interface LogRecord {
  offset: number;
  /** Milliseconds since 1970; -1 for none. */
  timestamp: number;
  /** Slices of the batch, or of what it was decompressed into. */
  key: Buffer | null;
  value: Buffer | null;
  headers: RecordHeader[];
}

export interface DecodeLimits {
  /** What the records may take when decompressed. */
  readonly decompressedBytesMax?: number | undefined;
}

/** Bounds what one batch of a peer that is not trusted can make us allocate. */
const decompressedBytesMaxDefault = 256 * 1024 * 1024;

/** Shared by all records without headers, which are most: it stays empty because it is frozen. */
const noHeaders: RecordHeader[] = [];
Object.freeze(noHeaders);

/**
 * All records of one batch, control records included (a control batch's header says so). The header array of records
 * without headers is shared and frozen. Throws ProtocolError: 'short' for a batch that is cut off, 'bad-record',
 * 'bad-batch' for a false count, 'bad-compression', 'decompressed-too-large'. The CRC is not looked at: verifyBatchCrc does.
 */
export function decodeBatch(batch: Buffer, limits: DecodeLimits = {}): LogRecord[] {
  const header = readBatchHeader(batch);
  const cursor = openRecords(batch, header, limits);
  const { recordCount } = header;
  const records: LogRecord[] = [];
  const { baseOffset, baseTimestamp, isLogAppendTime, maxTimestamp } = header;
  const { buffer } = cursor;
  for (let index = 0; index < recordCount; index++) {
    cursor.next();
    const { keyStart, keyLength, valueStart, valueLength } = cursor;
    records.push({
      offset: baseOffset + cursor.offsetDelta,
      timestamp: isLogAppendTime ? maxTimestamp : baseTimestamp + cursor.timestampDelta,
      key: keyLength < 0 ? null : buffer.subarray(keyStart, keyStart + keyLength),
      value: valueLength < 0 ? null : buffer.subarray(valueStart, valueStart + valueLength),
      headers:
        cursor.headerCount === 0 ? noHeaders : readHeaders(buffer, cursor.headersStart, cursor.headerCount),
    });
  }
  checkEnd(cursor);
  return records;
}

/** A cursor at the first record of a batch, decompressed if need be; the claimed count is checked against the bytes. */
export function openRecords(batch: Buffer, header: BatchHeader, limits: DecodeLimits): RecordCursor {
  if (header.sizeBytes > batch.length) {
    throw new ProtocolError('short', `a batch of ${header.sizeBytes} bytes is cut off at ${batch.length}`);
  }
  const { decompressedBytesMax = decompressedBytesMaxDefault } = limits;
  let cursor: RecordCursor;
  if (header.compression === 'none') cursor = new RecordCursor(batch, batchHeaderBytes, header.sizeBytes);
  else {
    const compressed = batch.subarray(batchHeaderBytes, header.sizeBytes);
    // Compaction keeps batches without records, and they have nothing to decompress.
    const isEmpty = header.recordCount === 0 && compressed.length === 0;
    const records = isEmpty ? compressed : decompress(header.compression, compressed, decompressedBytesMax);
    cursor = new RecordCursor(records, 0, records.length);
  }
  // An empty control batch may carry a payload that is not records.
  if (header.recordCount * recordBytesMin > cursor.end - cursor.position) {
    throw new ProtocolError(
      'bad-batch',
      `a batch says ${header.recordCount} records and has ${cursor.end - cursor.position} bytes of them`,
    );
  }
  if (header.recordCount === 0 && header.isControl) cursor.position = cursor.end;
  return cursor;
}

/** Throws unless the records used up their bytes. */
export function checkEnd(cursor: RecordCursor): void {
  if (cursor.position === cursor.end) return;
  throw new ProtocolError(
    'bad-batch',
    `${cursor.end - cursor.position} bytes follow the last record of a batch`,
  );
}

/** The headers that a RecordCursor has found; it has checked all their lengths. */
export function readHeaders(buffer: Buffer, start: number, count: number): RecordHeader[] {
  const cursor = new RecordCursor(buffer, start, buffer.length);
  const headers: RecordHeader[] = [];
  for (let index = 0; index < count; index++) {
    const keyLength = cursor.outerVarint();
    const keyEnd = cursor.position + keyLength;
    const key = buffer.toString('utf8', cursor.position, keyEnd);
    cursor.position = keyEnd;
    const valueLength = cursor.outerVarint();
    const valueStart = cursor.position;
    if (valueLength > 0) cursor.position += valueLength;
    headers.push({ key, value: valueLength < 0 ? null : buffer.subarray(valueStart, cursor.position) });
  }
  return headers;
}

export interface BatchSlice {
  readonly header: BatchHeader;
  /** The whole batch, not copied. */
  readonly bytes: Buffer;
}

/**
 * The batches of a fetch response's `records` or of a log, in order. A last batch that is cut off is left out, as a fetch
 * response may end anywhere. Throws ProtocolError 'unsupported-magic' at magic 0 and 1 (decodeRecords reads all), and
 * 'bad-batch' at a size that cannot be.
 */
export function* iterateBatches(records: Buffer): Generator<BatchSlice> {
  let position = 0;
  while (records.length - position >= batchHeaderBytes || isOlder(records, position)) {
    const header = readBatchHeader(records, position);
    const end = position + header.sizeBytes;
    if (end > records.length) return;
    yield { header, bytes: records.subarray(position, end) };
    position = end;
  }
}

/** Whether an entry of an older format begins here; those are shorter than a batch header. */
function isOlder(records: Buffer, position: number): boolean {
  if (records.length - position < batchPrefixBytes + 5) return false;
  return batchField.magic(records, position) !== 2;
}
