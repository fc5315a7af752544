/**
 * Grows a message from its values, with one method for each of Kafka's encodings; the counterpart of Reader. Every value
 * is checked against what its encoding can carry. Generated codecs are its main caller. A Writer is used for one message.
 */
import { ProtocolError } from './protocol-error.ts';
import type { UnknownTaggedField } from './reader.ts';

const stringBytesMax = 32_767;
const arrayElementsMax = 1_000_000;
const tagsMax = 10_000;
const two32 = 4_294_967_296;
/** From this size on, bytes stand as a part of their own instead of being copied. */
const partBytesMin = 1024;

export class Writer {
  #buffer: Buffer;
  /** Where the piece that is being written began; what lies before belongs to `#parts`. */
  #start = 0;
  #position = 0;
  #parts: Buffer[] | undefined;
  /** Total size of `#parts`. */
  #partsBytes = 0;

  constructor(initialSizeBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(initialSizeBytes);
  }

  /** Bytes written so far. */
  get sizeBytes(): number {
    return this.#partsBytes + this.#position - this.#start;
  }

  /** All that was written, as one buffer. */
  finish(): Buffer {
    const tail = this.#buffer.subarray(this.#start, this.#position);
    if (this.#parts === undefined) return tail;
    return Buffer.concat([...this.#parts, tail], this.sizeBytes);
  }

  /** All that was written, in order; bytes fields of 1 KiB and more are the caller's own buffers. */
  finishParts(): Buffer[] {
    const parts = this.#parts ?? [];
    if (this.#position > this.#start) parts.push(this.#buffer.subarray(this.#start, this.#position));
    return parts;
  }

  bool(value: boolean): void {
    if (typeof value !== 'boolean') this.fail('bad-value', `${String(value)} is not a boolean`);
    const position = this.#take(1);
    this.#buffer[position] = value ? 1 : 0;
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) failRange(value, 'int8');
    const position = this.#take(1);
    this.#buffer[position] = value;
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) failRange(value, 'int16');
    const position = this.#take(2);
    const buffer = this.#buffer;
    buffer[position] = value >> 8;
    buffer[position + 1] = value;
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) failRange(value, 'uint16');
    const position = this.#take(2);
    const buffer = this.#buffer;
    buffer[position] = value >> 8;
    buffer[position + 1] = value;
  }

  int32(value: number): void {
    if ((value | 0) !== value) failRange(value, 'int32');
    this.#word(value);
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) failRange(value, 'uint32');
    this.#word(value);
  }

  int64(value: number): void {
    if (!Number.isSafeInteger(value)) failUnsafe(value);
    this.#word(Math.floor(value / two32));
    this.#word(value);
  }

  float64(value: number): void {
    if (typeof value !== 'number') this.fail('bad-value', `${String(value)} is not a number`);
    // The position is taken first: taking it may replace the buffer.
    const position = this.#take(8);
    this.#buffer.writeDoubleBE(value, position);
  }

  uuid(value: string): void {
    const position = this.#take(16);
    writeUuid(this.#buffer, position, value);
  }

  unsignedVarint(value: number): void {
    if (value >>> 0 !== value) failRange(value, 'unsigned varint');
    let position = this.#reserve(5);
    const buffer = this.#buffer;
    let rest = value;
    while (rest > 0x7f) {
      buffer[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[position++] = rest;
    this.#position = position;
  }

  varint(value: number): void {
    if ((value | 0) !== value) failRange(value, 'varint');
    this.unsignedVarint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  varlong(value: number): void {
    if (!Number.isSafeInteger(value)) failUnsafe(value);
    let position = this.#reserve(10);
    const buffer = this.#buffer;
    // The zigzag form has at most 54 bits, one more than a double counts: it is split in two.
    const magnitude = value < 0 ? -(value + 1) : value;
    let high = Math.floor(magnitude / 0x4000_0000);
    let low = (magnitude % 0x4000_0000) * 2 + (value < 0 ? 1 : 0);
    while (high > 0 || low > 0x7f) {
      buffer[position++] = (low & 0x7f) | 0x80;
      low = (low >>> 7) | ((high & 0x7f) << 24);
      high = Math.floor(high / 128);
    }
    buffer[position++] = low;
    this.#position = position;
  }

  string(value: string): void {
    if (typeof value !== 'string') failNotText(value);
    const length = stringBytes(value);
    this.int16(length);
    this.#text(value, length);
  }

  nullableString(value: string | null): void {
    if (value === null) this.int16(-1);
    else this.string(value);
  }

  compactString(value: string): void {
    if (typeof value !== 'string') failNotText(value);
    const length = stringBytes(value);
    this.unsignedVarint(length + 1);
    this.#text(value, length);
  }

  compactNullableString(value: string | null): void {
    if (value === null) this.unsignedVarint(0);
    else this.compactString(value);
  }

  /** Given as pieces, the value is their concatenation, which is not made. */
  bytes(value: Buffer | readonly Buffer[]): void {
    this.int32(bytesLength(value));
    this.#pieces(value);
  }

  nullableBytes(value: Buffer | readonly Buffer[] | null): void {
    if (value === null) this.int32(-1);
    else this.bytes(value);
  }

  compactBytes(value: Buffer | readonly Buffer[]): void {
    this.unsignedVarint(bytesLength(value) + 1);
    this.#pieces(value);
  }

  compactNullableBytes(value: Buffer | readonly Buffer[] | null): void {
    if (value === null) this.unsignedVarint(0);
    else this.compactBytes(value);
  }

  /** Bytes without a length in front; 1 KiB and more are kept as they are, so the caller may not change them until sent. */
  raw(value: Buffer): void {
    if (value.length >= partBytesMin) {
      this.#part(value);
      return;
    }
    const position = this.#take(value.length);
    this.#buffer.set(value, position);
  }

  count(length: number): void {
    checkCount(length);
    this.int32(length);
  }

  compactCount(length: number): void {
    checkCount(length);
    this.unsignedVarint(length + 1);
  }

  tagCount(count: number): void {
    if (count > tagsMax) this.fail('too-large', `${count} tagged fields; the limit is ${tagsMax}`);
    this.unsignedVarint(count);
  }

  /** A tagged field whose value another Writer holds. */
  tagged(tag: number, value: Writer): void {
    this.unsignedVarint(tag);
    this.unsignedVarint(value.sizeBytes);
    for (const part of value.finishParts()) this.raw(part);
  }

  /** Writes the unknown fields from index `next` on whose tags are below `before`, and returns the index after them. */
  unknownTags(fields: readonly UnknownTaggedField[], next: number, before: number): number {
    let index = next;
    for (; index < fields.length; index++) {
      const { tag, data } = fields[index]!;
      if (tag > before) break;
      if (tag === before || (index > 0 && tag <= fields[index - 1]!.tag)) {
        this.fail('bad-tag', `tag ${tag} is given twice or out of order`);
      }
      if (!Buffer.isBuffer(data)) failNotBytes(data);
      this.unsignedVarint(tag);
      this.unsignedVarint(data.length);
      this.raw(data);
    }
    return index;
  }

  /** A Writer for the value of a tagged field. */
  child(): Writer {
    return new Writer(64);
  }

  fail(code: ProtocolError['code'], message: string): never {
    throw new ProtocolError(code, message);
  }

  /** Makes sure that `sizeBytes` fit at the position, without taking them. */
  #reserve(sizeBytes: number): number {
    if (this.#position + sizeBytes > this.#buffer.length) this.#grow(sizeBytes);
    return this.#position;
  }

  #take(sizeBytes: number): number {
    const position = this.#reserve(sizeBytes);
    this.#position = position + sizeBytes;
    return position;
  }

  #grow(sizeBytes: number): void {
    const used = this.#position - this.#start;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, used + sizeBytes));
    this.#buffer.copy(grown, 0, this.#start, this.#position);
    this.#buffer = grown;
    this.#start = 0;
    this.#position = used;
  }

  #word(value: number): void {
    const position = this.#take(4);
    const buffer = this.#buffer;
    buffer[position] = value >>> 24;
    buffer[position + 1] = value >>> 16;
    buffer[position + 2] = value >>> 8;
    buffer[position + 3] = value;
  }

  #text(value: string, length: number): void {
    const position = this.#take(length);
    const buffer = this.#buffer;
    if (length === value.length && length < 24) {
      // As many bytes as units: all are ASCII, and short ones are quicker without a call into C++.
      for (let index = 0; index < length; index++) buffer[position + index] = value.charCodeAt(index);
    } else buffer.write(value, position, length, 'utf8');
  }

  #pieces(value: Buffer | readonly Buffer[]): void {
    if (Buffer.isBuffer(value)) this.raw(value);
    else for (const piece of value) this.raw(piece);
  }

  #part(value: Buffer): void {
    this.#parts ??= [];
    if (this.#position > this.#start) {
      this.#parts.push(this.#buffer.subarray(this.#start, this.#position));
      this.#partsBytes += this.#position - this.#start;
      this.#start = this.#position;
    }
    this.#parts.push(value);
    this.#partsBytes += value.length;
  }
}

/** Sixteen bytes from the 22 characters of Kafka's text form. */
export function writeUuid(buffer: Buffer, position: number, text: string): void {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]{21}[AQgw]$/.test(text)) {
    throw new ProtocolError('bad-value', `${text} is not a uuid of 22 base64url characters`);
  }
  buffer.write(text, position, 16, 'base64url');
}

function stringBytes(value: string): number {
  const length = Buffer.byteLength(value, 'utf8');
  if (length > stringBytesMax) {
    throw new ProtocolError('too-large', `a string of ${length} bytes; the limit is ${stringBytesMax}`);
  }
  return length;
}

function checkCount(length: number): void {
  if (length > arrayElementsMax) {
    throw new ProtocolError('too-large', `an array of ${length} elements; the limit is ${arrayElementsMax}`);
  }
}

function bytesLength(value: Buffer | readonly Buffer[]): number {
  if (Buffer.isBuffer(value)) return value.length;
  if (!Array.isArray(value)) return failNotBytes(value);
  let length = 0;
  for (const piece of value) length += Buffer.isBuffer(piece) ? piece.length : failNotBytes(piece);
  return length;
}

function failNotBytes(value: unknown): never {
  if (value === null) throw new ProtocolError('null-not-allowed', 'null where bytes are required');
  throw new ProtocolError('bad-value', `${typeof value} where a Buffer is required`);
}

function failNotText(value: unknown): never {
  if (value === null) throw new ProtocolError('null-not-allowed', 'null where a string is required');
  throw new ProtocolError('bad-value', `${typeof value} where a string is required`);
}

function failRange(value: number | null, type: string): never {
  if (value === null) throw new ProtocolError('null-not-allowed', `null where an ${type} is required`);
  throw new ProtocolError('out-of-range', `${value} is not an ${type}`);
}

function failUnsafe(value: number | null): never {
  if (value === null) throw new ProtocolError('null-not-allowed', 'null where an int64 is required');
  throw new ProtocolError('unsafe-integer', `${value} is not a safe integer`);
}
