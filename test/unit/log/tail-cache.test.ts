import { expect, it } from 'vitest';
import { TailCache } from '../../../broker/log/tail-cache.ts';
import { unpooled } from '../../../platform/buffer-pool.ts';

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
