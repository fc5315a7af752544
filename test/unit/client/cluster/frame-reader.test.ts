import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader } from '../../../../client/cluster/frame-reader.ts';

function framed(body: Uint8Array): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

describe('a frame reader', () => {
  it('finds the frames however the bytes are cut', () => {
    const bodies = fc.array(fc.uint8Array({ minLength: 4, maxLength: 40 }), { maxLength: 12 });
    fc.assert(
      fc.property(bodies, fc.infiniteStream(fc.integer({ min: 1, max: 30 })), (frames, sizes) => {
        const seen: Buffer[] = [];
        const reader = new FrameReader((frame) => seen.push(Buffer.from(frame)));
        const bytes = Buffer.concat(frames.map(framed));
        for (let position = 0; position < bytes.length;) {
          const end = position + Number(sizes.next().value);
          reader.push(bytes.subarray(position, end));
          position = end;
        }
        expect(seen).toEqual(frames.map((frame) => Buffer.from(frame)));
      }),
    );
  });

  it.each([
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'HTTP'],
    ['\u0015\u0003\u0001\u0000\u0002\u0002\u0050', 'TLS'],
    ['\u0000\u0000\u0000\u0003abc', 'Kafka port'],
  ])('says what %j looks like', (text, hint) => {
    const reader = new FrameReader(() => {
      throw new Error('there is no frame');
    });
    expect(() => reader.push(Buffer.from(text, 'latin1'))).toThrow(hint);
  });
});
