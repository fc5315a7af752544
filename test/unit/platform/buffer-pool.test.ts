import { describe, expect, it } from 'vitest';
import { BufferPool } from '../../../platform/buffer-pool.ts';

const kib = 1024;

describe('BufferPool', () => {
  it('gives a buffer out again only after its last reference is released', () => {
    const pool = new BufferPool({ idleBytesMax: 1024 * kib });
    const first = pool.take(100 * kib);
    expect(first.buffer.length).toBe(128 * kib);
    first.retain();
    first.release();
    expect(pool.take(100 * kib).buffer).not.toBe(first.buffer);
    first.release();
    expect(pool.take(120 * kib).buffer).toBe(first.buffer);
  });

  it('keeps no more idle bytes than it may', () => {
    const pool = new BufferPool({ idleBytesMax: 300 * kib });
    const taken = Array.from({ length: 4 }, () => pool.take(128 * kib));
    for (const buffer of taken) buffer.release();
    expect(pool.idleBytes).toBe(256 * kib);
  });

  it('is charged whole to the first who asks, and to nobody after', () => {
    const buffer = new BufferPool({ idleBytesMax: 0 }).take(100 * kib);
    expect([buffer.charge(), buffer.charge()]).toEqual([128 * kib, 0]);
  });

  it('refuses to release twice, and to retain what is released', () => {
    const buffer = new BufferPool({ idleBytesMax: 0 }).take(1);
    buffer.release();
    expect(() => buffer.release()).toThrow(/released once/);
    expect(() => buffer.retain()).toThrow(/retained/);
  });
});
