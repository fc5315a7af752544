/**
 * Makes record batches. A builder writes each record straight into one growing buffer that begins with room for the
 * header, so a record leaves no object behind. Used by producers and by whoever writes records of its own (coordinators).
 */
import { compress } from './compression/compression.ts';
import { ProtocolError } from './protocol-error.ts';
import {
  attributeBits,
  batchHeaderBytes,
  batchPrefixBytes,
  compressionCodecs,
  writeBatchCrc,
  writeInt64,
} from './record-batch.ts';
import type { CompressionCodec } from './record-batch.ts';
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from './varint.ts';

export interface RecordHeader {
  key: string;
  value: Buffer | null;
}

export interface NewRecord {
  /** Milliseconds since 1970; -1 for none. */
  readonly timestamp: number;
  readonly key?: Buffer | null | undefined;
  readonly value?: Buffer | null | undefined;
  readonly headers?: readonly RecordHeader[] | undefined;
}

export interface BatchOptions {
  /** 0 unless given. */
  readonly baseOffset?: number;
  readonly compression?: CompressionCodec;
  /** The codec's own scale; its usual level unless given. */
  readonly compressionLevel?: number | undefined;
  /** -1 unless given, as are epoch and sequence. */
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  readonly partitionLeaderEpoch?: number;
  readonly timestampType?: 'CreateTime' | 'LogAppendTime';
}

export interface BuilderOptions extends BatchOptions {
  /** A record that would take the batch, uncompressed, above this is refused, unless it is the first. No limit unless given. */
  readonly sizeBytesMax?: number;
}

/** What may be decided when the batch is finished rather than when it is begun. */
export type ProducerFields = Pick<
  BatchOptions,
  'producerId' | 'producerEpoch' | 'baseSequence' | 'isTransactional'
>;

/** Compresses elsewhere, on the thread pool say. */
export type AsyncCompress = (
  codec: CompressionCodec,
  data: Buffer,
  level: number | undefined,
) => Promise<Buffer>;

/** The CRC and lengths of a batch are 32-bit numbers. */
const sizeBytesLimit = 2_147_483_647;
const noHeaders: readonly RecordHeader[] = [];

export class BatchBuilder {
  readonly #options: BuilderOptions;
  readonly #sizeBytesMax: number;
  #buffer: Buffer;
  /** Where the next record goes; at least the header's size. */
  #position = batchHeaderBytes;
  #recordCount = 0;
  #baseTimestamp = -1;
  #maxTimestamp = -1;

  constructor(options: BuilderOptions = {}) {
    this.#options = options;
    this.#sizeBytesMax = Math.min(options.sizeBytesMax ?? sizeBytesLimit, sizeBytesLimit);
    this.#buffer = Buffer.allocUnsafe(1024);
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Size of the batch so far, before compression. */
  get estimatedSizeBytes(): number {
    return this.#position;
  }

  /** Largest timestamp so far; -1 when there is none. */
  get maxTimestamp(): number {
    return this.#maxTimestamp;
  }

  /** Adds a record; false, and nothing added, if the batch would grow above its limit. */
  tryAppend(record: NewRecord): boolean {
    const key = record.key ?? null;
    const value = record.value ?? null;
    const headers = record.headers ?? noHeaders;
    const { timestamp } = record;
    if (!Number.isSafeInteger(timestamp)) {
      throw new ProtocolError('unsafe-integer', `the timestamp ${timestamp} is not a safe integer`);
    }
    const timestampDelta = this.#recordCount === 0 ? 0 : timestamp - this.#baseTimestamp;
    const offsetDelta = this.#recordCount;
    const bodyBytes =
      1 +
      varlongBytes(timestampDelta) +
      varintBytes(offsetDelta) +
      nullableBytes(key) +
      nullableBytes(value) +
      (headers.length === 0 ? 1 : headersBytes(headers));
    const recordBytes = bodyBytes + varintBytes(bodyBytes);
    const end = this.#position + recordBytes;
    if (end > this.#sizeBytesMax && (this.#recordCount > 0 || end > sizeBytesLimit)) return false;
    if (end > this.#buffer.length) this.#grow(end);
    const buffer = this.#buffer;
    let position = writeVarint(buffer, this.#position, bodyBytes);
    buffer[position++] = 0;
    position = writeVarlong(buffer, position, timestampDelta);
    position = writeVarint(buffer, position, offsetDelta);
    position = writeNullable(buffer, position, key);
    position = writeNullable(buffer, position, value);
    if (headers.length === 0) buffer[position++] = 0;
    else position = writeHeaders(buffer, position, headers);
    this.#position = position;
    if (offsetDelta === 0) this.#baseTimestamp = timestamp;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
    this.#recordCount = offsetDelta + 1;
    return true;
  }

  /** The finished batch. Uncompressed, it lies in the builder's own buffer, so the builder may not be used again. */
  build(producer: ProducerFields = {}): Buffer {
    const { compression = 'none', compressionLevel } = this.#options;
    if (compression === 'none') return this.#finish(this.#buffer.subarray(0, this.#position), producer);
    return this.#finishCompressed(compress(compression, this.#records(), compressionLevel), producer);
  }

  /** As `build`, with the compression done by the given function. */
  async buildAsync(compressAsync: AsyncCompress, producer: ProducerFields = {}): Promise<Buffer> {
    const { compression = 'none', compressionLevel } = this.#options;
    if (compression === 'none') return this.build(producer);
    return this.#finishCompressed(
      await compressAsync(compression, this.#records(), compressionLevel),
      producer,
    );
  }

  #records(): Buffer {
    return this.#buffer.subarray(batchHeaderBytes, this.#position);
  }

  #finishCompressed(compressed: Buffer, producer: ProducerFields): Buffer {
    const batch = Buffer.allocUnsafe(batchHeaderBytes + compressed.length);
    batch.set(compressed, batchHeaderBytes);
    return this.#finish(batch, producer);
  }

  #finish(batch: Buffer, producer: ProducerFields): Buffer {
    writeBatchHeader(batch, {
      ...this.#options,
      ...producer,
      recordCount: this.#recordCount,
      lastOffsetDelta: this.#recordCount - 1,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: this.#maxTimestamp,
    });
    return batch;
  }

  #grow(sizeBytes: number): void {
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, sizeBytes));
    this.#buffer.copy(grown, 0, 0, this.#position);
    this.#buffer = grown;
  }
}

/** A batch of these records, in order, with offset deltas from 0. */
export function encodeBatch(records: readonly NewRecord[], options: BatchOptions = {}): Buffer {
  const builder = new BatchBuilder(options);
  for (const record of records) {
    if (!builder.tryAppend(record))
      throw new ProtocolError('too-large', 'the records are too large for one batch');
  }
  return builder.build();
}

export interface BatchHeaderFields extends BatchOptions {
  readonly recordCount: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
}

/** Fills the first 61 bytes of a batch that is complete from there on; the buffer ends where the batch ends. */
export function writeBatchHeader(batch: Buffer, fields: BatchHeaderFields): void {
  writeInt64(batch, 0, fields.baseOffset ?? 0);
  batch.writeInt32BE(batch.length - batchPrefixBytes, 8);
  batch.writeInt32BE(fields.partitionLeaderEpoch ?? -1, 12);
  batch[16] = 2;
  batch.writeInt16BE(attributesOf(fields), 21);
  batch.writeInt32BE(fields.lastOffsetDelta, 23);
  writeInt64(batch, 27, fields.baseTimestamp);
  writeInt64(batch, 35, fields.maxTimestamp);
  writeInt64(batch, 43, fields.producerId ?? -1);
  batch.writeInt16BE(fields.producerEpoch ?? -1, 51);
  batch.writeInt32BE(fields.baseSequence ?? -1, 53);
  batch.writeInt32BE(fields.recordCount, 57);
  writeBatchCrc(batch, 0);
}

function attributesOf(options: BatchOptions): number {
  const codec = compressionCodecs.indexOf(options.compression ?? 'none');
  if (codec < 0) throw new ProtocolError('bad-value', `there is no codec ${String(options.compression)}`);
  return (
    codec |
    (options.timestampType === 'LogAppendTime' ? attributeBits.logAppendTime : 0) |
    (options.isTransactional === true ? attributeBits.transactional : 0) |
    (options.isControl === true ? attributeBits.control : 0)
  );
}

function nullableBytes(value: Buffer | null): number {
  return value === null ? 1 : varintBytes(value.length) + value.length;
}

function headersBytes(headers: readonly RecordHeader[]): number {
  let size = varintBytes(headers.length);
  for (const { key, value } of headers) {
    const keyBytes = Buffer.byteLength(key, 'utf8');
    size += varintBytes(keyBytes) + keyBytes + nullableBytes(value);
  }
  return size;
}

function writeNullable(buffer: Buffer, position: number, value: Buffer | null): number {
  if (value === null) {
    buffer[position] = 1;
    return position + 1;
  }
  const start = writeVarint(buffer, position, value.length);
  const { length } = value;
  // A call into C++ costs more than a few bytes one by one.
  if (length < 24) for (let index = 0; index < length; index++) buffer[start + index] = value[index]!;
  else buffer.set(value, start);
  return start + length;
}

function writeHeaders(buffer: Buffer, start: number, headers: readonly RecordHeader[]): number {
  let position = writeVarint(buffer, start, headers.length);
  for (const { key, value } of headers) {
    const keyBytes = Buffer.byteLength(key, 'utf8');
    position = writeVarint(buffer, position, keyBytes);
    buffer.write(key, position, keyBytes, 'utf8');
    position = writeNullable(buffer, position + keyBytes, value);
  }
  return position;
}
