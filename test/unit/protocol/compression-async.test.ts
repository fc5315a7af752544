import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import {
  compress,
  compressAsync,
  decompress,
  decompressAsync,
  ProtocolError,
} from '../../../protocol/index.ts';
import type { CompressionCodec } from '../../../protocol/index.ts';

const codecs: CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const data = Buffer.from(Array.from({ length: 20_000 }, (_, place) => (place * place) % 251));

async function failure(run: () => Promise<unknown> | Buffer): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return 'none';
}

describe('compressAsync', () => {
  it.each(codecs)('makes the bytes that compress makes, of much and of little: %s', async (codec) => {
    const much = Buffer.from(Array.from({ length: 700_000 }, (_, place) => (place * place * place) % 249));
    const mixed = Buffer.concat([much, data, Buffer.from(new SeededRandom(1).bytes(100_000))]);
    for (const input of [data, mixed, Buffer.alloc(0)]) {
      const made = await compressAsync(codec, input, undefined);
      expect(made.equals(compress(codec, input))).toBe(true);
      expect((await decompressAsync(codec, made, input.length)).equals(input)).toBe(true);
    }
  });
});

describe('decompressAsync', () => {
  it.each(codecs)('gives the bytes back: %s', async (codec) => {
    expect(await decompressAsync(codec, compress(codec, data), data.length)).toEqual(data);
  });

  it('reads zstd in several frames', async () => {
    const frames = Buffer.concat([compress('zstd', data), compress('zstd', Buffer.from('end'))]);
    expect(await decompressAsync('zstd', frames, 30_000)).toEqual(Buffer.concat([data, Buffer.from('end')]));
  });

  it.each(codecs)('refuses what decompress refuses, in the same way: %s', async (codec) => {
    const whole = compress(codec, data);
    const inputs = [
      whole.subarray(0, whole.length - 5),
      Buffer.alloc(0),
      Buffer.from('no codec has made this'),
    ];
    for (const input of inputs) {
      const expected = await failure(() => decompress(codec, input, data.length));
      expect(await failure(() => decompressAsync(codec, input, data.length))).toBe(expected);
    }
    expect(await failure(() => decompressAsync(codec, whole, data.length - 1))).toBe(
      'decompressed-too-large',
    );
  });
});
