/** The codecs on the thread pool, for who has something else to do meanwhile: producers. Same bytes as `compress`. */
import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import type { CompressionCodec } from '../record-batch.ts';
import { compress } from './compression.ts';
import { compressLz4, compressLz4Async } from './lz4.ts';

const gzipAsync = promisify(gzip);
const zstdAsync = promisify(zstdCompress);
const zstdLevel = 3;
/** About a millisecond of lz4. */
const lz4BytesMin = 256 * 1024;

/** What snappy and little lz4 cost is less than the way to another thread and back, so they run at once. */
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
    case 'lz4':
      return data.length >= lz4BytesMin ? compressLz4Async(data) : compressLz4(data);
    default:
      return compress(codec, data, level);
  }
}
