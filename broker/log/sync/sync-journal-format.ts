/**
 * The bytes of `sync-journal` (storage-format.md, "sync-journal"): two copies of a header, then two halves, each a row of
 * frames. Codec only; SyncJournal writes them, replayJournal reads them.
 */
import { crc32c } from '../../../protocol/index.ts';
import { readInt64, writeInt64 } from '../raft-only.ts';

/** Everything begins at a multiple of it, so that no write touches what an earlier one has made durable. */
export const blockBytes = 4096;
export const headerCopies = 2;
/** Where the first half begins. */
export const halvesPosition = headerCopies * blockBytes;

export const frameFixedBytes = 40;
const recordFixedBytes = 18;
const forgetFixedBytes = 10;
const headerUsedBytes = 48;
const headerMagic = Buffer.from('KLJOURN1', 'latin1');
const frameMagic = Buffer.from('KLJF', 'latin1');

export interface JournalHeader {
  readonly halfBytes: number;
  /** Frames of this generation and older ones are in the segments, durably. */
  readonly doneGeneration: number;
  /** Whether there may be frames of a newer one. */
  readonly isInUse: boolean;
  readonly sequence: number;
  /** In each frame that counts: what a client sends cannot pass for a frame, as clients do not know it. */
  readonly salt: number;
}

/** Bytes of one log that one frame makes durable. */
export interface JournalRecord {
  /** Name of the log's directory in the data directory. */
  readonly name: string;
  readonly segmentBaseOffset: number;
  readonly position: number;
  readonly parts: readonly Buffer[];
  readonly sizeBytes: number;
}

/** Records of this log in frames up to this one are void. */
export interface JournalForget {
  readonly name: string;
  readonly frame: number;
}

export interface JournalFrame {
  readonly generation: number;
  /** Ascending over the whole life of a journal's opening. */
  readonly number: number;
  readonly forgets: readonly JournalForget[];
  readonly records: readonly JournalRecord[];
}

export function encodeHeader(header: JournalHeader): Buffer {
  const bytes = Buffer.alloc(blockBytes);
  headerMagic.copy(bytes);
  writeInt64(bytes, header.sequence, 16);
  writeInt64(bytes, header.halfBytes, 24);
  writeInt64(bytes, header.doneGeneration, 32);
  bytes[40] = header.isInUse ? 1 : 0;
  bytes.writeUInt32BE(header.salt, 44);
  bytes.writeUInt32BE(crc32c(bytes.subarray(12, headerUsedBytes)), 8);
  return bytes;
}

/** The newest good copy; 'empty' where nothing has ever been written; undefined where both are bad. */
export function decodeHeaders(bytes: Buffer): JournalHeader | 'empty' | undefined {
  let newest: JournalHeader | undefined;
  for (let copy = 0; copy < headerCopies; copy++) {
    const header = decodeHeader(bytes.subarray(copy * blockBytes, (copy + 1) * blockBytes));
    if (header !== undefined && header.sequence > (newest?.sequence ?? -1)) newest = header;
  }
  if (newest === undefined && bytes.every((byte) => byte === 0)) return 'empty';
  return newest;
}

function decodeHeader(bytes: Buffer): JournalHeader | undefined {
  if (bytes.length < headerUsedBytes || !bytes.subarray(0, headerMagic.length).equals(headerMagic))
    return undefined;
  if (bytes.readUInt32BE(8) !== crc32c(bytes.subarray(12, headerUsedBytes))) return undefined;
  return {
    sequence: readInt64(bytes, 16),
    halfBytes: readInt64(bytes, 24),
    doneGeneration: readInt64(bytes, 32),
    isInUse: bytes[40] === 1,
    salt: bytes.readUInt32BE(44),
  };
}

/** What a record or a forget takes in a frame, beyond a record's own bytes. */
export function recordOverheadBytes(name: string): number {
  return recordFixedBytes + Buffer.byteLength(name);
}

export function forgetBytes(name: string): number {
  return forgetFixedBytes + Buffer.byteLength(name);
}

/** What a frame of so many bytes takes of its half. */
export function paddedBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / blockBytes) * blockBytes;
}

/** The frame in one piece, filled up with zeros to whole blocks. */
export function encodeFrame(frame: JournalFrame, salt: number): Buffer {
  let sizeBytes = frameFixedBytes;
  for (const { name } of frame.forgets) sizeBytes += forgetBytes(name);
  for (const { name, sizeBytes: bytes } of frame.records) sizeBytes += recordOverheadBytes(name) + bytes;
  const bytes = Buffer.allocUnsafeSlow(paddedBytes(sizeBytes));
  bytes.fill(0, sizeBytes);
  frameMagic.copy(bytes);
  bytes.writeUInt32BE(sizeBytes, 8);
  bytes.writeUInt32BE(salt, 12);
  writeInt64(bytes, frame.generation, 16);
  writeInt64(bytes, frame.number, 24);
  bytes.writeUInt32BE(frame.forgets.length, 32);
  bytes.writeUInt32BE(frame.records.length, 36);
  let at = frameFixedBytes;
  for (const forget of frame.forgets) {
    writeInt64(bytes, forget.frame, at);
    at = writeName(bytes, forget.name, at + 8);
  }
  for (const record of frame.records) at = writeRecord(bytes, record, at);
  bytes.writeUInt32BE(crc32c(bytes.subarray(8, sizeBytes)), 4);
  return bytes;
}

function writeRecord(bytes: Buffer, record: JournalRecord, position: number): number {
  writeInt64(bytes, record.segmentBaseOffset, position);
  bytes.writeUInt32BE(record.position, position + 8);
  bytes.writeUInt32BE(record.sizeBytes, position + 12);
  let at = writeName(bytes, record.name, position + 16);
  for (const part of record.parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return at;
}

function writeName(bytes: Buffer, name: string, position: number): number {
  const sizeBytes = bytes.write(name, position + 2);
  bytes.writeUInt16BE(sizeBytes, position);
  return position + 2 + sizeBytes;
}

/** The frame that begins here, with its size; undefined where there is none, or not a whole one. */
export function decodeFrame(
  half: Buffer,
  position: number,
  salt: number,
): { readonly frame: JournalFrame; readonly sizeBytes: number } | undefined {
  if (position + frameFixedBytes > half.length) return undefined;
  if (!half.subarray(position, position + frameMagic.length).equals(frameMagic)) return undefined;
  const sizeBytes = half.readUInt32BE(position + 8);
  if (sizeBytes < frameFixedBytes || position + sizeBytes > half.length) return undefined;
  if (half.readUInt32BE(position + 12) !== salt) return undefined;
  const bytes = half.subarray(position, position + sizeBytes);
  if (bytes.readUInt32BE(4) !== crc32c(bytes.subarray(8))) return undefined;
  const forgets: JournalForget[] = [];
  const records: JournalRecord[] = [];
  let at = frameFixedBytes;
  for (let count = bytes.readUInt32BE(32); count > 0; count--) {
    const { name, end } = readName(bytes, at + 8);
    forgets.push({ name, frame: readInt64(bytes, at) });
    at = end;
  }
  for (let count = bytes.readUInt32BE(36); count > 0; count--) {
    const { name, end } = readName(bytes, at + 16);
    const recordBytes = bytes.readUInt32BE(at + 12);
    records.push({
      name,
      segmentBaseOffset: readInt64(bytes, at),
      position: bytes.readUInt32BE(at + 8),
      parts: [bytes.subarray(end, end + recordBytes)],
      sizeBytes: recordBytes,
    });
    at = end + recordBytes;
  }
  const frame = { generation: readInt64(bytes, 16), number: readInt64(bytes, 24), forgets, records };
  return { frame, sizeBytes };
}

function readName(bytes: Buffer, position: number): { readonly name: string; readonly end: number } {
  const end = position + 2 + bytes.readUInt16BE(position);
  return { name: bytes.toString('utf8', position + 2, end), end };
}
