/**
 * Cuts a byte stream into frames: INT32 size, then that many bytes.
 *
 * Once a frame's size is known, the rest of it is received straight into memory of its own; only its beginning is copied, from
 * `scratch`. Memory follows what has arrived, never what a size claims.
 */
import { unpooled } from './buffer-pool.ts';
import type { Lease, PooledBuffer } from './buffer-pool.ts';
import type { ByteReceiver } from './network.ts';

/** Where frames get their memory. */
export interface FrameMemory {
  /** At least `sizeBytes` for a frame that begins at `position` of `bytes`, as far as it has arrived: maybe not at all. */
  first(sizeBytes: number, bytes: Buffer, position: number): Buffer | PooledBuffer;
  /** More of the same kind, for a frame that has filled `before`. */
  more(sizeBytes: number, before: Buffer | PooledBuffer): Buffer | PooledBuffer;
}

export interface FrameCutterOptions {
  /** Throws where no frame has this size. */
  readonly checkSize: (sizeBytes: number) => void;
  readonly memory: FrameMemory;
  /** Where bytes go that may belong to several frames. Emptied before `received` returns, so connections may share it. */
  readonly scratch: Buffer;
  /** Takes each frame, without its size, as it is completed; the lease's one reference is the receiver's. */
  readonly onFrame: (frame: Buffer, lease: Lease) => void;
}

/** What is set aside for a frame before it has arrived. */
const firstAllocationBytes = 8 * 1024 * 1024;
const sizeFieldBytes = 4;

export class FrameCutter implements ByteReceiver {
  readonly #options: FrameCutterOptions;
  readonly #sizeField = Buffer.alloc(sizeFieldBytes);
  #sizeFilled = 0;
  /** The frame that is arriving; its memory grows up to `#frameSize`. */
  #frame: Buffer | undefined;
  #pooled: PooledBuffer | undefined;
  #frameSize = 0;
  #filled = 0;

  constructor(options: FrameCutterOptions) {
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

  /** Throws what `checkSize` throws. */
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
        this.#begin(bytes, position);
        if (this.#frame === undefined) continue;
      }
      const taken = Math.min(bytes.length - position, this.#frameSize - this.#filled);
      if (this.#filled + taken > this.#frame.length) this.#grow(this.#filled + taken);
      bytes.copy(this.#frame, this.#filled, position, position + taken);
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

  #begin(bytes: Buffer, position: number): void {
    const size = this.#sizeField.readInt32BE(0);
    this.#options.checkSize(size);
    this.#sizeFilled = 0;
    this.#frameSize = size;
    this.#filled = 0;
    this.#hold(this.#options.memory.first(Math.min(size, firstAllocationBytes), bytes, position));
    this.#maybeComplete();
  }

  #grow(neededBytes: number): void {
    const before = this.#frame!;
    const pooledBefore = this.#pooled;
    const grown = Math.min(this.#frameSize, Math.max(neededBytes, before.length * 2));
    this.#hold(this.#options.memory.more(grown, pooledBefore ?? before));
    before.copy(this.#frame!, 0, 0, this.#filled);
    pooledBefore?.release();
  }

  #hold(memory: Buffer | PooledBuffer): void {
    this.#pooled = Buffer.isBuffer(memory) ? undefined : memory;
    const buffer = Buffer.isBuffer(memory) ? memory : memory.buffer;
    this.#frame = buffer.length > this.#frameSize ? buffer.subarray(0, this.#frameSize) : buffer;
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
