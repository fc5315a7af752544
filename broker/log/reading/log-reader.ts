/**
 * Reads batches that are written but no longer in the tail cache: block by block through the ReadPool, without copying.
 * Where a consumer left off is remembered, so that its next read needs no search, and what it will want next is read ahead.
 *
 * One read stays within one segment, as with Kafka. Of each batch only the framing is looked at.
 */
import { batchField, batchHeaderBytes } from '../../../protocol/index.ts';
import type { LogRead, ReadRequest } from '../log-types.ts';
import type { Block, ReadPool } from './read-pool.ts';
import { isRaftOnly } from '../raft-only.ts';
import type { SegmentIndexes } from '../segments/segment-files.ts';
import type { SegmentList } from '../segments/segment-list.ts';
import type { Segment } from '../segments/segment.ts';

/** Consumers whose places are remembered for each log. */
const cursorsMax = 32;
/** An answer that is less than this share (1/4) of the slabs it would hold is copied out of them. */
const copyBelowShare = 4;
/** Blocks that are read ahead of a consumer that reads on. */
const aheadMax = 12;

interface Cursor {
  readonly segment: Segment;
  readonly position: number;
}

const nothing: LogRead = { parts: [], sizeBytes: 0, release: () => undefined };

export class LogReader {
  readonly #segments: SegmentList;
  readonly #indexes: SegmentIndexes;
  readonly #pool: ReadPool;
  /** By the offset that will be asked for next; made by the first read, as most logs are at rest. */
  #cursors: Map<number, Cursor> | undefined;

  constructor(segments: SegmentList, indexes: SegmentIndexes, pool: ReadPool) {
    this.#segments = segments;
    this.#indexes = indexes;
    this.#pool = pool;
  }

  /** Rejects with a DiskError, a ShortFile or an UnreadableBatch. */
  async read(request: ReadRequest): Promise<LogRead> {
    let read = await this.#readOnce(request);
    while (read === 'start-over') read = await this.#readOnce(request);
    return read;
  }

  /** 'start-over': a segment went while it was read, and what was read may be of another file. */
  async #readOnce(request: ReadRequest): Promise<LogRead | 'start-over'> {
    if (request.offset < this.#segments.first.baseOffset) return nothing;
    for (let place = this.#segments.placeOf(request.offset); ; place++) {
      const segment = this.#segments.at(place);
      if (segment === undefined || segment.baseOffset >= request.endOffset) return nothing;
      if (request.offset >= segment.endOffset && place + 1 < this.#segments.count) continue;
      const { count } = this.#segments;
      const read = await this.#readUnlessRemoved(segment, request);
      if (read !== undefined) return read;
      // Places have moved where others went or came in.
      if (this.#segments.at(place) !== segment) return 'start-over';
      if (place + 1 >= count) return nothing;
    }
  }

  async #readUnlessRemoved(
    segment: Segment,
    request: ReadRequest,
  ): Promise<LogRead | 'start-over' | undefined> {
    try {
      const read = await this.#readSegment(segment, request);
      if (!segment.isRemoved) return read;
      read?.release();
    } catch (error) {
      if (!segment.isRemoved) throw error;
    }
    return 'start-over';
  }

  /** Forgets where readers are: the log has been cut. */
  forget(): void {
    this.#cursors = undefined;
  }

  /** Undefined where the segment has nothing more for this request. */
  async #readSegment(segment: Segment, request: ReadRequest): Promise<LogRead | undefined> {
    const cursor = this.#cursors?.get(request.offset);
    const isSequential = cursor?.segment === segment;
    const window = new BlockWindow(this.#pool, segment);
    try {
      const from = isSequential ? cursor.position : await this.#lookUp(segment, request.offset);
      window.startAt(from);
      if (isSequential) await window.extend(from + request.maxBytes);
      const start = await skipTo(window, from, request.offset);
      if (start !== undefined) await window.extend(start + request.maxBytes);
      const range = start === undefined ? undefined : await collect(window, start, request);
      if (range === undefined) {
        window.releaseAll();
        return start === undefined ? undefined : nothing;
      }
      this.#remember(range.nextOffset, { segment, position: range.end });
      if (isSequential || from === 0) this.#readAhead(segment, range.end, request.maxBytes);
      return window.take(range.pieces);
    } catch (error) {
      window.releaseAll();
      throw error;
    }
  }

  async #lookUp(segment: Segment, offset: number): Promise<number> {
    const { offsetIndex } = await this.#indexes.of(segment);
    return offsetIndex.lookUp(offset - segment.baseOffset);
  }

  #remember(offset: number, cursor: Cursor): void {
    const cursors = (this.#cursors ??= new Map());
    cursors.set(offset, cursor);
    if (cursors.size <= cursorsMax) return;
    for (const oldest of cursors.keys()) {
      cursors.delete(oldest);
      return;
    }
  }

  #readAhead(segment: Segment, position: number, maxBytes: number): void {
    const { blockBytes } = this.#pool;
    const first = Math.floor(position / blockBytes);
    const count = Math.min(aheadMax, Math.ceil(maxBytes / blockBytes) + 1);
    for (let number = first; number < first + count; number++) {
      const neededBytes = Math.min(blockBytes, segment.writtenBytes - number * blockBytes);
      if (neededBytes <= 0 || !this.#pool.readAhead(segment, number, neededBytes)) return;
    }
  }
}

/** A run of bytes to send: [from, to) of the segment. */
interface Piece {
  readonly from: number;
  to: number;
}

/** Position of the first data batch that ends at or after `offset`, with its header in the window; undefined at the end. */
async function skipTo(window: BlockWindow, from: number, offset: number): Promise<number | undefined> {
  let position = from;
  for (;;) {
    if (!(await window.reach(position, batchHeaderBytes))) return undefined;
    const { buffer, at } = window.header(position);
    if (!isRaftOnly(buffer, at) && batchField.lastOffset(buffer, at) >= offset) return position;
    position += batchBytesAt(window, buffer, at, position);
  }
}

/** What is read was checked when it was appended or recovered. Where it has rotted since, a walk must not go astray, or on for ever. */
function batchBytesAt(window: BlockWindow, buffer: Buffer, at: number, position: number): number {
  const sizeBytes = batchField.sizeBytes(buffer, at);
  if (sizeBytes < batchHeaderBytes) throw new UnreadableBatch(window.path, position);
  return sizeBytes;
}

/** Where a batch should begin, there is none: the file has rotted. */
export class UnreadableBatch extends Error {
  constructor(path: string, position: number) {
    super(`${path} has no batch at byte ${position}, where one was written.`);
    this.name = 'UnreadableBatch';
  }
}

interface Collected {
  readonly pieces: Piece[];
  /** After the last batch taken. */
  readonly end: number;
  readonly nextOffset: number;
}

/** Takes whole batches from `start` on, round Raft-only ones; undefined where not even the first may be sent. */
async function collect(
  window: BlockWindow,
  start: number,
  request: ReadRequest,
): Promise<Collected | undefined> {
  const pieces: Piece[] = [];
  let position = start;
  let sizeBytes = 0;
  let nextOffset = -1;
  while (window.holds(position, batchHeaderBytes)) {
    const { buffer, at } = window.header(position);
    const batchBytes = batchBytesAt(window, buffer, at, position);
    if (isRaftOnly(buffer, at)) {
      position += batchBytes;
      continue;
    }
    const lastOffset = batchField.lastOffset(buffer, at);
    if (lastOffset >= request.endOffset) break;
    const isFirst = pieces.length === 0;
    if (sizeBytes + batchBytes > request.maxBytes && !(isFirst && request.minOneBatch)) break;
    if (isFirst ? !(await window.reach(position, batchBytes)) : !window.holds(position, batchBytes)) break;
    const piece = pieces.at(-1);
    if (piece?.to === position) piece.to += batchBytes;
    else pieces.push({ from: position, to: position + batchBytes });
    sizeBytes += batchBytes;
    position += batchBytes;
    nextOffset = lastOffset + 1;
  }
  const end = pieces.at(-1)?.to;
  return end === undefined ? undefined : { pieces, end, nextOffset };
}

/** The part of a segment that one read has in memory: neighbouring blocks, each with a reference of its own. */
class BlockWindow {
  readonly #pool: ReadPool;
  readonly #segment: Segment;
  readonly #blocks: Block[] = [];
  #firstNumber = 0;
  /** The bytes that are here: [#from, #to). */
  #from = 0;
  #to = 0;
  readonly #scratch = Buffer.alloc(batchHeaderBytes);

  constructor(pool: ReadPool, segment: Segment) {
    this.#pool = pool;
    this.#segment = segment;
  }

  get path(): string {
    return this.#segment.path;
  }

  /** Brings in what is missing up to `to`, or as much of it as there are slabs for. */
  async extend(to: number): Promise<void> {
    const { blockBytes } = this.#pool;
    const end = Math.min(to, this.#segment.writtenBytes);
    for (let number = this.#nextNumber; number * blockBytes < end; number++) {
      const block = this.#pool.tryAcquire(this.#segment, number);
      if (block === undefined) break;
      this.#blocks.push(block);
    }
    await this.#fillTo(Math.min(end, this.#nextNumber * blockBytes));
  }

  /** Before all else: where the part begins. */
  startAt(position: number): void {
    this.#firstNumber = Math.floor(position / this.#pool.blockBytes);
    this.#from = position;
    this.#to = position;
  }

  holds(position: number, sizeBytes: number): boolean {
    return position >= this.#from && position + sizeBytes <= this.#to;
  }

  /** Brings in what is missing of [position, position + sizeBytes); false where the segment has no such bytes. */
  async reach(position: number, sizeBytes: number): Promise<boolean> {
    const to = position + sizeBytes;
    if (to <= this.#to) return true;
    if (to > this.#segment.writtenBytes) return false;
    const { blockBytes } = this.#pool;
    const lastNumber = Math.floor((to - 1) / blockBytes);
    for (let number = this.#nextNumber; number <= lastNumber; number++) {
      this.#blocks.push(this.#pool.acquireAnyhow(this.#segment, number));
    }
    await this.#fillTo(to);
    return true;
  }

  /** 61 bytes in one buffer: copied together where they lie across two blocks. Valid until the next call. */
  header(position: number): { buffer: Buffer; at: number } {
    const { blockBytes } = this.#pool;
    const number = Math.floor(position / blockBytes);
    const at = position - number * blockBytes;
    const { slab } = this.#blocks[number - this.#firstNumber]!;
    if (at + batchHeaderBytes <= blockBytes) return { buffer: slab, at };
    const copied = slab.copy(this.#scratch, 0, at);
    this.#blocks[number - this.#firstNumber + 1]!.slab.copy(this.#scratch, copied);
    return { buffer: this.#scratch, at: 0 };
  }

  /** Turns the pieces into a read that holds the blocks it needs, if it needs much of them; others are given back. */
  take(pieces: readonly Piece[]): LogRead {
    const { blockBytes } = this.#pool;
    const parts: Buffer[] = [];
    const used = new Set<Block>();
    let sizeBytes = 0;
    for (const { from, to } of pieces) {
      sizeBytes += to - from;
      for (let position = from; position < to;) {
        const number = Math.floor(position / blockBytes);
        const block = this.#blocks[number - this.#firstNumber]!;
        const end = Math.min(to, (number + 1) * blockBytes);
        parts.push(block.slab.subarray(position - number * blockBytes, end - number * blockBytes));
        used.add(block);
        position = end;
      }
    }
    if (sizeBytes * copyBelowShare < used.size * blockBytes) {
      const copied = Buffer.concat(parts);
      this.releaseAll();
      return { parts: [copied], sizeBytes, release: () => undefined };
    }
    for (const block of this.#blocks.splice(0)) if (!used.has(block)) this.#pool.release(block);
    return {
      parts,
      sizeBytes,
      release: () => {
        for (const block of used) this.#pool.release(block);
        used.clear();
      },
    };
  }

  releaseAll(): void {
    for (const block of this.#blocks.splice(0)) this.#pool.release(block);
  }

  get #nextNumber(): number {
    return this.#firstNumber + this.#blocks.length;
  }

  async #fillTo(to: number): Promise<void> {
    const { blockBytes } = this.#pool;
    const available = Math.max(to, this.#segment.writtenBytes);
    const fills = this.#blocks.map((block) => {
      const neededBytes = Math.min(blockBytes, to - block.number * blockBytes);
      // The end of the newest segment is read as far as it is written: the next reader wants it too.
      const wantedBytes = Math.min(blockBytes, available - block.number * blockBytes);
      return block.filledBytes >= neededBytes ? undefined : this.#pool.fill(block, wantedBytes);
    });
    await Promise.all(fills.filter((fill) => fill !== undefined));
    this.#to = Math.max(this.#to, Math.min(to, this.#nextNumber * blockBytes));
  }
}
