/**
 * Recent batches, kept as references to the buffers that were appended: what consumers that keep up, and followers, read.
 *
 * A log's tail is one unbroken run of batches up to its end. It also holds what has not been written yet, which can be read
 * nowhere else; such batches are bounded by the caller's back-pressure and count here only once they are written. Of those
 * that are written, the oldest of all logs are dropped first when `maxBytes` is exceeded.
 */
import { assert } from '../../../platform/assert.ts';
import { unpooled } from '../../../platform/buffer-pool.ts';
import type { Lease } from '../../../platform/buffer-pool.ts';
import type { LogRead, ReadRequest } from '../log-types.ts';

/** What a cached batch costs beyond its bytes: the buffer object and its places in the queues. */
const overheadBytes = 256;

/** Batches below this size that follow each other are joined into one part: a system call's vector has its cost too. */
const joinBelowBytes = 1024;

/** Fewer stale entries than this are left in the line. */
const staleMin = 1024;

interface TailBatch {
  /** Replaced by a copy when the batch is written, where it lies in a slab. */
  buffer: Buffer;
  /** The memory that the batch lies in: retained while the batch is here, and by each read of it. */
  readonly lease: Lease;
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** What it counts for once it is written: a batch may keep more memory than it has bytes. */
  chargedBytes?: number;
}

export class TailCache {
  readonly #maxBytes: number;
  /** One entry for each written batch that is held, oldest first. An entry of a tail that was cleared since is stale. */
  #written = new Fifo<InLine>();
  /** Entries of tails that were cleared. */
  #staleCount = 0;
  #sizeBytes = 0;

  /** `maxBytes` bounds the written batches of all logs together; 0 keeps none. */
  constructor(options: { readonly maxBytes: number }) {
    this.#maxBytes = options.maxBytes;
  }

  /** Bytes held of batches that are written. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Entries in the line of written batches, those of cleared tails too: memory beside `sizeBytes`. */
  get lineLength(): number {
    return this.#written.length;
  }

  openTail(): LogTail {
    const tail: LogTail = new LogTail({
      written: (batchBytes) => {
        this.#sizeBytes += batchBytes + overheadBytes;
        this.#written.push({ tail, generation: tail.generation });
      },
      dropped: (batchBytes) => {
        this.#sizeBytes -= batchBytes + overheadBytes;
      },
      cleared: (count) => this.#cleared(count),
      trim: () => this.#trim(),
    });
    return tail;
  }

  /** The line would grow with every log that is removed: nothing is trimmed while the others have little. */
  #cleared(count: number): void {
    this.#staleCount += count;
    if (this.#staleCount < staleMin || this.#staleCount * 2 < this.#written.length) return;
    const line = this.#written;
    this.#written = new Fifo();
    for (let entry = line.shift(); entry !== undefined; entry = line.shift()) {
      if (entry.generation === entry.tail.generation) this.#written.push(entry);
    }
    this.#staleCount = 0;
  }

  #trim(): void {
    while (this.#sizeBytes > this.#maxBytes) {
      const oldest = this.#written.shift();
      assert(oldest !== undefined, 'the bytes held belong to entries in line');
      if (oldest.generation === oldest.tail.generation) oldest.tail.dropOldest();
      else this.#staleCount--;
    }
  }
}

interface InLine {
  readonly tail: LogTail;
  readonly generation: number;
}

interface Accounts {
  written(batchBytes: number): void;
  dropped(batchBytes: number): void;
  /** So many written batches of the generation before went at once. */
  cleared(count: number): void;
  trim(): void;
}

/** One log's part of the cache. */
export class LogTail {
  readonly #accounts: Accounts;
  readonly #batches = new Fifo<TailBatch>();
  /** How many of the batches, from the first, are written. */
  #writtenCount = 0;
  /** Changes when the tail is cleared, so that the cache's line can tell its stale entries. */
  generation = 0;

  constructor(accounts: Accounts) {
    this.#accounts = accounts;
  }

  /** Adds the next batch; it follows the last one without a gap. */
  add(batch: TailBatch): void {
    batch.lease.retain();
    this.#batches.push(batch);
  }

  /** The batches below `endOffset` have been written: from now on they may be dropped. */
  written(endOffset: number): void {
    for (;;) {
      const batch = this.#batches.at(this.#writtenCount);
      if (batch === undefined || batch.lastOffset >= endOffset) break;
      this.#writtenCount++;
      if (batch.lease === unpooled) batch.buffer = alone(batch.buffer);
      batch.chargedBytes = batch.lease.charge(batch.buffer.length);
      this.#accounts.written(batch.chargedBytes);
    }
    this.#accounts.trim();
  }

  dropOldest(): void {
    assert(this.#writtenCount > 0, 'only written batches are dropped');
    const batch = this.#batches.shift();
    assert(batch !== undefined, 'a written batch is held');
    this.#writtenCount--;
    this.#accounts.dropped(batch.chargedBytes ?? 0);
    batch.lease.release();
  }

  /**
   * Forgets everything: the log has been cut, has failed or is closed. Batches that are not written may be in a write that
   * is still under way, so their memory is not given back but left to the collector.
   */
  clear(): void {
    const count = this.#writtenCount;
    while (this.#writtenCount > 0) this.dropOldest();
    this.#batches.clear();
    this.generation++;
    this.#accounts.cleared(count);
  }

  /** Undefined where the batch that holds the offset is not (or no longer) here. */
  read(request: ReadRequest): LogRead | undefined {
    const first = this.#batches.at(0);
    if (first === undefined || request.offset < first.baseOffset) return undefined;
    const parts: Buffer[] = [];
    const leases: Lease[] = [];
    let sizeBytes = 0;
    for (let at = this.#find(request.offset); ; at++) {
      const batch = this.#batches.at(at);
      if (batch === undefined || batch.lastOffset >= request.endOffset) break;
      const isFirst = parts.length === 0;
      if (sizeBytes + batch.buffer.length > request.maxBytes && !(isFirst && request.minOneBatch)) break;
      parts.push(batch.buffer);
      batch.lease.retain();
      leases.push(batch.lease);
      sizeBytes += batch.buffer.length;
    }
    const release = (): void => {
      for (const lease of leases) lease.release();
    };
    return { parts: joinSmall(parts), sizeBytes, release };
  }

  /** Place of the first batch that ends at or after the offset. */
  #find(offset: number): number {
    let low = 0;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#batches.at(middle)!.lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * A batch kept here keeps all the memory that it is a part of: one of Node's slabs, or a request with much that was refused.
 * Where that is more than twice its own, it gets memory of its own, or the cache's bound would mean little.
 */
function alone(buffer: Buffer): Buffer {
  if (buffer.buffer.byteLength <= 2 * buffer.length) return buffer;
  const own = Buffer.allocUnsafeSlow(buffer.length);
  own.set(buffer);
  return own;
}

function joinSmall(parts: Buffer[]): Buffer[] {
  if (parts.length < 2) return parts;
  const joined: Buffer[] = [];
  let small: Buffer[] = [];
  const flushSmall = (): void => {
    if (small.length > 0) joined.push(small.length === 1 ? small[0]! : Buffer.concat(small));
    small = [];
  };
  for (const part of parts) {
    if (part.length < joinBelowBytes) {
      small.push(part);
    } else {
      flushSmall();
      joined.push(part);
    }
  }
  flushSmall();
  return joined;
}

/** A queue that can be indexed: an array whose front is cut off now and then. */
class Fifo<T> {
  #items: (T | undefined)[] = [];
  #front = 0;

  get length(): number {
    return this.#items.length - this.#front;
  }

  at(place: number): T | undefined {
    return this.#items[this.#front + place];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const item = this.#items[this.#front];
    if (item === undefined) return undefined;
    this.#items[this.#front] = undefined;
    this.#front++;
    if (this.#front > 1024 && this.#front * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#front);
      this.#front = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#front = 0;
  }
}
