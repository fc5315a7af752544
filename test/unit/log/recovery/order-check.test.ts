import { expect, it } from 'vitest';
import { OrderCheck } from '../../../../broker/log/recovery/order-check.ts';
import { encodeRaftOnly } from '../../../../broker/log/raft-only.ts';
import { encodeBatch } from '../../../../protocol/index.ts';

function take(check: OrderCheck, buffer: Buffer): string | undefined {
  return check.take({ buffer, at: 0, position: 0, sizeBytes: buffer.length });
}

function batchAt(baseOffset: number): Buffer {
  return encodeBatch([{ timestamp: 1 }], { baseOffset, partitionLeaderEpoch: 0 });
}

it('counts an index for every offset that is missing in what Kafka wrote, also between two segments', () => {
  const check = new OrderCheck({ writer: 'kafka' }, { offset: 0, index: 1 });
  expect(check.beginSegment(0)).toBeUndefined();
  expect(take(check, batchAt(3))).toBeUndefined();
  expect(check.beginSegment(10)).toBeUndefined();
  expect(take(check, batchAt(12))).toBeUndefined();
  const entry = { kind: 'term-start', term: 1, payload: Buffer.alloc(0), offset: 13 } as const;
  expect(take(check, encodeRaftOnly({ ...entry, index: 13 }))).toMatch(/has index 13, not 14/);
  expect(take(check, encodeRaftOnly({ ...entry, index: 14 }))).toBeUndefined();
  // From Raft's first entry on there are no gaps any more.
  expect(take(check, batchAt(14))).toBe('the batch begins at offset 14, not at 13');
  expect(check.beginSegment(15)).toBe('the segment begins at offset 15, not at 13');
});
