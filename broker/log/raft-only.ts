/**
 * Raft's own entries in the partition log: control batches without records (storage-format.md, "Raft-only batches").
 * They take one Raft index and no Kafka offset; a reader of Kafka's format sees an empty control batch and goes on.
 */
import { batchField, batchHeaderBytes, crc32c } from '../../protocol/index.ts';

export type RaftOnlyKind = 'term-start' | 'configuration' | 'delete-records';

export interface RaftOnlyEntry {
  readonly kind: RaftOnlyKind;
  readonly term: number;
  /** What the kind says; opaque to the log. */
  readonly payload: Buffer;
}

/** A Raft-only entry at its place. `offset` is the Kafka offset that the next record takes. */
export interface PlacedRaftOnlyEntry extends RaftOnlyEntry {
  readonly index: number;
  readonly offset: number;
}

/** version int8, kind int8, term int32, index int64, offset int64 */
const fixedPayloadBytes = 22;
const formatVersion = 0;
const controlAttribute = 0x20;

/** Of an entry that says all by its kind, such as the beginning of a term. */
export const noPayload: Buffer = Buffer.alloc(0);

const numberedKinds: readonly (RaftOnlyKind | undefined)[] = [
  undefined,
  'term-start',
  'configuration',
  'delete-records',
  // 4 is the header of a cleaned segment: see cleaned-header.ts.
];

/** The number that stands for a kind in files. */
export function numberOfKind(kind: RaftOnlyKind): number {
  return numberedKinds.indexOf(kind);
}

export function kindOfNumber(number: number): RaftOnlyKind | undefined {
  return numberedKinds[number];
}

/** Whether the batch at `position` (61 bytes must be there) is Raft's own: control bit, no records, lastOffsetDelta -1. */
export function isRaftOnly(buffer: Buffer, position: number): boolean {
  return (
    batchField.lastOffsetDelta(buffer, position) === -1 &&
    batchField.recordCount(buffer, position) === 0 &&
    (batchField.attributes(buffer, position) & controlAttribute) !== 0
  );
}

export function encodeRaftOnly(entry: PlacedRaftOnlyEntry): Buffer {
  return encodeControl(numberOfKind(entry.kind), entry);
}

/** A control batch without records, of any kind. */
export function encodeControl(kindNumber: number, entry: Omit<PlacedRaftOnlyEntry, 'kind'>): Buffer {
  const batch = Buffer.alloc(batchHeaderBytes + fixedPayloadBytes + entry.payload.length);
  writeInt64(batch, entry.offset, 0);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt32BE(entry.term, 12);
  batch[16] = 2;
  batch.writeInt16BE(controlAttribute, 21);
  batch.writeInt32BE(-1, 23);
  // No timestamps and no producer: base timestamp, max timestamp, producer id, epoch and base sequence are all -1.
  batch.fill(0xff, 27, 57);
  batch[batchHeaderBytes] = formatVersion;
  batch[batchHeaderBytes + 1] = kindNumber;
  batch.writeInt32BE(entry.term, batchHeaderBytes + 2);
  writeInt64(batch, entry.index, batchHeaderBytes + 6);
  writeInt64(batch, entry.offset, batchHeaderBytes + 14);
  entry.payload.copy(batch, batchHeaderBytes + fixedPayloadBytes);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

/**
 * The entry of the whole batch at `position`; its CRC has been checked. Undefined where its inside contradicts its
 * header or is of an unknown kind or version.
 */
export function readRaftOnly(buffer: Buffer, position: number): PlacedRaftOnlyEntry | undefined {
  if (batchField.sizeBytes(buffer, position) < batchHeaderBytes + fixedPayloadBytes) return undefined;
  const inside = position + batchHeaderBytes;
  const kind = kindOfNumber(buffer[inside + 1]!);
  const content = readControl(buffer, position);
  return content === undefined || kind === undefined ? undefined : { kind, ...content };
}

/** The inside of a whole control batch without records, of any kind; undefined where it contradicts the header. */
export function readControl(buffer: Buffer, position: number): Omit<PlacedRaftOnlyEntry, 'kind'> | undefined {
  const sizeBytes = batchField.sizeBytes(buffer, position);
  const inside = position + batchHeaderBytes;
  if (sizeBytes < batchHeaderBytes + fixedPayloadBytes || buffer[inside] !== formatVersion) return undefined;
  const entry = {
    term: buffer.readInt32BE(inside + 2),
    index: readInt64(buffer, inside + 6),
    offset: readInt64(buffer, inside + 14),
    payload: payloadOf(buffer.subarray(inside + fixedPayloadBytes, position + sizeBytes)),
  };
  const agrees =
    entry.term === batchField.leaderEpoch(buffer, position) &&
    entry.offset === batchField.baseOffset(buffer, position);
  return agrees ? entry : undefined;
}

/** A copy, as what is read is part of something larger; most entries have none, and share it. */
export function payloadOf(bytes: Buffer): Buffer {
  return bytes.length === 0 ? noPayload : Buffer.from(bytes);
}

/** The content of a 'delete-records' entry: the offset that the log begins with from then on. */
export function encodeDeleteRecords(logStartOffset: number): Buffer {
  const payload = Buffer.alloc(8);
  writeInt64(payload, logStartOffset, 0);
  return payload;
}

/** Undefined where the content is not one offset. */
export function decodeDeleteRecords(payload: Buffer): number | undefined {
  if (payload.length !== 8) return undefined;
  const offset = readInt64(payload, 0);
  return Number.isSafeInteger(offset) && offset >= 0 ? offset : undefined;
}

/** The Raft index that the Raft-only batch at `position` says it has. */
export function raftOnlyIndex(buffer: Buffer, position: number): number {
  return readInt64(buffer, position + batchHeaderBytes + 6);
}

export function readInt64(buffer: Buffer, position: number): number {
  return buffer.readInt32BE(position) * 0x1_0000_0000 + buffer.readUInt32BE(position + 4);
}

/** `value` is a safe integer. */
export function writeInt64(buffer: Buffer, value: number, position: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  buffer.writeInt32BE(high, position);
  buffer.writeUInt32BE(value - high * 0x1_0000_0000, position + 4);
}
