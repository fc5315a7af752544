/**
 * Batches made from others: without some of their records, without any, or with a delete horizon. Base offset, last offset,
 * leader epoch and the producer's fields stay as they are, as Kafka keeps them: a producer's sequence is told by its
 * last batch, whatever records are left in it. Records are copied as bytes.
 */
import {
  attributeBits,
  batchField,
  batchHeaderBytes,
  batchPrefixBytes,
  writeBatchCrc,
  writeInt64,
} from './record-batch.ts';
import { RecordCursor } from './record-cursor.ts';
import { varlongBytes, writeVarint, writeVarlong } from './varint.ts';

/** Records that stay, as stretches of the bytes that hold them. */
export interface RecordStretches {
  readonly source: Buffer;
  /** Pairs of ends, ascending, up to `stretchesEnd`. */
  readonly stretches: Int32Array;
  readonly stretchesEnd: number;
  readonly keptRecords: number;
}

/** By how much a record may grow when its timestamp is told from another base: the delta, and the record's own length. */
const growthMax = 10 + 1;

/** What is different in the new header. */
export interface BatchChange {
  readonly recordCount: number;
  /** Of the records, for a batch whose records have times of their own. */
  readonly maxTimestamp: number;
  /** The records' timestamps are told from here; undefined to leave base timestamp and horizon as they are. */
  readonly deleteHorizonMs: number | undefined;
}

/** What `writeRecords` may write. */
export function recordBytesMax(kept: RecordStretches, deleteHorizonMs: number | undefined): number {
  let sizeBytes = 0;
  const { stretches, stretchesEnd } = kept;
  for (let place = 0; place < stretchesEnd; place += 2)
    sizeBytes += stretches[place + 1]! - stretches[place]!;
  return deleteHorizonMs === undefined ? sizeBytes : sizeBytes + growthMax * kept.keptRecords;
}

/** Writes the selected records; returns the position after them. `baseShift`: the new base timestamp less the old one. */
export function writeRecords(
  target: Buffer,
  start: number,
  kept: RecordStretches,
  baseShift: number,
): number {
  const { source, stretches, stretchesEnd } = kept;
  let position = start;
  for (let place = 0; place < stretchesEnd; place += 2) {
    const from = stretches[place]!;
    const to = stretches[place + 1]!;
    if (baseShift === 0) position += source.copy(target, position, from, to);
    else position = writeShifted(target, position, new RecordCursor(source, from, to), baseShift);
  }
  return position;
}

/** Completes the batch that begins at `start`, with the old header in its place and its records behind it, up to `end`. */
export function completeBatch(target: Buffer, start: number, end: number, change: BatchChange): void {
  const attributes = batchField.attributes(target, start);
  target.writeInt32BE(end - start - batchPrefixBytes, start + 8);
  if (change.deleteHorizonMs !== undefined) {
    target.writeInt16BE(attributes | attributeBits.deleteHorizon, start + 21);
    writeInt64(target, start + 27, change.deleteHorizonMs);
  }
  if ((attributes & attributeBits.logAppendTime) === 0) writeInt64(target, start + 35, change.maxTimestamp);
  target.writeInt32BE(change.recordCount, start + 57);
  writeBatchCrc(target, start);
}

/** Makes the header at `start` a batch without records, as Kafka's cleaner does: no codec, no horizon, no base timestamp. */
export function completeEmptyBatch(target: Buffer, start: number): void {
  const attributes = batchField.attributes(target, start);
  target.writeInt32BE(batchHeaderBytes - batchPrefixBytes, start + 8);
  target.writeInt16BE(attributes & ~(attributeBits.compression | attributeBits.deleteHorizon), start + 21);
  writeInt64(target, start + 27, -1);
  target.writeInt32BE(0, start + 57);
  writeBatchCrc(target, start);
}

/** Records one by one: length, attributes, timestamp delta, then the rest as it is. */
function writeShifted(target: Buffer, start: number, cursor: RecordCursor, baseShift: number): number {
  const { buffer } = cursor;
  let position = start;
  while (cursor.position < cursor.end) {
    const attributes = cursor.position + varintSize(buffer, cursor.position);
    const oldRest = attributes + 1 + varintSize(buffer, attributes + 1);
    cursor.next();
    const delta = cursor.timestampDelta - baseShift;
    position = writeVarint(target, position, 1 + varlongBytes(delta) + cursor.position - oldRest);
    target[position] = buffer[attributes]!;
    position = writeVarlong(target, position + 1, delta);
    position += buffer.copy(target, position, oldRest, cursor.position);
  }
  return position;
}

/** Bytes of the varint that stands there; it may be longer than it need be. */
function varintSize(buffer: Buffer, start: number): number {
  let position = start;
  while (buffer[position]! >= 0x80) position++;
  return position + 1 - start;
}
