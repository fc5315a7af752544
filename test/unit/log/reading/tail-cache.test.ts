import { expect, it } from 'vitest';
import { TailCache } from '../../../../broker/log/reading/tail-cache.ts';
import { BufferPool, unpooled } from '../../../../platform/buffer-pool.ts';

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

it('keeps nothing of logs that are gone, however many there have been', () => {
  const cache = new TailCache({ maxBytes: 1_000_000 });
  const kept = cache.openTail();
  for (let log = 0; log < 2000; log++) {
    const tail = cache.openTail();
    for (let offset = 0; offset < 10; offset++) {
      tail.add({ buffer: Buffer.alloc(10), lease: unpooled, baseOffset: offset, lastOffset: offset });
    }
    if (log < 5)
      kept.add({ buffer: Buffer.alloc(10, log), lease: unpooled, baseOffset: log, lastOffset: log });
    tail.written(10);
    kept.written(log + 1);
    tail.clear();
  }
  expect(cache.lineLength).toBeLessThan(3000);
  const read = kept.read({ offset: 0, endOffset: 5, maxBytes: 1000, minOneBatch: true });
  expect(read?.sizeBytes).toBe(50);
  // What is left is dropped in its order as before.
  const last = cache.openTail();
  last.add({ buffer: Buffer.alloc(999_000), lease: unpooled, baseOffset: 0, lastOffset: 0 });
  last.written(1);
  expect(kept.read({ offset: 1, endOffset: 5, maxBytes: 1000, minOneBatch: true })).toBeUndefined();
  expect(kept.read({ offset: 4, endOffset: 5, maxBytes: 1000, minOneBatch: true })?.sizeBytes).toBe(10);
  expect(cache.sizeBytes).toBeLessThanOrEqual(1_000_000);
});
