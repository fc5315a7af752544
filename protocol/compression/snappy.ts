/**
 * Snappy in the framing of the Java library (xerial), and a bare block on reading, which librdkafka and others accept.
 * A block's own length header is checked before the block is decompressed: the library allocates what it says.
 */
import { createRequire } from 'node:module';
import { bounded, failDamaged, failTooLarge } from './bounds.ts';

interface Snappy {
  compressSync(data: Buffer, options: { copyOutputData: boolean }): Buffer;
  uncompressSync(data: Buffer, options: { copyOutputData: boolean }): Buffer;
}

const magic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const headerBytes = 16;
/** What the Java client cuts its input into. */
const chunkBytes = 32_768;
/** Three bytes of a block stand for at most 64 bytes of output. */
const expansionMax = 22;
/** Without it each block would be memory outside the heap, which the collector does not see in time. */
const options = { copyOutputData: true };

const load = createRequire(import.meta.url);

/** Loaded when it is first needed; Node keeps what it has loaded. */
function library(): Snappy {
  return load('snappy');
}

export function compressSnappy(data: Buffer): Buffer {
  const header = Buffer.alloc(headerBytes);
  magic.copy(header);
  header.writeInt32BE(1, 8);
  header.writeInt32BE(1, 12);
  const parts: Buffer[] = [header];
  for (let position = 0; position < data.length; position += chunkBytes) {
    const block = library().compressSync(data.subarray(position, position + chunkBytes), options);
    const length = Buffer.allocUnsafe(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

export function decompressSnappy(data: Buffer, bytesMax: number): Buffer {
  if (data.length < headerBytes || !data.subarray(0, magic.length).equals(magic)) {
    return uncompressBlock(data, bytesMax, bytesMax);
  }
  const outputs: Buffer[] = [];
  let outputBytes = 0;
  let position = 0;
  while (position < data.length) {
    if (
      data.length - position >= headerBytes &&
      magic.compare(data, position, position + magic.length) === 0
    ) {
      position += headerBytes;
      continue;
    }
    if (data.length - position < 4) failDamaged('snappy', 'a chunk is cut off');
    const length = data.readInt32BE(position);
    position += 4;
    if (length <= 0 || length > data.length - position) {
      failDamaged('snappy', `a chunk of ${length} bytes where ${data.length - position} are left`);
    }
    const block = data.subarray(position, position + length);
    const output = uncompressBlock(block, bytesMax - outputBytes, bytesMax);
    outputs.push(output);
    outputBytes += output.length;
    position += length;
  }
  return outputs.length === 1 ? outputs[0]! : Buffer.concat(outputs, outputBytes);
}

function uncompressBlock(block: Buffer, bytesLeft: number, bytesMax: number): Buffer {
  const claimed = claimedBytes(block);
  if (claimed > block.length * expansionMax) {
    failDamaged('snappy', `a block of ${block.length} bytes claims to hold ${claimed}`);
  }
  if (claimed > bytesLeft) failTooLarge(bytesMax);
  return bounded('snappy', bytesMax, () => library().uncompressSync(block, options));
}

/** The varint at the start of a block. */
function claimedBytes(block: Buffer): number {
  let value = 0;
  for (let index = 0; index < 5 && index < block.length; index++) {
    const byte = block[index]!;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return value;
  }
  return failDamaged('snappy', 'a block has no readable length');
}
