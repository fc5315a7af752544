/**
 * Walks the records of a batch without making an object for any. Each record's fields are left in the cursor: where key
 * and value lie, the deltas, where the headers begin. A record that does not use up its own length exactly is refused.
 */
import { ProtocolError } from './protocol-error.ts';
import { unzigzag64 } from './reader.ts';

/** The fewest bytes of a record: its length, attributes, two deltas, key, value and header count. */
export const recordBytesMin = 7;

export class RecordCursor {
  readonly buffer: Buffer;
  /** Index of the next byte. Between records, where the next one begins. */
  position: number;
  /** Index after the last record. */
  readonly end: number;
  timestampDelta = 0;
  offsetDelta = 0;
  /** Where the key begins; meaningless when `keyLength` is -1, which stands for null. */
  keyStart = 0;
  keyLength = -1;
  valueStart = 0;
  valueLength = -1;
  headerCount = 0;
  /** Where the first header begins. */
  headersStart = 0;
  /** Index after the current record. */
  #recordEnd = 0;

  constructor(buffer: Buffer, position: number, end: number) {
    this.buffer = buffer;
    this.position = position;
    this.end = end;
  }

  /** Reads one record and moves to the next. Headers are checked, but not kept. Throws ProtocolError 'bad-record'. */
  next(): void {
    const length = this.outerVarint();
    const end = this.position + length;
    if (length < recordBytesMin - 1 || end > this.end) {
      fail(`a record of ${length} bytes where ${this.end - this.position} are left`);
    }
    this.#recordEnd = end;
    // Attributes: no bit of them is in use.
    this.position++;
    this.timestampDelta = this.#varlong();
    this.offsetDelta = this.varint();
    this.keyLength = this.varint();
    this.keyStart = this.position;
    if (this.keyLength > 0) this.#skip(this.keyLength);
    else if (this.keyLength < -1) fail(`a key of ${this.keyLength} bytes`);
    this.valueLength = this.varint();
    this.valueStart = this.position;
    if (this.valueLength > 0) this.#skip(this.valueLength);
    else if (this.valueLength < -1) fail(`a value of ${this.valueLength} bytes`);
    this.headerCount = this.varint();
    this.headersStart = this.position;
    if (this.headerCount !== 0) this.#skipHeaders();
    if (this.position !== end) fail(`${end - this.position} bytes are left over in a record`);
  }

  /** A varint between records, up to the end of all. */
  outerVarint(): number {
    this.#recordEnd = this.end;
    return this.varint();
  }

  /** A zigzag varint of 32 bits within the current record. */
  varint(): number {
    const { buffer, position } = this;
    const end = this.#recordEnd;
    if (position < end) {
      const first = buffer[position]!;
      if (first < 0x80) {
        this.position = position + 1;
        return (first >>> 1) ^ -(first & 1);
      }
      if (position + 1 < end) {
        const second = buffer[position + 1]!;
        if (second < 0x80) {
          this.position = position + 2;
          return (((first & 0x7f) | (second << 7)) >>> 1) ^ -(first & 1);
        }
      }
    }
    return this.#longVarint();
  }

  #longVarint(): number {
    const buffer = this.buffer;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.position >= this.#recordEnd) fail('a record ends within a number');
      const byte = buffer[this.position++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (shift === 28 && byte > 0x0f) break;
        return (value >>> 1) ^ -(value & 1);
      }
    }
    return fail('a number of more than 32 bits');
  }

  #varlong(): number {
    const { buffer, position } = this;
    if (position < this.#recordEnd) {
      const first = buffer[position]!;
      if (first < 0x80) {
        this.position = position + 1;
        return (first >>> 1) ^ -(first & 1);
      }
    }
    return this.#longVarlong();
  }

  #longVarlong(): number {
    const buffer = this.buffer;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.#recordEnd) fail('a record ends within a number');
      const byte = buffer[this.position++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        if (shift === 63 && byte > 1) break;
        return high === 0 ? (low >>> 1) ^ -(low & 1) : unzigzag64(low, high);
      }
    }
    return fail('a number of more than 64 bits');
  }

  #skipHeaders(): void {
    const count = this.headerCount;
    // A header takes at least two bytes.
    if (count < 0 || count * 2 > this.#recordEnd - this.position) fail(`${count} headers in a record`);
    for (let index = 0; index < count; index++) {
      const keyLength = this.varint();
      if (keyLength < 0) fail(`a header key of ${keyLength} bytes`);
      this.#skip(keyLength);
      const valueLength = this.varint();
      if (valueLength < -1) fail(`a header value of ${valueLength} bytes`);
      if (valueLength > 0) this.#skip(valueLength);
    }
  }

  #skip(sizeBytes: number): void {
    const position = this.position + sizeBytes;
    if (position > this.#recordEnd) fail('a record ends within a field');
    this.position = position;
  }
}

function fail(message: string): never {
  throw new ProtocolError('bad-record', message);
}
