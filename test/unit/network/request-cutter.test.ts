import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BufferPool } from '../../../platform/buffer-pool.ts';
import type { Lease } from '../../../platform/buffer-pool.ts';
import { deliver } from '../../../platform/network.ts';
import { FrameError, requestCutter } from '../../../broker/network/request-cutter.ts';

const frameBytesMax = 10 * 1024 * 1024;

function framed(body: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

function cutter(pool: BufferPool, onFrame: (frame: Buffer, lease: Lease) => void, sizeMax = frameBytesMax) {
  return requestCutter({ frameBytesMax: sizeMax, pool, scratch: Buffer.alloc(97), onFrame });
}

/** What comes out when the stream arrives in pieces of at most these sizes, as a socket would place them. */
function assemble(
  stream: Buffer,
  cuts: readonly number[] = [stream.length],
  pool = new BufferPool({ idleBytesMax: 0 }),
) {
  const frames: Buffer[] = [];
  const leases: Lease[] = [];
  const receiver = cutter(pool, (frame, lease) => {
    frames.push(frame);
    leases.push(lease);
  });
  for (let position = 0, cut = 0; position < stream.length; cut++) {
    const arriving = stream.subarray(position, position + cuts[cut % cuts.length]!);
    deliver(arriving, receiver);
    position += arriving.length;
  }
  return { frames, leases };
}

describe('the frames of a connection', () => {
  it('gives the same frames however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 8, maxLength: 200 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
        (bodies, cuts) => {
          const stream = Buffer.concat(bodies.map((body) => framed(Buffer.from(body))));
          expect(assemble(stream, cuts).frames).toEqual(bodies.map((body) => Buffer.from(body)));
        },
      ),
    );
  });

  it('gives a small Produce request memory that no other frame shares, as its batch may be kept for long', () => {
    const produce = Buffer.alloc(100, 7);
    produce.writeInt16BE(0, 0);
    for (const cuts of [[1000], [4], [5]]) {
      const [frame] = assemble(framed(produce), cuts).frames;
      expect(frame!.buffer.byteLength).toBe(100);
    }
  });

  it('does not share memory with what arrives next', () => {
    const { frames } = assemble(
      Buffer.concat([framed(Buffer.alloc(100, 7)), framed(Buffer.alloc(100, 9))]),
      [104],
    );
    expect(frames).toEqual([Buffer.alloc(100, 7), Buffer.alloc(100, 9)]);
  });

  it('takes a frame that is larger than its first allocation', () => {
    const body = Buffer.alloc(9 * 1024 * 1024, 1);
    body.writeUInt32BE(0xdeadbeef, body.length - 4);
    const { frames } = assemble(framed(body), [65_536]);
    expect(frames).toHaveLength(1);
    expect(frames[0]!.equals(body)).toBe(true);
  });

  it('pools the memory of large Produce requests alone, and uses it again once it is released', () => {
    const pool = new BufferPool({ idleBytesMax: 1024 * 1024 });
    const produce = Buffer.alloc(100_000);
    const fetch = Buffer.alloc(100_000);
    fetch.writeInt16BE(1);
    const first = assemble(Buffer.concat([framed(produce), framed(fetch)]), [5000], pool);
    for (const lease of first.leases) lease.release();
    expect(pool.idleBytes).toBe(128 * 1024);
    const second = assemble(framed(produce), [5000], pool);
    expect(pool.idleBytes).toBe(0);
    expect(second.frames[0]!.buffer).toBe(first.frames[0]!.buffer);
  });

  it('gives pooled memory back when the connection ends inside a frame', () => {
    const pool = new BufferPool({ idleBytesMax: 1024 * 1024 });
    const receiver = cutter(pool, () => expect.unreachable());
    deliver(framed(Buffer.alloc(100_000)).subarray(0, 50_000), receiver);
    expect(pool.idleBytes).toBe(0);
    receiver.abandon();
    expect(pool.idleBytes).toBe(128 * 1024);
  });

  it('allocates no more than a first piece before more has arrived, whatever the size claims', () => {
    const receiver = cutter(
      new BufferPool({ idleBytesMax: 0 }),
      () => expect.unreachable(),
      100 * 1024 * 1024,
    );
    const size = Buffer.alloc(4);
    size.writeInt32BE(99 * 1024 * 1024);
    deliver(Buffer.concat([size, Buffer.alloc(10)]), receiver);
    expect(receiver.partialBytes).toBeLessThanOrEqual(8 * 1024 * 1024);
  });

  it.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), /HTTP/],
    ['TLS', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]), /TLS/],
    ['a negative size', Buffer.from([0xff, 0xff, 0xff, 0xff]), /-1 bytes/],
    ['a size below any header', Buffer.from([0, 0, 0, 3]), /3 bytes/],
    ['a size above the limit', Buffer.from([0x10, 0, 0, 0]), /socket\.request\.max\.bytes/],
  ])('says what is wrong with %s', (_name, bytes, message) => {
    expect(() => assemble(bytes)).toThrow(FrameError);
    expect(() => assemble(bytes)).toThrow(message);
  });
});
