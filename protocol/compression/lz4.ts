/**
 * LZ4 frames. The library takes frames that are cut off and knows no limit, so frames are walked here and it is given
 * one block at a time, with room for what the block holds. Written as Kafka writes them: version 1, independent
 * blocks of 64 KiB, no checksums, no content size. Read with every flag, dependent blocks included.
 */
import { createRequire } from 'node:module';
import { bounded, failDamaged, failTooLarge } from './bounds.ts';
import { xxh32 } from './xxh32.ts';

interface Lz4 {
  /** A block with its decompressed size in front, as UINT32 LE. */
  compressSync(data: Buffer): Buffer;
  /** The same on the thread pool. */
  compress(data: Buffer): Promise<Buffer>;
  /** Makes as much room for the output as the same four bytes say. */
  uncompressSync(data: Buffer, dictionary?: Buffer): Buffer;
}

export interface Lz4Options {
  /** Magic 0 wrote a wrong header checksum, which is then not looked at. */
  readonly ignoreHeaderChecksum?: boolean;
}

const frameHeader = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
const frameMagic = 0x184d2204;
const blockBytes = 65_536;
const sizePrefixBytes = 4;
const storedBit = 0x8000_0000;
/** A match is never shorter. */
const matchBytesMin = 4;
const windowBytes = 65_536;

const load = createRequire(import.meta.url);

/** Loaded when it is first needed; Node keeps what it has loaded. */
function library(): Lz4 {
  return load('lz4-napi');
}

export function compressLz4(data: Buffer): Buffer {
  const parts: Buffer[] = [frameHeader];
  for (let position = 0; position < data.length; position += blockBytes) {
    const input = data.subarray(position, position + blockBytes);
    addBlock(parts, input, library().compressSync(input));
  }
  parts.push(Buffer.alloc(4));
  return Buffer.concat(parts);
}

/** The same bytes, one block after the other on the thread pool: a megabyte takes milliseconds. */
export async function compressLz4Async(data: Buffer): Promise<Buffer> {
  const parts: Buffer[] = [frameHeader];
  for (let position = 0; position < data.length; position += blockBytes) {
    const input = data.subarray(position, position + blockBytes);
    addBlock(parts, input, await library().compress(input));
  }
  parts.push(Buffer.alloc(4));
  return Buffer.concat(parts);
}

/** `block`: what the library has made of `input`. One that has not become smaller is stored as it was. */
function addBlock(parts: Buffer[], input: Buffer, block: Buffer): void {
  const length = block.length - sizePrefixBytes;
  // The size in front makes room for the block's own length.
  if (length < input.length) {
    block.writeUInt32LE(length, 0);
    parts.push(block);
  } else {
    const header = Buffer.allocUnsafe(4);
    header.writeUInt32LE(input.length + storedBit);
    parts.push(header, input);
  }
}

export function decompressLz4(data: Buffer, bytesMax: number, options: Lz4Options = {}): Buffer {
  if (data.length === 0) failDamaged('lz4', 'there is no frame');
  const reader = new FrameReader(data, bytesMax, options);
  while (reader.position < data.length) reader.readFrame();
  return reader.finish();
}

class FrameReader {
  position = 0;
  readonly #data: Buffer;
  readonly #bytesMax: number;
  readonly #options: Lz4Options;
  readonly #outputs: Buffer[] = [];
  #outputBytes = 0;

  constructor(data: Buffer, bytesMax: number, options: Lz4Options) {
    this.#data = data;
    this.#bytesMax = bytesMax;
    this.#options = options;
  }

  finish(): Buffer {
    return this.#outputs.length === 1 ? this.#outputs[0]! : Buffer.concat(this.#outputs, this.#outputBytes);
  }

  readFrame(): void {
    const data = this.#data;
    if (data.readUInt32LE(this.#take(4)) !== frameMagic) {
      failDamaged('lz4', 'a frame does not begin with its magic number');
    }
    const descriptor = this.#take(2);
    const flags = data[descriptor]!;
    const blockSizeCode = (data[descriptor + 1]! >> 4) & 7;
    if (flags >> 6 !== 1) failDamaged('lz4', `frames of version ${flags >> 6} are not known`);
    if (blockSizeCode < 4) failDamaged('lz4', `block size code ${blockSizeCode} is not known`);
    const contentSize = (flags & 0x08) === 0 ? undefined : Number(data.readBigUInt64LE(this.#take(8)));
    if ((flags & 0x01) !== 0) failDamaged('lz4', 'frames with a dictionary are not supported');
    const checksum = (xxh32(data, descriptor, this.position) >> 8) & 0xff;
    const found = data[this.#take(1)]!;
    if (checksum !== found && this.#options.ignoreHeaderChecksum !== true) {
      failDamaged('lz4', 'the checksum of a frame header does not match');
    }
    const before = this.#outputBytes;
    const firstOutput = this.#outputs.length;
    this.#readBlocks({
      blockBytesMax: 1 << (8 + 2 * blockSizeCode),
      areDependent: (flags & 0x20) === 0,
      haveChecksums: (flags & 0x10) !== 0,
    });
    if (contentSize !== undefined && contentSize !== this.#outputBytes - before) {
      failDamaged('lz4', `a frame says ${contentSize} bytes and holds ${this.#outputBytes - before}`);
    }
    if ((flags & 0x04) !== 0) {
      const content = Buffer.concat(this.#outputs.slice(firstOutput));
      this.#checkSum(xxh32(content, 0, content.length), 'content');
    }
  }

  #readBlocks(frame: { blockBytesMax: number; areDependent: boolean; haveChecksums: boolean }): void {
    let window: Buffer | undefined;
    for (;;) {
      const header = this.#data.readUInt32LE(this.#take(4));
      if (header === 0) return;
      const isStored = header >= storedBit;
      const length = header % storedBit;
      if (length > frame.blockBytesMax) {
        failDamaged('lz4', `a block of ${length} bytes in a frame of ${frame.blockBytesMax} bytes for each`);
      }
      const start = this.#take(length);
      const block = this.#data.subarray(start, start + length);
      if (frame.haveChecksums) this.#checkSum(xxh32(block, 0, length), 'block');
      const output = isStored ? block : this.#uncompress(block, frame.blockBytesMax, window);
      this.#outputBytes += output.length;
      if (this.#outputBytes > this.#bytesMax) failTooLarge(this.#bytesMax);
      this.#outputs.push(output);
      if (frame.areDependent) window = slideWindow(window, output);
    }
  }

  #uncompress(block: Buffer, blockBytesMax: number, window: Buffer | undefined): Buffer {
    const size = uncompressedBytes(block);
    if (size > blockBytesMax)
      failDamaged('lz4', `a block of ${size} bytes in a frame of ${blockBytesMax} bytes for each`);
    if (size > this.#bytesMax - this.#outputBytes) failTooLarge(this.#bytesMax);
    const input = Buffer.allocUnsafe(sizePrefixBytes + block.length);
    input.writeUInt32LE(size);
    input.set(block, sizePrefixBytes);
    return bounded('lz4', this.#bytesMax, () => library().uncompressSync(input, window));
  }

  #checkSum(computed: number, what: string): void {
    if (this.#data.readUInt32LE(this.#take(4)) !== computed) {
      failDamaged('lz4', `the checksum of a ${what} does not match`);
    }
  }

  #take(sizeBytes: number): number {
    const start = this.position;
    if (start + sizeBytes > this.#data.length) failDamaged('lz4', 'a frame is cut off');
    this.position = start + sizeBytes;
    return start;
  }
}

/**
 * What a block decompresses to, by the lengths of its sequences. The library needs room to be made beforehand, and room for
 * the largest block that a frame allows would be memory that small batches hold on to unseen.
 */
function uncompressedBytes(block: Buffer): number {
  const end = block.length;
  let position = 0;
  let size = 0;
  while (position < end) {
    const token = block[position++]!;
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && position < end) literals += more = block[position++]!;
    }
    size += literals;
    position += literals;
    // The last sequence has literals only; any other goes on with an offset of two bytes.
    if (position >= end) break;
    position += 2;
    let match = (token & 15) + matchBytesMin;
    if (match === 15 + matchBytesMin) {
      let more = 255;
      while (more === 255 && position < end) match += more = block[position++]!;
    }
    size += match;
  }
  if (position !== end || end === 0) failDamaged('lz4', 'a block ends within a sequence');
  return size;
}

/** The last 64 KiB of output, to which a dependent block may refer. */
function slideWindow(window: Buffer | undefined, output: Buffer): Buffer {
  if (window === undefined || output.length >= windowBytes) return output.subarray(-windowBytes);
  return Buffer.concat([window, output]).subarray(-windowBytes);
}
