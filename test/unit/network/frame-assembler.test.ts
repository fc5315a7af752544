import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameAssembler, FrameError } from '../../../broker/network/frame-assembler.ts';

const frameBytesMax = 8 * 1024 * 1024;

function framed(body: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

function assemble(chunks: readonly Buffer[]): Buffer[] {
  const assembler = new FrameAssembler(frameBytesMax);
  const frames: Buffer[] = [];
  for (const chunk of chunks) assembler.push(chunk, (frame) => frames.push(frame));
  return frames;
}

describe('FrameAssembler', () => {
  it('gives the same frames however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 8, maxLength: 200 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }),
        (bodies, cuts) => {
          const stream = Buffer.concat(bodies.map((body) => framed(Buffer.from(body))));
          const chunks: Buffer[] = [];
          for (let position = 0, cut = 0; position < stream.length; cut++) {
            const length = cuts[cut % cuts.length]!;
            chunks.push(stream.subarray(position, position + length));
            position += length;
          }
          expect(assemble(chunks)).toEqual(bodies.map((body) => Buffer.from(body)));
        },
      ),
    );
  });

  it('does not share memory with the chunk, which the socket may use again', () => {
    const chunk = framed(Buffer.alloc(100, 7));
    const [frame] = assemble([chunk]);
    chunk.fill(0);
    expect(frame).toEqual(Buffer.alloc(100, 7));
  });

  it('takes a frame that is larger than its first allocation', () => {
    const body = Buffer.alloc(5 * 1024 * 1024, 1);
    body.writeUInt32BE(0xdeadbeef, body.length - 4);
    const stream = framed(body);
    const chunks = [];
    for (let position = 0; position < stream.length; position += 65_536) {
      chunks.push(stream.subarray(position, position + 65_536));
    }
    const frames = assemble(chunks);
    expect(frames).toHaveLength(1);
    expect(frames[0]!.equals(body)).toBe(true);
  });

  it('allocates no more than has arrived needs, whatever the size claims', () => {
    const assembler = new FrameAssembler(100 * 1024 * 1024);
    const size = Buffer.alloc(4);
    size.writeInt32BE(99 * 1024 * 1024);
    assembler.push(Buffer.concat([size, Buffer.alloc(10)]), () => expect.unreachable());
    expect(assembler.partialBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
  });

  it.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), /HTTP/],
    ['TLS', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]), /TLS/],
    ['a negative size', Buffer.from([0xff, 0xff, 0xff, 0xff]), /-1 bytes/],
    ['a size below any header', Buffer.from([0, 0, 0, 3]), /3 bytes/],
    ['a size above the limit', Buffer.from([0x10, 0, 0, 0]), /socket\.request\.max\.bytes/],
  ])('says what is wrong with %s', (_name, bytes, message) => {
    expect(() => assemble([bytes])).toThrow(FrameError);
    expect(() => assemble([bytes])).toThrow(message);
  });
});
