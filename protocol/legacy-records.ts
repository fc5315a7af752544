/**
 * Kafka's formats before record batches, magic 0 and 1, which old logs may still hold and brokers send as they are.
 * Read-only: nothing writes them any more. `iterateFetched` and `decodeFetched` read all three formats alike.
 */
import { decodeBatch } from './batch-decoder.ts';
import type { DecodeLimits, LogRecord } from './batch-decoder.ts';
import { crc32 } from './checksums.ts';
import { decompress } from './compression/compression.ts';
import { decompressLz4 } from './compression/lz4.ts';
import { ProtocolError } from './protocol-error.ts';
import { Reader } from './reader.ts';
import {
  batchField,
  batchHeaderBytes,
  codecOfAttributes,
  readBatchHeader,
  verifyBatchCrc,
} from './record-batch.ts';
import type { BatchHeader } from './record-batch.ts';

/** A batch of a fetch response in any format; an entry of magic 0 or 1 is a batch of its own. */
export interface FetchedBatch {
  readonly magic: number;
  /** Only magic 2 has one. */
  readonly header: BatchHeader | undefined;
  readonly lastOffset: number;
  /** The whole batch, not copied. */
  readonly bytes: Buffer;
}

interface LegacyEntry {
  readonly magic: number;
  readonly offset: number;
  readonly attributes: number;
  /** -1 with magic 0. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

const entryPrefixBytes = 12;
/** After the prefix: CRC, magic, attributes, the lengths of key and value. */
const entryBytesMin = 14;
const logAppendTimeBit = 0x08;
const decompressedBytesMaxDefault = 256 * 1024 * 1024;

/** The batches of a fetch response in order; a last one that is cut off is left out. */
export function* iterateFetched(records: Buffer): Generator<FetchedBatch> {
  let position = 0;
  while (records.length - position >= entryPrefixBytes + entryBytesMin) {
    const sizeBytes = batchField.sizeBytes(records, position);
    const magic = batchField.magic(records, position);
    if (magic === 2) {
      if (records.length - position < batchHeaderBytes) return;
      const header = readBatchHeader(records, position);
      if (position + header.sizeBytes > records.length) return;
      const bytes = records.subarray(position, position + header.sizeBytes);
      yield { magic, header, lastOffset: header.lastOffset, bytes };
    } else {
      if (magic !== 0 && magic !== 1)
        throw new ProtocolError('unsupported-magic', `batches of magic ${magic}`);
      if (sizeBytes < entryPrefixBytes + entryBytesMin) {
        throw new ProtocolError('bad-batch', `an entry of ${sizeBytes} bytes`);
      }
      if (position + sizeBytes > records.length) return;
      const bytes = records.subarray(position, position + sizeBytes);
      yield { magic, header: undefined, lastOffset: batchField.baseOffset(records, position), bytes };
    }
    position += sizeBytes;
  }
}

/** All records of a batch of any format, as decodeBatch. */
export function decodeFetched(batch: FetchedBatch, limits: DecodeLimits = {}): LogRecord[] {
  return batch.magic === 2 ? decodeBatch(batch.bytes, limits) : decodeLegacy(batch.bytes, limits);
}

/** Whether the batch's bytes are those that its CRC was made of. */
export function verifyFetchedCrc(batch: FetchedBatch): boolean {
  if (batch.magic === 2) return verifyBatchCrc(batch.bytes);
  return crc32(batch.bytes.subarray(entryPrefixBytes + 4)) === batch.bytes.readUInt32BE(entryPrefixBytes);
}

/** The records of one entry of magic 0 or 1: one, or those inside it if it is compressed. */
export function decodeLegacy(bytes: Buffer, limits: DecodeLimits = {}): LogRecord[] {
  const reader = new Reader(bytes);
  const entry = readEntry(reader);
  reader.finish();
  const codec = codecOfAttributes(entry.attributes);
  if (codec === 'none') return [toRecord(entry, entry.offset, entry.timestamp)];
  if (codec === 'zstd') throw new ProtocolError('bad-batch', `zstd in an entry of magic ${entry.magic}`);
  if (entry.value === null) throw new ProtocolError('bad-batch', 'a compressed entry without a value');
  const { decompressedBytesMax = decompressedBytesMaxDefault } = limits;
  const inner =
    codec === 'lz4'
      ? decompressLz4(entry.value, decompressedBytesMax, { ignoreHeaderChecksum: entry.magic === 0 })
      : decompress(codec, entry.value, decompressedBytesMax);
  return decodeInner(entry, inner);
}

function decodeInner(wrapper: LegacyEntry, inner: Buffer): LogRecord[] {
  const reader = new Reader(inner);
  const entries: LegacyEntry[] = [];
  while (reader.remaining > 0) {
    const entry = readEntry(reader);
    if (entry.magic !== wrapper.magic) {
      throw new ProtocolError('bad-batch', `an entry of magic ${entry.magic} within one of ${wrapper.magic}`);
    }
    if (codecOfAttributes(entry.attributes) !== 'none') {
      throw new ProtocolError('bad-batch', 'a compressed entry within a compressed one');
    }
    entries.push(entry);
  }
  const last = entries.at(-1);
  if (last === undefined) throw new ProtocolError('bad-batch', 'a compressed entry with nothing in it');
  // Magic 1 counts from the entry's own start, and the wrapper has the offset of the last one.
  const offsetBase = wrapper.magic === 1 ? wrapper.offset - last.offset : 0;
  const isLogAppendTime = wrapper.magic === 1 && (wrapper.attributes & logAppendTimeBit) !== 0;
  return entries.map((entry) =>
    toRecord(entry, offsetBase + entry.offset, isLogAppendTime ? wrapper.timestamp : entry.timestamp),
  );
}

function readEntry(reader: Reader): LegacyEntry {
  const offset = reader.int64();
  const size = reader.int32();
  if (size < entryBytesMin) throw new ProtocolError('bad-batch', `an entry of ${size} bytes`);
  const start = reader.take(size);
  const body = new Reader(reader.buffer, start, start + size);
  const crc = body.uint32();
  if (crc !== crc32(reader.buffer.subarray(body.position, body.end))) {
    throw new ProtocolError('bad-crc', `the CRC of the entry at offset ${offset} does not match its bytes`);
  }
  const magic = body.int8();
  if (magic !== 0 && magic !== 1) throw new ProtocolError('unsupported-magic', `an entry of magic ${magic}`);
  const attributes = body.int8();
  const timestamp = magic === 1 ? body.int64() : -1;
  const key = body.nullableBytes();
  const value = body.nullableBytes();
  body.finish();
  return { magic, offset, attributes, timestamp, key, value };
}

function toRecord(entry: LegacyEntry, offset: number, timestamp: number): LogRecord {
  return { offset, timestamp, key: entry.key, value: entry.value, headers: [] };
}
