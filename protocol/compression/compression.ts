/**
 * The five codecs of record batches. Reading is bounded: whatever the input claims, no more than the caller's limit is
 * produced, and cut or damaged input is a ProtocolError ('bad-compression', 'decompressed-too-large').
 */
import { gzipSync, zstdCompressSync, constants } from 'node:zlib';
import { ProtocolError } from '../protocol-error.ts';
import type { CompressionCodec } from '../record-batch.ts';
import { failTooLarge } from './bounds.ts';
import { gunzipBounded } from './gzip.ts';
import { compressLz4, decompressLz4 } from './lz4.ts';
import { compressSnappy, decompressSnappy } from './snappy.ts';
import { decompressZstd } from './zstd.ts';

/** Kafka's usual level for zstd. */
const zstdLevel = 3;

/** Compresses records; `level` is the codec's own scale and means nothing to snappy and lz4. */
export function compress(codec: CompressionCodec, data: Buffer, level?: number): Buffer {
  switch (codec) {
    case 'none':
      return data;
    case 'gzip':
      return gzipSync(data, level === undefined ? {} : { level });
    case 'snappy':
      return compressSnappy(data);
    case 'lz4':
      return compressLz4(data);
    case 'zstd':
      return zstdCompressSync(data, {
        params: { [constants.ZSTD_c_compressionLevel]: level ?? zstdLevel },
      });
    default:
      throw new ProtocolError('bad-value', `there is no codec ${String(codec)}`);
  }
}

/** Decompresses records to at most `bytesMax` bytes. */
export function decompress(codec: CompressionCodec, data: Buffer, bytesMax: number): Buffer {
  switch (codec) {
    case 'none':
      if (data.length > bytesMax) failTooLarge(bytesMax);
      return data;
    case 'gzip':
      return gunzipBounded(data, bytesMax);
    case 'snappy':
      return decompressSnappy(data, bytesMax);
    case 'lz4':
      return decompressLz4(data, bytesMax);
    case 'zstd':
      return decompressZstd(data, bytesMax);
    default:
      throw new ProtocolError('bad-value', `there is no codec ${String(codec)}`);
  }
}
