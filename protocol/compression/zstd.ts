/**
 * zstd by Node's zlib, which reads one frame and silently leaves out what follows. The frames are therefore walked here:
 * each is decompressed by itself, skippable ones are passed over, and anything else after a frame is an error.
 */
import { constants } from 'node:buffer';
import { zstdDecompressSync } from 'node:zlib';
import { bounded, failDamaged } from './bounds.ts';

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;

export function decompressZstd(data: Buffer, bytesMax: number): Buffer {
  const outputs: Buffer[] = [];
  let outputBytes = 0;
  for (const frame of zstdFrames(data)) {
    const left = bytesMax - outputBytes;
    const maxOutputLength = Math.max(1, Math.min(left, constants.MAX_LENGTH));
    const output = bounded('zstd', left, () => zstdDecompressSync(frame, { maxOutputLength }));
    outputBytes += output.length;
    outputs.push(output);
  }
  return outputs.length === 1 ? outputs[0]! : Buffer.concat(outputs, outputBytes);
}

/** The frames that hold data. Throws ProtocolError 'bad-compression' where something else stands between or behind them. */
export function zstdFrames(data: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  let position = 0;
  if (data.length === 0) failDamaged('zstd', 'there is no frame');
  while (position < data.length) {
    if (data.length - position < 8) failDamaged('zstd', 'a frame is cut off');
    const magic = data.readUInt32LE(position);
    if ((magic & 0xffff_fff0) >>> 0 === skippableMagic) {
      position += 8 + data.readUInt32LE(position + 4);
      if (position > data.length) failDamaged('zstd', 'a skippable frame is cut off');
      continue;
    }
    if (magic !== frameMagic) failDamaged('zstd', 'a frame does not begin with its magic number');
    const end = frameEnd(data, position);
    frames.push(data.subarray(position, end));
    position = end;
  }
  return frames;
}

/** Where the frame ends, by the sizes of its header and blocks (RFC 8878, 3.1.1). */
function frameEnd(data: Buffer, start: number): number {
  const descriptor = data[start + 4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const contentSizeFlag = descriptor >> 6;
  const contentSizeBytes = contentSizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << contentSizeFlag;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  let position = start + 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes;
  let isLast = false;
  while (!isLast) {
    if (position + 3 > data.length) failDamaged('zstd', 'a frame is cut off');
    const header = data.readUIntLE(position, 3);
    isLast = (header & 1) === 1;
    const blockType = (header >> 1) & 3;
    // A block of one repeated byte holds that byte only, whatever its size says.
    position += 3 + (blockType === 1 ? 1 : header >> 3);
  }
  if ((descriptor & 0x04) !== 0) position += 4;
  if (position > data.length) failDamaged('zstd', 'a frame is cut off');
  return position;
}
