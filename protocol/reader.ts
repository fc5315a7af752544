/**
 * A cursor over received bytes, with one method for each of Kafka's encodings. It checks every length against the bytes
 * that remain before anything is allocated, and throws ProtocolError for whatever breaks the format. Generated codecs are
 * its main caller. `bytes` and `records` are slices of the input, never copies.
 */
import { ProtocolError } from './protocol-error.ts';

export interface UnknownTaggedField {
  tag: number;
  data: Buffer;
}

/** Limits that Kafka 4.4 sets as well. */
const arrayElementsMax = 1_000_000;
const tagsMax = 10_000;
const stringBytesMax = 32_767;

const two32 = 4_294_967_296;
const zeroUuid = 'AAAAAAAAAAAAAAAAAAAAAA';

export class Reader {
  readonly buffer: Buffer;
  /** Index of the next byte to read; never above `end`. */
  position: number;
  /** Index after the last byte that may be read. */
  end: number;

  constructor(buffer: Buffer, position = 0, end: number = buffer.length) {
    if (position < 0 || end > buffer.length || position > end) {
      throw new ProtocolError('short', `bytes ${position} to ${end} of a buffer of ${buffer.length}`);
    }
    this.buffer = buffer;
    this.position = position;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  /** Moves past `sizeBytes` bytes and returns where they began. */
  take(sizeBytes: number): number {
    const start = this.position;
    const next = start + sizeBytes;
    if (next > this.end) this.#failShort(sizeBytes);
    this.position = next;
    return start;
  }

  bool(): boolean {
    return this.buffer[this.take(1)] !== 0;
  }

  int8(): number {
    return (this.buffer[this.take(1)]! << 24) >> 24;
  }

  int16(): number {
    const start = this.take(2);
    const buffer = this.buffer;
    return (((buffer[start]! << 8) | buffer[start + 1]!) << 16) >> 16;
  }

  uint16(): number {
    const start = this.take(2);
    const buffer = this.buffer;
    return (buffer[start]! << 8) | buffer[start + 1]!;
  }

  int32(): number {
    const start = this.take(4);
    const buffer = this.buffer;
    return (
      (buffer[start]! << 24) | (buffer[start + 1]! << 16) | (buffer[start + 2]! << 8) | buffer[start + 3]!
    );
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  /** Beyond 2^53 the nearest double, which range checks then refuse. */
  int64(): number {
    const high = this.int32();
    return high * two32 + (this.int32() >>> 0);
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.take(8));
  }

  uuid(): string {
    const start = this.take(16);
    const buffer = this.buffer;
    for (let index = start; index < start + 16; index++) {
      if (buffer[index] !== 0) return buffer.toString('base64url', start, start + 16);
    }
    return zeroUuid;
  }

  unsignedVarint(): number {
    const buffer = this.buffer;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = buffer[this.take(1)]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (shift === 28 && byte > 0x0f) break;
        return value >>> 0;
      }
    }
    throw new ProtocolError('bad-varint', `the varint before byte ${this.position} has more than 32 bits`);
  }

  varint(): number {
    const value = this.unsignedVarint();
    return (value >>> 1) ^ -(value & 1);
  }

  /** Beyond 2^53 the nearest double. */
  varlong(): number {
    const buffer = this.buffer;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = buffer[this.take(1)]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        if (shift === 63 && byte > 1) break;
        return unzigzag64(low, high);
      }
    }
    throw new ProtocolError('bad-varint', `the varlong before byte ${this.position} has more than 64 bits`);
  }

  string(): string {
    return this.#text(this.#notNull(this.int16()));
  }

  nullableString(): string | null {
    const length = this.int16();
    return length === -1 ? null : this.#text(length);
  }

  compactString(): string {
    return this.#text(this.#notNull(this.unsignedVarint() - 1));
  }

  compactNullableString(): string | null {
    const length = this.unsignedVarint() - 1;
    return length === -1 ? null : this.#text(length);
  }

  bytes(): Buffer {
    return this.slice(this.#notNull(this.int32()));
  }

  nullableBytes(): Buffer | null {
    const length = this.int32();
    return length === -1 ? null : this.slice(length);
  }

  compactBytes(): Buffer {
    return this.slice(this.#notNull(this.unsignedVarint() - 1));
  }

  compactNullableBytes(): Buffer | null {
    const length = this.unsignedVarint() - 1;
    return length === -1 ? null : this.slice(length);
  }

  /** The next `length` bytes, not copied. */
  slice(length: number): Buffer {
    if (length < 0) this.#failNegative(length);
    const start = this.take(length);
    return this.buffer.subarray(start, start + length);
  }

  /** All bytes up to the end. */
  rest(): Buffer {
    return this.slice(this.end - this.position);
  }

  /** The count of a nullable array, -1 for null; `elementBytesMin` is what one element takes at least. */
  nullableCount(elementBytesMin: number): number {
    return this.#checkCount(this.int32(), elementBytesMin);
  }

  count(elementBytesMin: number): number {
    return this.#checkCount(this.#notNull(this.int32()), elementBytesMin);
  }

  compactNullableCount(elementBytesMin: number): number {
    return this.#checkCount(this.unsignedVarint() - 1, elementBytesMin);
  }

  compactCount(elementBytesMin: number): number {
    return this.#checkCount(this.#notNull(this.unsignedVarint() - 1), elementBytesMin);
  }

  /** Whether a nullable struct follows. */
  present(): boolean {
    const mark = this.int8();
    if (mark === 1) return true;
    if (mark === -1) return false;
    throw new ProtocolError('bad-value', `a nullable struct begins with ${mark}, neither 1 nor -1`);
  }

  /** As `present`, of a struct that travels in a tag: Kafka marks those otherwise. */
  presentInTag(): boolean {
    const mark = this.unsignedVarint();
    if (mark > 1) throw new ProtocolError('bad-value', `a nullable struct in a tag begins with ${mark}`);
    return mark === 1;
  }

  tagCount(): number {
    const count = this.unsignedVarint();
    // A tag takes at least two bytes.
    if (count > tagsMax || count * 2 > this.remaining) {
      throw new ProtocolError('too-large', `${count} tagged fields in ${this.remaining} bytes`);
    }
    return count;
  }

  /** The next tag, which must be above the one before it (-1 at first). */
  tag(previous: number): number {
    const tag = this.unsignedVarint();
    if (tag <= previous) throw new ProtocolError('bad-tag', `tag ${tag} comes after tag ${previous}`);
    return tag;
  }

  /** Reads a tag's size and confines the reader to its value; `endTag` takes the returned end back. */
  beginTag(): number {
    const size = this.unsignedVarint();
    if (size > this.remaining) this.#failShort(size);
    const end = this.end;
    this.end = this.position + size;
    return end;
  }

  endTag(end: number): void {
    if (this.position !== this.end) {
      throw new ProtocolError('trailing-bytes', `${this.remaining} bytes are left over in a tagged field`);
    }
    this.end = end;
  }

  /** A tagged section of which no tag is known; undefined when it is empty. */
  unknownTags(): UnknownTaggedField[] | undefined {
    const count = this.tagCount();
    if (count === 0) return undefined;
    const fields: UnknownTaggedField[] = [];
    let previous = -1;
    for (let index = 0; index < count; index++) {
      const tag = this.tag(previous);
      previous = tag;
      fields.push({ tag, data: this.slice(this.unsignedVarint()) });
    }
    return fields;
  }

  /** Throws unless all bytes have been read. */
  finish(): void {
    if (this.position !== this.end) {
      throw new ProtocolError('trailing-bytes', `${this.remaining} bytes are left over`);
    }
  }

  #text(length: number): string {
    if (length < 0) this.#failNegative(length);
    if (length > stringBytesMax) {
      throw new ProtocolError('too-large', `a string of ${length} bytes; the limit is ${stringBytesMax}`);
    }
    const start = this.take(length);
    return this.buffer.toString('utf8', start, start + length);
  }

  #notNull(length: number): number {
    if (length === -1) throw new ProtocolError('null-not-allowed', `null before byte ${this.position}`);
    return length;
  }

  #checkCount(count: number, elementBytesMin: number): number {
    if (count < -1) this.#failNegative(count);
    if (count > arrayElementsMax || count * elementBytesMin > this.end - this.position) {
      throw new ProtocolError('too-large', `an array of ${count} elements in ${this.remaining} bytes`);
    }
    return count;
  }

  #failNegative(length: number): never {
    throw new ProtocolError('negative-length', `length ${length} before byte ${this.position}`);
  }

  #failShort(sizeBytes: number): never {
    throw new ProtocolError('short', `${sizeBytes} bytes wanted at ${this.position}, ${this.remaining} left`);
  }
}

/** Undoes zigzag on 64 bits given as two halves. */
export function unzigzag64(low: number, high: number): number {
  const sign = -(low & 1);
  const unsignedLow = (((low >>> 1) | (high << 31)) ^ sign) >>> 0;
  return ((high >>> 1) ^ sign) * two32 + unsignedLow;
}
