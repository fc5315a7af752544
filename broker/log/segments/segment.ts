/**
 * What is known of one segment: a `.log` file with its two indexes, named by the Kafka offset of its first record.
 * Bookkeeping only; LogWriter writes it, LogReader reads it. Invariant: flushed <= written <= appended bytes.
 */
import { assert } from '../../../platform/assert.ts';
import { crc32c } from '../../../protocol/index.ts';
import type { Block, BlockOwner } from '../reading/read-pool.ts';
import { OffsetIndex, TimeIndex } from './segment-indexes.ts';

/** Index entries hold relative offsets as int32. */
export const relativeOffsetMax = 2 ** 31 - 1;

/** What the batches of a segment add up to; kept in checkpoints, as the indexes alone do not tell. */
export interface SegmentTotals {
  /** -1 without any. */
  maxTimestamp: number;
  /** Last offset of the first batch that holds it. */
  maxTimestampOffset: number;
  /** The largest timestamp of the first batch with records: what `segment.ms` counts from. */
  firstTimestamp: number;
  /** When the segment began, on the wall clock: what `segment.ms` counts from without timestamps. */
  createdMs: number;
  bytesSinceIndexEntry: number;
}

export class Segment implements BlockOwner {
  readonly baseOffset: number;
  readonly directory: string;
  readonly blocks = new Map<number, Block>();
  readonly totals: SegmentTotals;
  /** Offset after the last record. */
  endOffset: number;
  appendedBytes = 0;
  writtenBytes = 0;
  flushedBytes = 0;
  /** No more is appended; its index files are complete, and its indexes may be out of memory. */
  isFull = false;
  /**
   * Raft index of its first entry; -1 where it is not known yet. Several Raft-only entries may stand at the base offset, some of
   * them at the end of the segment before, so the offset alone does not tell.
   */
  startIndex = -1;
  /** Its first batch is the header of a cleaned segment: batches may lack. */
  isCleaned = false;
  /**
   * Taken out of its log, by retention, a swap or a truncation. Its path may be another file by now: whoever finds this after an
   * await must not use what was read by path, and starts over from the log's list.
   */
  isRemoved = false;
  /**
   * It still stands in the list, but its file and the log's positions no longer agree: a truncation has begun that takes it or
   * its end, or another takes its place, which the disk may have kept from ending. Whoever compares the two is to leave it alone.
   */
  isDoomed = false;
  /** Its indexes stay in memory: its files are about to become others. */
  isPinned = false;
  #offsetIndex: OffsetIndex | undefined = new OffsetIndex();
  #timeIndex: TimeIndex | undefined = new TimeIndex();
  /** How much of the indexes their files hold. */
  offsetIndexFileBytes = 0;
  timeIndexFileBytes = 0;
  /** Of a full segment: `presentIndexCrc` when its index files were completed. */
  indexCrc = 0;

  constructor(directory: string, baseOffset: number, createdMs: number) {
    this.directory = directory;
    this.baseOffset = baseOffset;
    this.endOffset = baseOffset;
    this.totals = {
      maxTimestamp: -1,
      maxTimestampOffset: baseOffset,
      firstTimestamp: -1,
      createdMs,
      bytesSinceIndexEntry: 0,
    };
  }

  get path(): string {
    return segmentPath(this.directory, this.baseOffset, 'log');
  }

  get offsetIndexPath(): string {
    return segmentPath(this.directory, this.baseOffset, 'index');
  }

  get timeIndexPath(): string {
    return segmentPath(this.directory, this.baseOffset, 'timeindex');
  }

  /** Exists only where the segment has markers of aborted transactions. */
  get transactionIndexPath(): string {
    return segmentPath(this.directory, this.baseOffset, 'txnindex');
  }

  /** Whether it says what its log does: else neither its file nor its bytes mean anything. */
  get isCurrent(): boolean {
    return !this.isRemoved && !this.isDoomed;
  }

  /** Whether the indexes are in memory; those of a full segment that has not been read lately are not. */
  get hasIndexes(): boolean {
    return this.#offsetIndex !== undefined && this.#timeIndex !== undefined;
  }

  get offsetIndex(): OffsetIndex {
    assert(this.#offsetIndex !== undefined, 'the offset index is in memory');
    return this.#offsetIndex;
  }

  get timeIndex(): TimeIndex {
    assert(this.#timeIndex !== undefined, 'the time index is in memory');
    return this.#timeIndex;
  }

  /** CRC-32C over all entries of the offset index, then of the time index. */
  get presentIndexCrc(): number {
    return crc32c(this.timeIndex.bytes(), crc32c(this.offsetIndex.bytes()));
  }

  setIndexes(offsetIndex: OffsetIndex, timeIndex: TimeIndex): void {
    this.#offsetIndex = offsetIndex;
    this.#timeIndex = timeIndex;
  }

  unloadIndexes(): void {
    assert(this.isFull, 'only a full segment has its indexes in files alone');
    this.#offsetIndex = undefined;
    this.#timeIndex = undefined;
  }

  /** Whether it holds a Kafka offset: only then may it roll, as otherwise two segments would share a name. */
  get holdsOffsets(): boolean {
    return this.endOffset > this.baseOffset;
  }

  /** Accounts for a data batch at the end of the segment. Index entries are as Kafka makes them. */
  addBatch(batch: BatchSpan, indexIntervalBytes: number): void {
    const { totals } = this;
    if (batch.maxTimestamp > totals.maxTimestamp) {
      totals.maxTimestamp = batch.maxTimestamp;
      totals.maxTimestampOffset = batch.lastOffset;
    }
    if (totals.firstTimestamp < 0) totals.firstTimestamp = batch.maxTimestamp;
    if (totals.bytesSinceIndexEntry > indexIntervalBytes) {
      this.offsetIndex.add(batch.lastOffset - this.baseOffset, this.appendedBytes);
      this.timeIndex.maybeAdd(totals.maxTimestamp, totals.maxTimestampOffset - this.baseOffset);
      totals.bytesSinceIndexEntry = 0;
    }
    totals.bytesSinceIndexEntry += batch.sizeBytes;
    this.appendedBytes += batch.sizeBytes;
    this.endOffset = batch.lastOffset + 1;
  }

  /** Accounts for a Raft-only batch: no offset, no index entry. */
  addRaftOnly(sizeBytes: number): void {
    this.totals.bytesSinceIndexEntry += sizeBytes;
    this.appendedBytes += sizeBytes;
  }

  /** The last time index entry: Kafka adds it when the segment rolls or closes, so that the index knows the segment's maximum. */
  completeTimeIndex(): void {
    this.timeIndex.maybeAdd(this.totals.maxTimestamp, this.totals.maxTimestampOffset - this.baseOffset);
  }
}

export interface BatchSpan {
  readonly sizeBytes: number;
  readonly lastOffset: number;
  readonly maxTimestamp: number;
}

/** The `.log` stands last: a segment's other files go before it and come after it. */
export const segmentFiles = ['txnindex', 'timeindex', 'index', 'log'] as const;
export type SegmentFile = (typeof segmentFiles)[number];

/** Kafka's name: the base offset in 20 digits. */
export function segmentPath(directory: string, baseOffset: number, kind: SegmentFile): string {
  return `${directory}/${String(baseOffset).padStart(20, '0')}.${kind}`;
}
