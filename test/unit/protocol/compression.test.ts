/** The codecs: what comes back, what is refused, and that no more is produced than allowed. */
import { createRequire } from 'node:module';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compress, compressAsync, decompress, ProtocolError } from '../../../protocol/index.ts';
import type { CompressionCodec, ProtocolErrorCode } from '../../../protocol/index.ts';
import { xxh32 } from '../../../protocol/compression/xxh32.ts';

const codecs: readonly CompressionCodec[] = ['gzip', 'snappy', 'lz4', 'zstd'];
const noLimit = 1 << 30;

interface Lz4Library {
  compressSync(data: Buffer, dictionary?: Buffer): Buffer;
  compressFrameSync(data: Buffer, options?: { contentChecksum?: boolean; blockChecksums?: boolean }): Buffer;
}
interface SnappyLibrary {
  compressSync(data: Buffer): Buffer;
}
const load = createRequire(import.meta.url);
const lz4: Lz4Library = load('lz4-napi');
const snappy: SnappyLibrary = load('snappy');

function codeOf(run: () => unknown): ProtocolErrorCode | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return undefined;
}

function textOf(sizeBytes: number): Buffer {
  const words = ['flight', 'delay', 'airport', 'origin', '\n', '0123456789'];
  let text = '';
  for (let index = 0; text.length < sizeBytes; index++) text += words[(index * index + 7) % words.length];
  return Buffer.from(text.slice(0, sizeBytes));
}

/** Bytes that do not compress. */
function noiseOf(sizeBytes: number): Buffer {
  const noise = Buffer.alloc(sizeBytes);
  let state = 12_345;
  for (let index = 0; index < sizeBytes; index++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    noise[index] = state >>> 16;
  }
  return noise;
}

describe.each(codecs)('%s', (codec) => {
  it('gives back what it took', async () => {
    for (const size of [0, 1, 20, 32_768, 65_536, 65_537, 300_000]) {
      for (const data of [textOf(size), noiseOf(size), Buffer.alloc(size)]) {
        const compressed = compress(codec, data);
        expect(decompress(codec, compressed, Math.max(size, 1)).equals(data), `${size}`).toBe(true);
        expect((await compressAsync(codec, data, undefined)).equals(compressed)).toBe(true);
      }
    }
    expect(compress(codec, Buffer.alloc(100_000)).length).toBeLessThan(10_000);
  });

  it('gives back random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (data) => {
        expect(decompress(codec, compress(codec, Buffer.from(data)), noLimit).equals(Buffer.from(data))).toBe(
          true,
        );
      }),
      { numRuns: 100, seed: 12 },
    );
  });

  it('produces no more than the limit', () => {
    const data = textOf(200_000);
    const compressed = compress(codec, data);
    expect(decompress(codec, compressed, 200_000).length).toBe(200_000);
    for (const limit of [199_999, 65_536, 1000, 1, 0]) {
      expect(
        codeOf(() => decompress(codec, compressed, limit)),
        `${limit}`,
      ).toBe('decompressed-too-large');
    }
  });

  it('stops at a bomb', () => {
    const bomb = compress(codec, Buffer.alloc(64 << 20));
    const before = process.memoryUsage();
    expect(codeOf(() => decompress(codec, bomb, 1 << 20))).toBe('decompressed-too-large');
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 << 20);
  });

  it('refuses input that is cut off anywhere', () => {
    const data = Buffer.concat([textOf(70_000), noiseOf(3000)]);
    const compressed = compress(codec, data);
    const cuts = Array.from({ length: 60 }, (_, index) => Math.floor((index * compressed.length) / 60));
    for (const cut of [...cuts, 1, 2, 5, compressed.length - 1, compressed.length - 4]) {
      const outcome = codeOf(() => decompress(codec, compressed.subarray(0, cut), noLimit));
      // A snappy stream has no end mark: cut between two chunks it is a shorter stream.
      if (outcome === undefined) {
        expect(codec).toBe('snappy');
        expect(decompress(codec, compressed.subarray(0, cut), noLimit).length).toBeLessThan(data.length);
      } else expect(outcome, `${cut}`).toBe('bad-compression');
    }
  });
});

describe('gzip', () => {
  it('takes levels, and members one after another', () => {
    const data = textOf(50_000);
    expect(compress('gzip', data, 9).length).toBeLessThan(compress('gzip', data, 1).length);
    const two = Buffer.concat([gzipSync(data), gzipSync(Buffer.from('more'))]);
    expect(decompress('gzip', two, noLimit).equals(Buffer.concat([data, Buffer.from('more')]))).toBe(true);
    expect(codeOf(() => decompress('gzip', two, 50_003))).toBe('decompressed-too-large');
  });

  it('checks its checksum', () => {
    const damaged = compress('gzip', textOf(1000));
    damaged[damaged.length - 6]! ^= 1;
    expect(codeOf(() => decompress('gzip', damaged, noLimit))).toBe('bad-compression');
  });
});

describe('zstd', () => {
  it('takes frames one after another, and skippable ones between', () => {
    const first = zstdCompressSync(textOf(40_000));
    const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9]);
    const all = Buffer.concat([skippable, first, skippable, zstdCompressSync(Buffer.from('end')), skippable]);
    expect(decompress('zstd', all, noLimit).equals(Buffer.concat([textOf(40_000), Buffer.from('end')]))).toBe(
      true,
    );
    expect(codeOf(() => decompress('zstd', all, 40_002))).toBe('decompressed-too-large');
    expect(codeOf(() => decompress('zstd', all.subarray(0, -1), noLimit))).toBe('bad-compression');
  });

  it('refuses what follows a frame and is none', () => {
    const trailing = Buffer.concat([zstdCompressSync(Buffer.from('x')), Buffer.from('garbage!')]);
    expect(codeOf(() => decompress('zstd', trailing, noLimit))).toBe('bad-compression');
    expect(codeOf(() => decompress('zstd', Buffer.alloc(0), noLimit))).toBe('bad-compression');
  });

  it('takes levels', () => {
    const data = textOf(100_000);
    expect(compress('zstd', data, 19).length).toBeLessThanOrEqual(compress('zstd', data, 1).length);
    expect(decompress('zstd', compress('zstd', data, -5), noLimit).equals(data)).toBe(true);
  });
});

describe('snappy', () => {
  const header = Buffer.from('82534e41505059000000000100000001', 'hex');

  function chunk(data: Buffer): Buffer {
    const block = snappy.compressSync(data);
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    return Buffer.concat([length, block]);
  }

  it('is written in the framing of the Java library, 32 KiB to a chunk', () => {
    const compressed = compress('snappy', Buffer.alloc(40_000));
    expect(compressed.subarray(0, 16)).toEqual(header);
    const first = compressed.readInt32BE(16);
    expect(compressed.subarray(20, 20 + first)).toEqual(snappy.compressSync(Buffer.alloc(32_768)));
  });

  it('is read with chunks of any size, streams one after another, and bare', () => {
    const data = textOf(150_000);
    const other = Buffer.concat([
      header,
      chunk(data.subarray(0, 100_000)),
      header,
      chunk(data.subarray(100_000)),
    ]);
    expect(decompress('snappy', other, noLimit).equals(data)).toBe(true);
    expect(decompress('snappy', snappy.compressSync(data), noLimit).equals(data)).toBe(true);
    expect(decompress('snappy', header, noLimit).length).toBe(0);
  });

  it('believes no length', () => {
    const huge = Buffer.alloc(4);
    huge.writeInt32BE(0x7fffffff);
    expect(codeOf(() => decompress('snappy', Buffer.concat([header, huge, chunk(textOf(9))]), noLimit))).toBe(
      'bad-compression',
    );
    huge.writeInt32BE(-1);
    expect(codeOf(() => decompress('snappy', Buffer.concat([header, huge]), noLimit))).toBe(
      'bad-compression',
    );
    // A block of five bytes that claims two gigabytes.
    expect(codeOf(() => decompress('snappy', Buffer.from('ffffffff07', 'hex'), noLimit))).toBe(
      'bad-compression',
    );
    expect(codeOf(() => decompress('snappy', Buffer.from('ffffffffff', 'hex'), noLimit))).toBe(
      'bad-compression',
    );
  });
});

describe('lz4', () => {
  const data = Buffer.concat([textOf(200_000), noiseOf(70_000)]);

  it('is written as the Java client writes it', () => {
    const compressed = compress('lz4', data);
    expect(compressed.subarray(0, 7).toString('hex')).toBe('04224d18604082');
    expect(compressed.subarray(-4).toString('hex')).toBe('00000000');
    // The noise does not shrink: such a block is stored, which its length says.
    expect(compressed.length).toBeLessThan(data.length);
    expect(decompress('lz4', compressed, data.length).equals(data)).toBe(true);
  });

  it('is read with block and content checksums, which are checked', () => {
    const framed = lz4.compressFrameSync(data, { contentChecksum: true, blockChecksums: true });
    expect(framed[4]! & 0x14).toBe(0x14);
    expect(decompress('lz4', framed, noLimit).equals(data)).toBe(true);
    for (const position of [framed.length - 1, framed.length - 9, 300]) {
      const damaged = Buffer.from(framed);
      damaged[position]! ^= 0x10;
      expect(
        codeOf(() => decompress('lz4', damaged, noLimit)),
        `${position}`,
      ).toBe('bad-compression');
    }
    const header = Buffer.from(framed);
    header[6]! ^= 1;
    expect(codeOf(() => decompress('lz4', header, noLimit))).toBe('bad-compression');
  });

  /** A frame by hand: the library makes no dependent blocks and no content size. */
  function frameOf(flags: number, contentSize: bigint | undefined, blocks: readonly Buffer[]): Buffer {
    const descriptor = Buffer.alloc(contentSize === undefined ? 2 : 10);
    descriptor[0] = flags;
    descriptor[1] = 0x40;
    if (contentSize !== undefined) descriptor.writeBigUInt64LE(contentSize, 2);
    const checksum = Buffer.from([(xxh32(descriptor, 0, descriptor.length) >> 8) & 0xff]);
    const parts: Buffer[] = [Buffer.from('04224d18', 'hex'), descriptor, checksum];
    for (const block of blocks) {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(block.length);
      parts.push(length, block);
    }
    return Buffer.concat([...parts, Buffer.alloc(4)]);
  }

  it('is read with dependent blocks', () => {
    const first = noiseOf(40_000);
    const independent = lz4.compressSync(first).subarray(4);
    const dependent = lz4.compressSync(first, first).subarray(4);
    expect(dependent.length).toBeLessThan(1000);
    const framed = frameOf(0x40, undefined, [independent, dependent, dependent]);
    expect(decompress('lz4', framed, noLimit).equals(Buffer.concat([first, first, first]))).toBe(true);
    // The same block means nothing in a frame of independent ones.
    expect(codeOf(() => decompress('lz4', frameOf(0x60, undefined, [dependent]), noLimit))).toBe(
      'bad-compression',
    );
  });

  it('is read with a content size, which must be true', () => {
    const block = lz4.compressSync(textOf(5000)).subarray(4);
    expect(decompress('lz4', frameOf(0x68, 5000n, [block]), noLimit).equals(textOf(5000))).toBe(true);
    for (const claimed of [4999n, 0n, 1n << 62n]) {
      expect(codeOf(() => decompress('lz4', frameOf(0x68, claimed, [block]), noLimit))).toBe(
        'bad-compression',
      );
    }
  });

  it('is read with frames one after another, and refused with anything else', () => {
    const two = Buffer.concat([compress('lz4', textOf(10)), compress('lz4', textOf(20))]);
    expect(decompress('lz4', two, noLimit).equals(Buffer.concat([textOf(10), textOf(20)]))).toBe(true);
    expect(codeOf(() => decompress('lz4', Buffer.concat([two, Buffer.alloc(4)]), noLimit))).toBe(
      'bad-compression',
    );
    expect(codeOf(() => decompress('lz4', Buffer.alloc(0), noLimit))).toBe('bad-compression');
    expect(codeOf(() => decompress('lz4', frameOf(0x20, undefined, []), noLimit))).toBe('bad-compression');
    expect(codeOf(() => decompress('lz4', frameOf(0x61, undefined, []), noLimit))).toBe('bad-compression');
  });

  it('hashes as XXH32 does', () => {
    const known: [text: string, hash: number][] = [
      ['', 0x02cc5d05],
      ['a', 0x550d7456],
      ['abc', 0x32d153ff],
      ['Nobody inspects the spammish repetition', 0xe2293b2f],
    ];
    for (const [text, hash] of known) expect(xxh32(Buffer.from(text), 0, text.length), text).toBe(hash);
  });
});
