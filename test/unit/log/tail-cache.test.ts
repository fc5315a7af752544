import { expect, it } from 'vitest';
import { TailCache } from '../../../broker/log/tail-cache.ts';
import { BufferPool, unpooled } from '../../../platform/buffer-pool.ts';

it('keeps none of the slabs that small buffers share, once a batch is written', () => {
  const tail = new TailCache({ maxBytes: 1000 }).openTail();
  const bytes = Buffer.alloc(100, 7);
  const buffer = Buffer.from(bytes);
  expect(buffer.buffer.byteLength).toBe(Buffer.poolSize);
  tail.add({ buffer, lease: unpooled, baseOffset: 0, lastOffset: 0 });
  tail.written(1);
  const read = tail.read({ offset: 0, endOffset: 1, maxBytes: 1000, minOneBatch: true });
  expect(read?.parts).toEqual([bytes]);
  expect(read?.parts[0]?.buffer.byteLength).toBe(100);
  read?.release();
});

it('keeps no large request for the sake of a small batch that was taken from it', () => {
  const tail = new TailCache({ maxBytes: 1_000_000 }).openTail();
  const request = Buffer.alloc(60_000, 7);
  tail.add({ buffer: request.subarray(100, 200), lease: unpooled, baseOffset: 0, lastOffset: 0 });
  tail.written(1);
  const read = tail.read({ offset: 0, endOffset: 1, maxBytes: 1000, minOneBatch: true });
  expect(read?.parts).toEqual([Buffer.alloc(100, 7)]);
  expect(read?.parts[0]?.buffer.byteLength).toBe(100);
});

it('counts all the pooled memory that a batch keeps, once', () => {
  const cache = new TailCache({ maxBytes: 10_000_000 });
  const tail = cache.openTail();
  const request = new BufferPool({ idleBytesMax: 0 }).take(1_000_000);
  for (const offset of [0, 1]) {
    const buffer = request.buffer.subarray(offset * 100, offset * 100 + 100);
    tail.add({ buffer, lease: request, baseOffset: offset, lastOffset: offset });
  }
  tail.written(2);
  expect(cache.sizeBytes).toBeGreaterThanOrEqual(1_000_000);
  expect(cache.sizeBytes).toBeLessThan(1_100_000);
  tail.clear();
  expect(cache.sizeBytes).toBe(0);
});
