/**
 * Makes record batches. A builder writes each record straight into one growing buffer that begins with room for the
 * header, so a record leaves no object behind. Used by producers and by whoever writes records of its own (coordinators).
 */
import { compress } from './compression/compression.ts';
import { ProtocolError } from './protocol-error.ts';
import {
  attributeBits,
  batchBytesMax,
  batchHeaderBytes,
  batchPrefixBytes,
  compressionCodecs,
  writeBatchCrc,
  writeInt64,
} from './record-batch.ts';
import type { CompressionCodec } from './record-batch.ts';
import { RecordBuffer } from './record-buffer.ts';
import type { RecordContent } from './record-buffer.ts';

export interface NewRecord extends RecordContent {
  /** Milliseconds since 1970; -1 for none. */
  readonly timestamp: number;
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

export class BatchBuilder {
  readonly #options: BuilderOptions;
  readonly #sizeBytesMax: number;
  readonly #records = new RecordBuffer();
  #recordCount = 0;
  /** Of the first record. */
  #baseTimestamp = -1;
  #maxTimestamp = -1;

  constructor(options: BuilderOptions = {}) {
    this.#options = options;
    this.#sizeBytesMax = Math.min(options.sizeBytesMax ?? batchBytesMax, batchBytesMax);
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Size of the batch so far, before compression. */
  get estimatedSizeBytes(): number {
    return this.#records.sizeBytes;
  }

  /** Largest timestamp so far; -1 when there is none. */
  get maxTimestamp(): number {
    return this.#maxTimestamp;
  }

  /** Adds a record; false, and nothing added, if the batch would grow above its limit. */
  tryAppend(record: NewRecord): boolean {
    const { timestamp } = record;
    if (!Number.isSafeInteger(timestamp)) {
      throw new ProtocolError('unsafe-integer', `the timestamp ${timestamp} is not a safe integer`);
    }
    const offsetDelta = this.#recordCount;
    const isFirst = offsetDelta === 0;
    const timestampDelta = isFirst ? 0 : timestamp - this.#baseTimestamp;
    const sizeBytesMax = isFirst ? batchBytesMax : this.#sizeBytesMax;
    if (!this.#records.tryAppend(record, timestampDelta, offsetDelta, sizeBytesMax)) return false;
    if (isFirst) this.#baseTimestamp = timestamp;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
    this.#recordCount = offsetDelta + 1;
    return true;
  }

  /** The finished batch. Uncompressed, it lies in the builder's own buffer, so the builder may not be used again. */
  build(producer: ProducerFields = {}): Buffer {
    const { compression = 'none', compressionLevel } = this.#options;
    if (compression === 'none') return this.#finish(this.#records.batch(), producer);
    return this.#finishCompressed(compress(compression, this.#records.records(), compressionLevel), producer);
  }

  /** As `build`, with the compression done by the given function. */
  async buildAsync(compressAsync: AsyncCompress, producer: ProducerFields = {}): Promise<Buffer> {
    const { compression = 'none', compressionLevel } = this.#options;
    if (compression === 'none') return this.build(producer);
    return this.#finishCompressed(
      await compressAsync(compression, this.#records.records(), compressionLevel),
      producer,
    );
  }

  #finishCompressed(compressed: Buffer, producer: ProducerFields): Buffer {
    return this.#finish(withHeaderRoom(compressed), producer);
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

/** A copy of compressed records behind room for a header. */
export function withHeaderRoom(compressed: Buffer): Buffer {
  const batch = Buffer.allocUnsafe(batchHeaderBytes + compressed.length);
  batch.set(compressed, batchHeaderBytes);
  return batch;
}

export interface BatchHeaderFields extends BatchOptions {
  readonly recordCount: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  /** Whether `baseTimestamp` is a delete horizon. */
  readonly hasDeleteHorizon?: boolean;
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

function attributesOf(options: BatchHeaderFields): number {
  const codec = compressionCodecs.indexOf(options.compression ?? 'none');
  if (codec < 0) throw new ProtocolError('bad-value', `there is no codec ${String(options.compression)}`);
  return (
    codec |
    (options.timestampType === 'LogAppendTime' ? attributeBits.logAppendTime : 0) |
    (options.isTransactional === true ? attributeBits.transactional : 0) |
    (options.isControl === true ? attributeBits.control : 0) |
    (options.hasDeleteHorizon === true ? attributeBits.deleteHorizon : 0)
  );
}
