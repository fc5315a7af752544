/** The codecs on the thread pool, for who has something else to do meanwhile: producers. Same bytes as `compress`. */
import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import type { CompressionCodec } from '../record-batch.ts';
import { compress } from './compression.ts';

const gzipAsync = promisify(gzip);
const zstdAsync = promisify(zstdCompress);
const zstdLevel = 3;

/** Snappy and lz4 cost less than the way to another thread and back, so they run at once. */
export async function compressAsync(
  codec: CompressionCodec,
  data: Buffer,
  level: number | undefined,
): Promise<Buffer> {
  switch (codec) {
    case 'gzip':
      return gzipAsync(data, level === undefined ? {} : { level });
    case 'zstd':
      return zstdAsync(data, {
        params: { [constants.ZSTD_c_compressionLevel]: level ?? zstdLevel },
        // Unlike the synchronous call, a stream does not know it, and would leave it out of the frame.
        pledgedSrcSize: data.length,
      });
    default:
      return compress(codec, data, level);
  }
}
