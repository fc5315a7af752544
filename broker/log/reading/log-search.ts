/**
 * Finds things in the written part of a log by walking its batches: records by timestamp, the place of a Raft index, all
 * headers from an offset on. Slower than LogReader and with buffers of its own, so that it does not push out what readers use.
 */
import { batchField, readBatchHeader } from '../../../protocol/index.ts';
import type { BatchHeader } from '../../../protocol/index.ts';
import { scanBatches } from './batch-scan.ts';
import type { ScanEnd, ScannedBatch, Visit } from './batch-scan.ts';
import { isCleanedHeader } from '../segments/cleaned-header.ts';
import { DamagedSegment, scanSound } from './header-scan.ts';
import type { FoundRecord } from '../log-types.ts';
import type { PositionTable } from '../segments/position-table.ts';
import { isRaftOnly, raftOnlyIndex } from '../raft-only.ts';
import type { ReadPool } from './read-pool.ts';
import type { SegmentIndexes } from '../segments/segment-files.ts';
import type { SegmentList } from '../segments/segment-list.ts';
import type { Segment } from '../segments/segment.ts';
import { TimeSearch } from './time-search.ts';

const nearBytes = 128 * 1024;
const farBytes = 2 * 1024 * 1024;

/** Where a batch begins. */
export interface BatchPlace {
  readonly segmentBaseOffset: number;
  readonly position: number;
}

export type HeaderVisitor = (header: BatchHeader, place: BatchPlace) => void;

/** Where an entry begins. */
export interface PlacedIndex {
  readonly segment: Segment;
  readonly position: number;
  readonly index: number;
}

export class LogSearch {
  readonly #segments: SegmentList;
  readonly #indexes: SegmentIndexes;
  readonly #pool: ReadPool;
  readonly #time: TimeSearch;

  constructor(segments: SegmentList, indexes: SegmentIndexes, pool: ReadPool) {
    this.#segments = segments;
    this.#indexes = indexes;
    this.#pool = pool;
    this.#time = new TimeSearch(indexes, (segment, from, visit) =>
      this.#walk(segment, from, nearBytes, visit),
    );
  }

  /** The first record in [startOffset, endOffset) whose timestamp is at or after this one. */
  offsetForTimestamp(
    timestamp: number,
    startOffset: number,
    endOffset: number,
  ): Promise<FoundRecord | undefined> {
    return this.undisturbed(() => this.#firstFrom(timestamp, startOffset, endOffset));
  }

  /** The first of the records in [startOffset, endOffset) that have the largest timestamp. */
  maxTimestamp(startOffset: number, endOffset: number): Promise<FoundRecord | undefined> {
    return this.undisturbed(() => this.#largest(startOffset, endOffset));
  }

  /** Starts over where segments went meanwhile: what was found by their paths may be of other files. */
  async undisturbed<T>(search: () => Promise<T>): Promise<T> {
    for (;;) {
      const { generation } = this.#segments;
      try {
        const found = await search();
        if (this.#segments.generation === generation) return found;
      } catch (error) {
        if (this.#segments.generation === generation) throw error;
      }
    }
  }

  async #firstFrom(
    timestamp: number,
    startOffset: number,
    endOffset: number,
  ): Promise<FoundRecord | undefined> {
    const range = { start: startOffset, end: endOffset };
    for (const segment of this.#segments.snapshot()) {
      if (segment.baseOffset >= endOffset) return undefined;
      if (segment.endOffset <= startOffset) continue;
      const found = await this.#time.firstFrom(segment, timestamp, range);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #largest(startOffset: number, endOffset: number): Promise<FoundRecord | undefined> {
    const range = { start: startOffset, end: endOffset };
    let best: { segment: Segment; timestamp: number; lastOffset: number } | undefined;
    for (const segment of this.#segments.snapshot()) {
      if (segment.baseOffset >= endOffset) break;
      if (segment.endOffset <= startOffset || segment.totals.maxTimestamp <= (best?.timestamp ?? -1))
        continue;
      const largest = await this.#time.largest(segment, range);
      if (largest.timestamp > (best?.timestamp ?? -1)) best = { segment, ...largest };
    }
    return best === undefined ? undefined : this.#time.firstWith(best.segment, best, range);
  }

  /**
   * Calls `visit` for each batch that holds an offset at or above this one, Raft-only batches left out. Rejects with a DamagedSegment
   * or a DiskError.
   */
  async scanHeaders(fromOffset: number, table: PositionTable, visit: HeaderVisitor): Promise<void> {
    let nextOffset = fromOffset;
    const { generation } = this.#segments;
    try {
      for (let place = this.#segments.placeOf(fromOffset); place < this.#segments.count; place++) {
        const segment = this.#segments.at(place)!;
        const from = await this.#positionOf(segment, Math.max(fromOffset, segment.baseOffset));
        if (this.#segments.generation !== generation) break;
        const walk = (each: Visit): Promise<ScanEnd> => this.#walkTo(segment, from, farBytes, each);
        await scanSound({ segment, from, table }, walk, (batch) => {
          if (lastOffsetOf(batch) < fromOffset || isRaftOnly(batch.buffer, batch.at)) return;
          const header = readBatchHeader(batch.buffer, batch.at);
          visit(header, { segmentBaseOffset: segment.baseOffset, position: batch.position });
          nextOffset = header.lastOffset + 1;
        });
        if (this.#segments.generation !== generation) break;
      }
    } catch (error) {
      if (this.#segments.generation === generation) throw error;
    }
    // Segments went meanwhile: the rest is read from those that are there now.
    if (this.#segments.generation !== generation) await this.scanHeaders(nextOffset, table, visit);
  }

  /** Where the entry at `index` begins, which must be the first of its batch; or the end, for the log's end index. */
  async placeOfIndex(index: number, table: PositionTable): Promise<{ segment: Segment; position: number }> {
    const result = await this.#tryPlace(index, table);
    if (result !== undefined) return result;
    const segment = this.#segments.at(this.#segments.placeOf(table.offsetOfIndex(index)))!;
    throw new DamagedSegment(segment, 0, `no batch in it begins with Raft index ${index}`);
  }

  /** As `placeOfIndex`, of the first entry at or after `index` that begins a batch; says which one that is. */
  async placeFrom(index: number, table: PositionTable): Promise<PlacedIndex> {
    const offset = table.offsetOfIndex(index);
    const segment = this.#segments.at(this.#segments.placeOf(offset))!;
    // Nothing but the segment itself may say so: what was before it may be cleaned away, and it may be empty.
    if (segment.startIndex === index) return { segment, position: 0, index };
    const exact = await this.#tryPlace(index, table);
    if (exact !== undefined) return { ...exact, index };
    const endOffset = await this.#endOfBatchAt(segment, offset);
    const endIndex = table.indexOfOffset(endOffset - 1) + 1;
    return { ...(await this.placeOfIndex(endIndex, table)), index: endIndex };
  }

  async #tryPlace(
    index: number,
    table: PositionTable,
  ): Promise<{ segment: Segment; position: number } | undefined> {
    const offset = table.offsetOfIndex(index);
    let place = this.#segments.placeOf(offset);
    let result = await this.#findIndex(this.#segments.at(place)!, offset, index, table);
    // An entry at the border of two segments may be the last Raft-only one of the earlier.
    while (result === undefined && place > 0)
      result = await this.#findIndex(this.#segments.at(--place)!, offset, index, table);
    return result;
  }

  async #endOfBatchAt(segment: Segment, offset: number): Promise<number> {
    let endOffset: number | undefined;
    await this.#walk(segment, await this.#positionOf(segment, offset), nearBytes, (batch) => {
      if (lastOffsetOf(batch) < offset) return undefined;
      endOffset = lastOffsetOf(batch) + 1;
      return 'stop';
    });
    if (endOffset === undefined)
      throw new DamagedSegment(segment, 0, `no batch in it holds offset ${offset}`);
    return endOffset;
  }

  async #findIndex(
    segment: Segment,
    offset: number,
    index: number,
    table: PositionTable,
  ): Promise<{ segment: Segment; position: number } | undefined> {
    // Raft-only entries stand before the record at their own offset, so the record before that is looked up.
    const from = offset > segment.baseOffset ? await this.#positionOf(segment, offset - 1) : 0;
    let position: number | undefined;
    let next: number | undefined;
    const end = await this.#walk(segment, from, nearBytes, (batch) => {
      // It takes neither an index nor an offset.
      if (isCleanedHeader(batch.buffer, batch.at)) return undefined;
      const isOwn = isRaftOnly(batch.buffer, batch.at);
      if (isOwn) next = raftOnlyIndex(batch.buffer, batch.at);
      else next = table.indexOfOffset(baseOffsetOf(batch));
      if (next >= index) {
        if (next === index) position = batch.position;
        return 'stop';
      }
      next += isOwn ? 1 : lastOffsetOf(batch) - baseOffsetOf(batch) + 1;
      return undefined;
    });
    if (position === undefined && next === index) position = end;
    return position === undefined ? undefined : { segment, position };
  }

  async #positionOf(segment: Segment, offset: number): Promise<number> {
    const { offsetIndex } = await this.#indexes.of(segment);
    return offsetIndex.lookUp(offset - segment.baseOffset);
  }

  /** Returns where the walk ended. */
  async #walk(segment: Segment, from: number, chunkBytes: number, visit: Visit): Promise<number> {
    return (await this.#walkTo(segment, from, chunkBytes, visit)).position;
  }

  /** Says, too, why no batch follows. */
  async #walkTo(segment: Segment, from: number, chunkBytes: number, visit: Visit): Promise<ScanEnd> {
    const lease = await this.#pool.files.lease(segment.path);
    try {
      const range = { from, to: segment.writtenBytes, chunkBytes };
      return await scanBatches(lease.file, range, visit);
    } finally {
      lease.release();
    }
  }
}

function baseOffsetOf(batch: ScannedBatch): number {
  return batchField.baseOffset(batch.buffer, batch.at);
}

function lastOffsetOf(batch: ScannedBatch): number {
  return batchField.lastOffset(batch.buffer, batch.at);
}
