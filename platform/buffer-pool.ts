/**
 * Large buffers that are used again and again. Made afresh, each would cost the kernel's zeroed pages and, sooner than one
 * thinks, a full collection of the heap: V8 counts them as its own.
 *
 * A buffer is counted by reference. Invariant: it goes back to its pool exactly when the last reference is released, and
 * nobody touches it after releasing its own.
 */
import { assert } from './assert.ts';

/** A reference to memory that somebody else may be using too. */
export interface Lease {
  retain(): void;
  release(): void;
  /**
   * What a keeper of `usedBytes` of this memory has to account for: all of it for the first who asks, nothing for those
   * after, who keep it together with the first.
   */
  charge(usedBytes: number): number;
}

/** For memory that the garbage collector looks after. */
export const unpooled: Lease = {
  retain() {},
  release() {},
  charge: (usedBytes) => usedBytes,
};

export interface BufferPoolOptions {
  /** Bytes of buffers kept for the next use; more are left to the collector. */
  readonly idleBytesMax: number;
}

/** Buffers have sizes of 128 KiB times a power of two. */
const smallestBytes = 128 * 1024;
/** Of a size that is not at hand, the next ones up do too. */
const sizesTriedMax = 3;

export class BufferPool {
  readonly #idleBytesMax: number;
  readonly #idle = new Map<number, Buffer[]>();
  #idleBytes = 0;

  constructor(options: BufferPoolOptions) {
    this.#idleBytesMax = options.idleBytesMax;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of at least `sizeBytes`, with one reference and whatever content it had before. */
  take(sizeBytes: number): PooledBuffer {
    let classBytes = smallestBytes;
    while (classBytes < sizeBytes) classBytes *= 2;
    const buffer = this.#takeIdle(classBytes) ?? Buffer.allocUnsafeSlow(classBytes);
    return new PooledBuffer(buffer, (released) => this.#giveBack(released));
  }

  #takeIdle(leastBytes: number): Buffer | undefined {
    for (let tried = 0, bytes = leastBytes; tried < sizesTriedMax; tried++, bytes *= 2) {
      const idle = this.#idle.get(bytes)?.pop();
      if (idle === undefined) continue;
      this.#idleBytes -= bytes;
      return idle;
    }
    return undefined;
  }

  #giveBack(buffer: Buffer): void {
    if (this.#idleBytes + buffer.length > this.#idleBytesMax) return;
    const idle = this.#idle.get(buffer.length);
    if (idle === undefined) this.#idle.set(buffer.length, [buffer]);
    else idle.push(buffer);
    this.#idleBytes += buffer.length;
  }
}

export class PooledBuffer implements Lease {
  readonly buffer: Buffer;
  readonly #giveBack: (buffer: Buffer) => void;
  #references = 1;
  #isCharged = false;

  constructor(buffer: Buffer, giveBack: (buffer: Buffer) => void) {
    this.buffer = buffer;
    this.#giveBack = giveBack;
  }

  retain(): void {
    assert(this.#references > 0, 'memory is retained while somebody refers to it');
    this.#references++;
  }

  release(): void {
    assert(this.#references > 0, 'a reference is released once');
    this.#references--;
    if (this.#references === 0) this.#giveBack(this.buffer);
  }

  charge(): number {
    if (this.#isCharged) return 0;
    this.#isCharged = true;
    return this.buffer.length;
  }
}
