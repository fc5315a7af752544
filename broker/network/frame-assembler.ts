/**
 * Cuts a connection's byte stream into Kafka's frames: INT32 size, then that many bytes.
 *
 * A frame has memory of its own, because batches in it live on in the log's write queue and tail cache. Once its size is
 * known, the rest of it is received straight into that memory; only its beginning is copied, from `scratch`. Large Produce
 * requests, whose batches are all that is kept of them, have theirs from a pool; small ones never share a slab with other
 * frames, for a batch of 100 bytes that is kept would keep the 64 KiB of the slab. Memory follows what has arrived, never
 * what a size claims.
 */
import { unpooled } from '../../platform/buffer-pool.ts';
import type { BufferPool, Lease, PooledBuffer } from '../../platform/buffer-pool.ts';
import type { ByteReceiver } from '../../platform/network.ts';

export interface FrameAssemblerOptions {
  readonly frameBytesMax: number;
  readonly pool: BufferPool;
  /** Where bytes go that may belong to several frames. Emptied before `received` returns, so connections may share it. */
  readonly scratch: Buffer;
  /** Takes each frame, without its size, as it is completed; the lease's one reference is the receiver's. */
  readonly onFrame: (frame: Buffer, lease: Lease) => void;
}

/** From this size on the memory of a Produce request is pooled. */
const pooledBytesMin = 64 * 1024;
/** What is set aside for a frame before it has arrived. */
const firstAllocationBytes = 8 * 1024 * 1024;
const produceKey = 0;
const sizeFieldBytes = 4;

export class FrameAssembler implements ByteReceiver {
  readonly #options: FrameAssemblerOptions;
  readonly #sizeField = Buffer.alloc(sizeFieldBytes);
  #sizeFilled = 0;
  /** The frame that is arriving; its memory grows up to `#frameSize`. */
  #frame: Buffer | undefined;
  #pooled: PooledBuffer | undefined;
  #frameSize = 0;
  #filled = 0;

  constructor(options: FrameAssemblerOptions) {
    this.#options = options;
  }

  /** Bytes held for a frame that is not complete. */
  get partialBytes(): number {
    return this.#frame?.length ?? 0;
  }

  target(): Buffer {
    if (this.#frame === undefined) return this.#options.scratch;
    if (this.#filled === this.#frame.length) this.#grow(this.#filled + 1);
    return this.#frame.subarray(this.#filled);
  }

  /** Throws a FrameError for a size that cannot be. */
  received(count: number): void {
    if (this.#frame === undefined) {
      this.#take(this.#options.scratch.subarray(0, count));
      return;
    }
    this.#filled += count;
    this.#maybeComplete();
  }

  /** The connection has ended: gives the memory of a frame that will not be completed back. */
  abandon(): void {
    this.#pooled?.release();
    this.#pooled = undefined;
    this.#frame = undefined;
  }

  #take(bytes: Buffer): void {
    let position = 0;
    while (position < bytes.length) {
      if (this.#frame === undefined) {
        position = this.#readSize(bytes, position);
        if (this.#sizeFilled < sizeFieldBytes) return;
        this.#begin(bytes.length - position >= 2 ? bytes.readInt16BE(position) : -1);
      }
      const taken = Math.min(bytes.length - position, this.#frameSize - this.#filled);
      if (this.#filled + taken > this.#frame!.length) this.#grow(this.#filled + taken);
      bytes.copy(this.#frame!, this.#filled, position, position + taken);
      this.#filled += taken;
      position += taken;
      this.#maybeComplete();
    }
  }

  #readSize(bytes: Buffer, start: number): number {
    const taken = Math.min(sizeFieldBytes - this.#sizeFilled, bytes.length - start);
    bytes.copy(this.#sizeField, this.#sizeFilled, start, start + taken);
    this.#sizeFilled += taken;
    return start + taken;
  }

  #begin(apiKey: number): void {
    const size = this.#sizeField.readInt32BE(0);
    const { frameBytesMax, pool } = this.#options;
    if (size < 8 || size > frameBytesMax) throw new FrameError(size, frameBytesMax);
    this.#sizeFilled = 0;
    this.#frameSize = size;
    this.#filled = 0;
    const allocated = Math.min(size, firstAllocationBytes);
    this.#pooled = apiKey === produceKey && size >= pooledBytesMin ? pool.take(allocated) : undefined;
    this.#frame = this.#pooled?.buffer.subarray(0, size) ?? ownMemory(apiKey, allocated);
  }

  #grow(neededBytes: number): void {
    const before = this.#frame!;
    const grown = Math.min(this.#frameSize, Math.max(neededBytes, before.length * 2));
    const pooled = this.#pooled === undefined ? undefined : this.#options.pool.take(grown);
    const frame = pooled?.buffer.subarray(0, this.#frameSize) ?? Buffer.allocUnsafe(grown);
    before.copy(frame, 0, 0, this.#filled);
    this.#pooled?.release();
    this.#pooled = pooled;
    this.#frame = frame;
  }

  #maybeComplete(): void {
    if (this.#filled < this.#frameSize) return;
    const frame = this.#frame!;
    const lease = this.#pooled ?? unpooled;
    this.#frame = undefined;
    this.#pooled = undefined;
    this.#options.onFrame(frame, lease);
  }
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
  if (size < 8) return `the peer announced a request of ${size} bytes; no Kafka request is shorter than 8`;
  return `the peer announced a request of ${size} bytes; socket.request.max.bytes is ${frameBytesMax}`;
}
