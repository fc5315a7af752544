/**
 * Memory and files for cold reads, shared by a node's logs. Files are read in aligned blocks into slabs of one size. A block
 * is shared by all who read it and counted by reference; blocks that nobody refers to are kept, least recently used dropped
 * first, so that a consumer behind another one, and read-ahead, find theirs. `maxBytes` of slabs exist; where all are
 * referred to, a reader gets one more for its first block and goes without the others. It must not wait for one: readers that
 * hold some and wait for others would wait for each other. So what exceeds the bound is bounded by the answers in flight.
 */
import { assert } from '../../../platform/assert.ts';
import type { Disk } from '../../../platform/disk.ts';
import type { Segment } from '../segments/segment.ts';
import { LoadedIndexes } from '../segments/loaded-indexes.ts';
import { OpenFiles } from './open-files.ts';

export interface ReadPoolOptions {
  readonly disk: Disk;
  /** Bytes of slabs; at least one slab. */
  readonly maxBytes: number;
  /** Bytes of one slab and of one read. */
  readonly blockBytes?: number;
  /** Files kept open for reading beyond those in use. */
  readonly openFilesMax?: number;
  /** Bytes of full segments' indexes kept in memory. */
  readonly indexBytesMax?: number;
}

/** One aligned piece of a file, in memory from its start up to `filledBytes`. */
export interface Block {
  readonly owner: BlockOwner;
  readonly number: number;
  readonly slab: Buffer;
  /** What has been read. Grows: the end of the newest segment is read again when there is more. */
  filledBytes: number;
  references: number;
  /** The read in flight. */
  loading: Promise<void> | undefined;
  /** Dropped from its owner while in use: its slab goes back with the last reference. */
  isOrphan: boolean;
}

/** A file whose blocks are held, under one identity: after a truncation it is another one. */
export interface BlockOwner {
  readonly path: string;
  readonly blocks: Map<number, Block>;
}

export class ReadPool {
  readonly blockBytes: number;
  readonly files: OpenFiles;
  readonly indexes: LoadedIndexes;
  readonly #slabsMax: number;
  #slabs = 0;
  readonly #freeSlabs: Buffer[] = [];
  /** Blocks without references, least recently used first. */
  readonly #idle = new Set<Block>();

  constructor(options: ReadPoolOptions) {
    this.blockBytes = options.blockBytes ?? 1024 * 1024;
    this.#slabsMax = Math.max(1, Math.floor(options.maxBytes / this.blockBytes));
    this.files = new OpenFiles(options.disk, options.openFilesMax ?? 256);
    this.indexes = new LoadedIndexes(options.indexBytesMax ?? 16 * 1024 * 1024);
  }

  /** Bytes of slabs in existence. */
  get sizeBytes(): number {
    return this.#slabs * this.blockBytes;
  }

  /** Takes a reference to a block, undefined where no slab is to be had. The block may not be filled yet: see `fill`. */
  tryAcquire(owner: BlockOwner, number: number): Block | undefined {
    const held = owner.blocks.get(number);
    if (held !== undefined) {
      this.#idle.delete(held);
      held.references++;
      return held;
    }
    const slab = this.#takeSlab();
    return slab === undefined ? undefined : this.#newBlock(owner, number, slab);
  }

  /** As tryAcquire, but goes beyond the bound where it must; a slab beyond it goes with its last reference. */
  acquireAnyhow(owner: BlockOwner, number: number): Block {
    const block = this.tryAcquire(owner, number);
    if (block !== undefined) return block;
    this.#slabs++;
    return this.#newBlock(owner, number, Buffer.allocUnsafeSlow(this.blockBytes));
  }

  /** Gives back one reference. */
  release(block: Block): void {
    block.references--;
    assert(block.references >= 0, 'a block is released once for each reference');
    if (block.references > 0) return;
    if (block.isOrphan || block.filledBytes === 0 || this.#slabs > this.#slabsMax) this.#drop(block);
    else this.#idle.add(block);
  }

  /** Reads the block's file until the block holds its first `neededBytes`; rejects with a DiskError. The caller has a reference. */
  async fill(block: Block, neededBytes: number): Promise<void> {
    while (block.filledBytes < neededBytes) {
      block.loading ??= this.#load(block, neededBytes);
      await block.loading;
    }
  }

  /** Starts reading a block that will be wanted soon, if a slab is to be had. Says whether it is or will be there. */
  readAhead(owner: BlockOwner, number: number, neededBytes: number): boolean {
    const held = owner.blocks.get(number);
    if (held !== undefined && held.filledBytes >= neededBytes) return true;
    const block = this.tryAcquire(owner, number);
    if (block === undefined) return false;
    this.fill(block, neededBytes).then(
      () => this.release(block),
      () => {
        // The reader who comes for these bytes meets the same error and reports it.
        this.release(block);
      },
    );
    return true;
  }

  /** Forgets a segment's blocks and indexes: its file has been cut or removed, or its log is closed. Readers keep what they have. */
  forget(owner: Segment): void {
    this.indexes.forget(owner);
    for (const block of owner.blocks.values()) {
      block.isOrphan = true;
      if (this.#idle.delete(block)) this.#drop(block);
    }
    owner.blocks.clear();
  }

  /** Holds a reference of its own: a slab must not be given to another while the system writes into it. */
  async #load(block: Block, neededBytes: number): Promise<void> {
    block.references++;
    const position = block.number * this.blockBytes + block.filledBytes;
    try {
      const lease = await this.files.lease(block.owner.path);
      try {
        const read = await lease.file.read(block.slab.subarray(block.filledBytes, neededBytes), position);
        if (read === 0) throw new ShortFile(block.owner.path, position);
        block.filledBytes += read;
      } finally {
        lease.release();
      }
    } finally {
      block.loading = undefined;
      this.release(block);
    }
  }

  #newBlock(owner: BlockOwner, number: number, slab: Buffer): Block {
    const block: Block = {
      owner,
      number,
      slab,
      filledBytes: 0,
      references: 1,
      loading: undefined,
      isOrphan: false,
    };
    owner.blocks.set(number, block);
    return block;
  }

  #takeSlab(): Buffer | undefined {
    const free = this.#freeSlabs.pop();
    if (free !== undefined) return free;
    if (this.#slabs < this.#slabsMax) {
      this.#slabs++;
      return Buffer.allocUnsafeSlow(this.blockBytes);
    }
    for (const block of this.#idle) {
      this.#idle.delete(block);
      this.#drop(block);
      return this.#freeSlabs.pop();
    }
    return undefined;
  }

  #drop(block: Block): void {
    if (block.owner.blocks.get(block.number) === block) block.owner.blocks.delete(block.number);
    if (this.#slabs > this.#slabsMax) this.#slabs--;
    else this.#freeSlabs.push(block.slab);
  }
}

/** A file ends before the bytes that have been written to it. */
export class ShortFile extends Error {
  constructor(path: string, position: number) {
    super(`${path} ends at byte ${position}, before the end of what was written to it.`);
    this.name = 'ShortFile';
  }
}
