/** Decompression on the thread pool, for who must not hold up others: the cleaner. Same bytes and errors as `decompress`. */
import { constants } from 'node:buffer';
import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import type { CompressionCodec } from '../record-batch.ts';
import { failDecompression, failTooLarge } from './bounds.ts';
import { decompress } from './compression.ts';
import { zstdFrames } from './zstd.ts';

const gunzipAsync = promisify(gunzip);
const zstdAsync = promisify(zstdDecompress);

/** Snappy and lz4 cost less than the way to another thread and back, so they run at once. */
export async function decompressAsync(
  codec: CompressionCodec,
  data: Buffer,
  bytesMax: number,
): Promise<Buffer> {
  switch (codec) {
    case 'gzip':
      return inflate(codec, bytesMax, (maxOutputLength) => gunzipAsync(data, { maxOutputLength }));
    case 'zstd':
      return unzstd(data, bytesMax);
    default:
      return decompress(codec, data, bytesMax);
  }
}

async function unzstd(data: Buffer, bytesMax: number): Promise<Buffer> {
  const outputs: Buffer[] = [];
  let outputBytes = 0;
  for (const frame of zstdFrames(data)) {
    const output = await inflate('zstd', bytesMax - outputBytes, (maxOutputLength) =>
      zstdAsync(frame, { maxOutputLength }),
    );
    outputBytes += output.length;
    outputs.push(output);
  }
  return outputs.length === 1 ? outputs[0]! : Buffer.concat(outputs, outputBytes);
}

async function inflate(
  codec: string,
  bytesMax: number,
  run: (maxOutputLength: number) => Promise<Buffer>,
): Promise<Buffer> {
  let output: Buffer;
  try {
    // zlib takes no limit below one byte.
    output = await run(Math.max(1, Math.min(bytesMax, constants.MAX_LENGTH)));
  } catch (error) {
    return failDecompression(codec, bytesMax, error);
  }
  if (output.length > bytesMax) failTooLarge(bytesMax);
  return output;
}
