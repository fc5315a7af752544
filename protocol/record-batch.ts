/**
 * The header of a record batch (magic 2), read and patched in place. Offsets of fields are Kafka's; the CRC covers all
 * from the attributes on, so base offset and leader epoch may be set without touching it.
 */
import { crc32c } from './checksums.ts';
import { ProtocolError } from './protocol-error.ts';

export type CompressionCodec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

/** By the number that the attributes hold. */
export const compressionCodecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** Size of a batch without records. */
export const batchHeaderBytes = 61;
/** What the batch length does not count: base offset and the length itself. */
export const batchPrefixBytes = 12;

/** Lengths in a batch are signed 32-bit numbers. */
export const batchBytesMax = 2_147_483_647;

export const attributeBits = {
  compression: 0x07,
  logAppendTime: 0x08,
  transactional: 0x10,
  control: 0x20,
  deleteHorizon: 0x40,
} as const;

export interface BatchHeader {
  readonly baseOffset: number;
  readonly batchLength: number;
  /** Of the whole batch: batchLength + 12. */
  readonly sizeBytes: number;
  readonly partitionLeaderEpoch: number;
  readonly magic: number;
  readonly crc: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly lastOffset: number;
  /** Of the first record, or the delete horizon. */
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly compression: CompressionCodec;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly isLogAppendTime: boolean;
  readonly hasDeleteHorizon: boolean;
}

const two32 = 4_294_967_296;

function int64(buffer: Buffer, position: number): number {
  return buffer.readInt32BE(position) * two32 + buffer.readUInt32BE(position + 4);
}

/**
 * Fields straight from the bytes, without an object. The caller knows that a whole header lies at the position; only
 * `magic`, `sizeBytes` and `baseOffset` stand at the same place in the older formats.
 */
export const batchField = {
  baseOffset: (buffer: Buffer, position = 0): number => int64(buffer, position),
  sizeBytes: (buffer: Buffer, position = 0): number => buffer.readInt32BE(position + 8) + batchPrefixBytes,
  leaderEpoch: (buffer: Buffer, position = 0): number => buffer.readInt32BE(position + 12),
  magic: (buffer: Buffer, position = 0): number => buffer.readInt8(position + 16),
  crc: (buffer: Buffer, position = 0): number => buffer.readUInt32BE(position + 17),
  attributes: (buffer: Buffer, position = 0): number => buffer.readInt16BE(position + 21),
  lastOffsetDelta: (buffer: Buffer, position = 0): number => buffer.readInt32BE(position + 23),
  lastOffset: (buffer: Buffer, position = 0): number =>
    int64(buffer, position) + buffer.readInt32BE(position + 23),
  baseTimestamp: (buffer: Buffer, position = 0): number => int64(buffer, position + 27),
  maxTimestamp: (buffer: Buffer, position = 0): number => int64(buffer, position + 35),
  producerId: (buffer: Buffer, position = 0): number => int64(buffer, position + 43),
  producerEpoch: (buffer: Buffer, position = 0): number => buffer.readInt16BE(position + 51),
  baseSequence: (buffer: Buffer, position = 0): number => buffer.readInt32BE(position + 53),
  recordCount: (buffer: Buffer, position = 0): number => buffer.readInt32BE(position + 57),
  compression: (buffer: Buffer, position = 0): CompressionCodec =>
    codecOfAttributes(buffer.readInt16BE(position + 21)),
} as const;

/** The codec named in a batch's attributes. Throws ProtocolError 'bad-batch' for the numbers that name none. */
export function codecOfAttributes(attributes: number): CompressionCodec {
  const codec = compressionCodecs[attributes & attributeBits.compression];
  if (codec === undefined) {
    throw new ProtocolError(
      'bad-batch',
      `compression type ${attributes & attributeBits.compression} is not known`,
    );
  }
  return codec;
}

/**
 * Reads the header of the batch at the position. The batch's records may lie beyond the buffer's end; its header may not.
 * Throws ProtocolError 'short', 'unsupported-magic' (0 and 1 are read by decodeLegacy) or 'bad-batch'.
 */
export function readBatchHeader(buffer: Buffer, position = 0): BatchHeader {
  if (buffer.length - position < batchPrefixBytes + 5) {
    throw new ProtocolError(
      'short',
      `a batch header needs ${batchHeaderBytes} bytes, not ${buffer.length - position}`,
    );
  }
  const magic = batchField.magic(buffer, position);
  if (magic !== 2)
    throw new ProtocolError('unsupported-magic', `record batches of magic ${magic} are not accepted`);
  if (buffer.length - position < batchHeaderBytes) {
    throw new ProtocolError(
      'short',
      `a batch header needs ${batchHeaderBytes} bytes, not ${buffer.length - position}`,
    );
  }
  const batchLength = buffer.readInt32BE(position + 8);
  if (batchLength < batchHeaderBytes - batchPrefixBytes) {
    throw new ProtocolError('bad-batch', `a batch length of ${batchLength} leaves no room for its header`);
  }
  const attributes = batchField.attributes(buffer, position);
  const baseOffset = batchField.baseOffset(buffer, position);
  const lastOffsetDelta = batchField.lastOffsetDelta(buffer, position);
  const recordCount = batchField.recordCount(buffer, position);
  if (recordCount < 0) throw new ProtocolError('bad-batch', `a batch of ${recordCount} records`);
  return {
    baseOffset,
    batchLength,
    sizeBytes: batchLength + batchPrefixBytes,
    partitionLeaderEpoch: batchField.leaderEpoch(buffer, position),
    magic,
    crc: batchField.crc(buffer, position),
    attributes,
    lastOffsetDelta,
    lastOffset: baseOffset + lastOffsetDelta,
    baseTimestamp: batchField.baseTimestamp(buffer, position),
    maxTimestamp: batchField.maxTimestamp(buffer, position),
    producerId: batchField.producerId(buffer, position),
    producerEpoch: batchField.producerEpoch(buffer, position),
    baseSequence: batchField.baseSequence(buffer, position),
    recordCount,
    compression: codecOfAttributes(attributes),
    isTransactional: (attributes & attributeBits.transactional) !== 0,
    isControl: (attributes & attributeBits.control) !== 0,
    isLogAppendTime: (attributes & attributeBits.logAppendTime) !== 0,
    hasDeleteHorizon: (attributes & attributeBits.deleteHorizon) !== 0,
  };
}

/** Whether the batch's bytes are those that its CRC was made of; false for a batch that is cut off. */
export function verifyBatchCrc(buffer: Buffer, position = 0): boolean {
  if (buffer.length - position < batchHeaderBytes) return false;
  const end = position + batchField.sizeBytes(buffer, position);
  if (end < position + batchHeaderBytes || end > buffer.length) return false;
  return crc32c(buffer.subarray(position + 21, end)) === batchField.crc(buffer, position);
}

/** In place; the CRC does not cover it. */
export function setBaseOffset(buffer: Buffer, position: number, baseOffset: number): void {
  writeInt64(buffer, position, baseOffset);
}

/** In place; the CRC does not cover it. */
export function setPartitionLeaderEpoch(buffer: Buffer, position: number, leaderEpoch: number): void {
  buffer.writeInt32BE(leaderEpoch, position + 12);
}

/** Gives all records of the batch one time, in milliseconds: bit 3, the maximum timestamp and a new CRC, in place. */
export function setLogAppendTime(buffer: Buffer, position: number, timestamp: number): void {
  buffer.writeInt16BE(batchField.attributes(buffer, position) | attributeBits.logAppendTime, position + 21);
  writeInt64(buffer, position + 35, timestamp);
  writeBatchCrc(buffer, position);
}

/** Makes the batch one of CreateTime with this maximum timestamp and a new CRC, in place. */
export function setCreateTime(buffer: Buffer, position: number, maxTimestamp: number): void {
  buffer.writeInt16BE(batchField.attributes(buffer, position) & ~attributeBits.logAppendTime, position + 21);
  writeInt64(buffer, position + 35, maxTimestamp);
  writeBatchCrc(buffer, position);
}

/** Sets the producer's fields and a new CRC, in place: a producer learns its sequence only when it sends. */
export function setProducerState(
  buffer: Buffer,
  position: number,
  state: { readonly producerId: number; readonly producerEpoch: number; readonly baseSequence: number },
): void {
  writeInt64(buffer, position + 43, state.producerId);
  buffer.writeInt16BE(state.producerEpoch, position + 51);
  buffer.writeInt32BE(state.baseSequence, position + 53);
  writeBatchCrc(buffer, position);
}

/** Computes and stores the CRC of the whole batch at the position. */
export function writeBatchCrc(buffer: Buffer, position: number): void {
  const end = position + batchField.sizeBytes(buffer, position);
  buffer.writeUInt32BE(crc32c(buffer.subarray(position + 21, end)), position + 17);
}

export function writeInt64(buffer: Buffer, position: number, value: number): void {
  if (!Number.isSafeInteger(value))
    throw new ProtocolError('unsafe-integer', `${value} is not a safe integer`);
  buffer.writeInt32BE(Math.floor(value / two32), position);
  buffer.writeInt32BE(value | 0, position + 4);
}
