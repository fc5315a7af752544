/**
 * Records written one after another into a growing buffer, with room for a batch header in front. A record leaves no
 * object behind. Used by what makes batches.
 */
import { batchHeaderBytes } from './record-batch.ts';
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from './varint.ts';

export interface RecordHeader {
  key: string;
  value: Buffer | null;
}

/** What a record holds besides its place and time. */
export interface RecordContent {
  readonly key?: Buffer | null | undefined;
  readonly value?: Buffer | null | undefined;
  readonly headers?: readonly RecordHeader[] | undefined;
}

const noHeaders: readonly RecordHeader[] = [];
/** Below this a call into C++ costs more than the bytes one by one. */
const copyBytesMin = 24;

export class RecordBuffer {
  #buffer = Buffer.allocUnsafe(1024);
  /** Where the next record goes; at least the header's size. */
  #position = batchHeaderBytes;

  /** With the header. */
  get sizeBytes(): number {
    return this.#position;
  }

  /** Writes a record unless the whole would grow above `sizeBytesMax`; tells whether it did. */
  tryAppend(
    content: RecordContent,
    timestampDelta: number,
    offsetDelta: number,
    sizeBytesMax: number,
  ): boolean {
    const key = content.key ?? null;
    const value = content.value ?? null;
    const headers = content.headers ?? noHeaders;
    const bodyBytes =
      1 +
      varlongBytes(timestampDelta) +
      varintBytes(offsetDelta) +
      nullableBytes(key) +
      nullableBytes(value) +
      (headers.length === 0 ? 1 : headersBytes(headers));
    const end = this.#position + bodyBytes + varintBytes(bodyBytes);
    if (end > sizeBytesMax) return false;
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
    return true;
  }

  /** The header's room and the records. */
  batch(): Buffer {
    return this.#buffer.subarray(0, this.#position);
  }

  /** The records alone. */
  records(): Buffer {
    return this.#buffer.subarray(batchHeaderBytes, this.#position);
  }

  #grow(sizeBytes: number): void {
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, sizeBytes));
    this.#buffer.copy(grown, 0, 0, this.#position);
    this.#buffer = grown;
  }
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
  if (length < copyBytesMin)
    for (let index = 0; index < length; index++) buffer[start + index] = value[index]!;
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
