/**
 * How a connection's bytes are cut into Kafka's requests, and which memory these get.
 *
 * A request has memory of its own, because batches in it live on in the log's write queue and tail cache. Large Produce
 * requests, whose batches are all that is kept of them, have theirs from a pool; small ones never share a slab with other
 * frames, for a batch of 100 bytes that is kept would keep the 64 KiB of the slab.
 */
import type { BufferPool, Lease } from '../../platform/buffer-pool.ts';
import { FrameCutter } from '../../platform/frame-cutter.ts';

export interface RequestCutterOptions {
  readonly frameBytesMax: number;
  readonly pool: BufferPool;
  /** See FrameCutter. */
  readonly scratch: Buffer;
  /** Takes each request, without its size, as it is completed; the lease's one reference is the receiver's. */
  readonly onFrame: (frame: Buffer, lease: Lease) => void;
}

/** From this size on the memory of a Produce request is pooled. */
const pooledBytesMin = 64 * 1024;
const produceKey = 0;
const requestBytesMin = 8;

/** Its `received` throws a FrameError for a size that cannot be. */
export function requestCutter({ frameBytesMax, pool, scratch, onFrame }: RequestCutterOptions): FrameCutter {
  return new FrameCutter({
    scratch,
    onFrame,
    checkSize: (size) => {
      if (size < requestBytesMin || size > frameBytesMax) throw new FrameError(size, frameBytesMax);
    },
    memory: {
      first: (sizeBytes, bytes, position) => {
        const apiKey = bytes.length - position >= 2 ? bytes.readInt16BE(position) : -1;
        return apiKey === produceKey && sizeBytes >= pooledBytesMin
          ? pool.take(sizeBytes)
          : ownMemory(apiKey, sizeBytes);
      },
      more: (sizeBytes, before) =>
        Buffer.isBuffer(before) ? Buffer.allocUnsafe(sizeBytes) : pool.take(sizeBytes),
    },
  });
}

/** Only what may be kept pays for memory that it shares with nothing. The key is -1 where it has not arrived yet. */
function ownMemory(apiKey: number, sizeBytes: number): Buffer {
  return apiKey === produceKey || apiKey === -1
    ? Buffer.allocUnsafeSlow(sizeBytes)
    : Buffer.allocUnsafe(sizeBytes);
}

/** A size that no Kafka request has. What the four bytes look like says what the peer probably speaks. */
export class FrameError extends Error {
  constructor(size: number, frameBytesMax: number) {
    super(describeSize(size, frameBytesMax));
    this.name = 'FrameError';
  }
}

function describeSize(size: number, frameBytesMax: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(size);
  const text = bytes.toString('latin1');
  if (/^(GET |POST|PUT |HEAD|DELE|OPTI|PATC|CONN|PRI )$/.test(text)) {
    return 'the peer speaks HTTP on the Kafka port; the HTTP interface has a port of its own (--http-port)';
  }
  if (bytes[0] === 0x16 && bytes[1] === 0x03) {
    return 'the peer speaks TLS on a plaintext listener; set security.protocol=PLAINTEXT in the client';
  }
  if (size < requestBytesMin)
    return `the peer announced a request of ${size} bytes; no Kafka request is shorter than 8`;
  return `the peer announced a request of ${size} bytes; socket.request.max.bytes is ${frameBytesMax}`;
}
