/**
 * Finds records by timestamp, exactly, whatever the order of timestamps. Used by LogSearch alone.
 *
 * How little has to be read follows from how indexes are made: whenever an offset entry is added, a time entry is too, if
 * the segment's largest timestamp has grown. So no batch up to an offset entry is later than the time entries that speak of
 * offsets up to it, and the first batch that reaches a timestamp lies between two neighbouring offset entries. Only a
 * segment that is cut by the log start, and whose latest records are below it, has to be walked from there on.
 */
import { batchField, openRecords, readBatchHeader } from '../../../protocol/index.ts';
import type { RecordCursor } from '../../../protocol/index.ts';
import type { ScannedBatch } from './batch-scan.ts';
import type { FoundRecord } from '../log-types.ts';
import { recordTimestampMax } from '../segments/segment-files.ts';
import type { SegmentIndexes } from '../segments/segment-files.ts';
import type { Segment } from '../segments/segment.ts';

/** Offsets in [start, end). */
export interface OffsetRange {
  readonly start: number;
  readonly end: number;
}

/** Walks over the batches of a segment's written part from a position on; 'stop' ends the walk. */
export type SegmentWalk = (
  segment: Segment,
  from: number,
  visit: (batch: ScannedBatch) => string | undefined,
) => Promise<unknown>;

/** A timestamp and the last offset of the first batch that has it. */
interface Largest {
  readonly timestamp: number;
  readonly lastOffset: number;
}

const none: Largest = { timestamp: -1, lastOffset: -1 };

export class TimeSearch {
  readonly #indexes: SegmentIndexes;
  readonly #walk: SegmentWalk;

  constructor(indexes: SegmentIndexes, walk: SegmentWalk) {
    this.#indexes = indexes;
    this.#walk = walk;
  }

  /** The segment's first record in the range whose timestamp is at or after this one. */
  async firstFrom(segment: Segment, timestamp: number, range: OffsetRange): Promise<FoundRecord | undefined> {
    const { baseOffset, totals } = segment;
    if (totals.maxTimestamp < timestamp) return undefined;
    const { offsetIndex, timeIndex } = await this.#indexes.of(segment);
    const reached = timeIndex.firstFrom(timestamp)?.relativeOffset ?? totals.maxTimestampOffset - baseOffset;
    const from = Math.max(
      offsetIndex.lookUp(reached - 1),
      offsetIndex.lookUp(Math.max(0, range.start - baseOffset)),
    );
    let found: FoundRecord | undefined;
    await this.#walk(segment, from, (batch) => {
      if (baseOffsetOf(batch) >= range.end) return 'stop';
      if (maxTimestampOf(batch) < timestamp || lastOffsetOf(batch) < range.start) return undefined;
      found = findRecord(batch, range, (time) => time >= timestamp);
      return found === undefined ? undefined : 'stop';
    });
    return found;
  }

  /** The largest timestamp of the segment's records in the range; -1 where there is none. */
  async largest(segment: Segment, range: OffsetRange): Promise<Largest> {
    const { baseOffset, endOffset, totals } = segment;
    const ofWhole = { timestamp: totals.maxTimestamp, lastOffset: totals.maxTimestampOffset };
    if (ofWhole.timestamp < 0) return none;
    if (range.start <= baseOffset && endOffset <= range.end) return ofWhole;
    const { offsetIndex, timeIndex } = await this.#indexes.of(segment);
    const startPosition = offsetIndex.lookUp(Math.max(0, range.start - baseOffset));
    let known = ofWhole;
    if (endOffset > range.end) {
      const entry = timeIndex.lastBelowOffset(range.end - baseOffset);
      known =
        entry === undefined
          ? none
          : { timestamp: entry.timestamp, lastOffset: baseOffset + entry.relativeOffset };
    }
    const isKnownInRange =
      range.start <= baseOffset || (await this.#isBehindFirst(segment, startPosition, known, range));
    if (!isKnownInRange) return this.#largestFrom(segment, startPosition, range, none);
    if (endOffset <= range.end) return known;
    return this.#largestFrom(segment, offsetIndex.lookUp(range.end - 1 - baseOffset), range, known);
  }

  /** The segment's first record in the range with exactly this timestamp, which `largest` has found. */
  async firstWith(segment: Segment, largest: Largest, range: OffsetRange): Promise<FoundRecord | undefined> {
    const { offsetIndex } = await this.#indexes.of(segment);
    let found: FoundRecord | undefined;
    const from = offsetIndex.lookUp(Math.max(0, largest.lastOffset - 1 - segment.baseOffset));
    await this.#walk(segment, from, (batch) => {
      if (baseOffsetOf(batch) >= range.end) return 'stop';
      if (lastOffsetOf(batch) < largest.lastOffset || maxTimestampOf(batch) < largest.timestamp)
        return undefined;
      found = findRecord(batch, range, (time) => time === largest.timestamp);
      return found === undefined ? undefined : 'stop';
    });
    return found;
  }

  /** Whether a known maximum stands in a batch behind the one that holds the range's first offset: that one may be cut. */
  async #isBehindFirst(segment: Segment, from: number, known: Largest, range: OffsetRange): Promise<boolean> {
    if (known.lastOffset < range.start) return false;
    let firstEnd = -1;
    await this.#walk(segment, from, (batch) => {
      if (lastOffsetOf(batch) < range.start) return undefined;
      firstEnd = lastOffsetOf(batch);
      return 'stop';
    });
    return known.lastOffset > firstEnd;
  }

  async #largestFrom(segment: Segment, from: number, range: OffsetRange, known: Largest): Promise<Largest> {
    let best = known;
    await this.#walk(segment, from, (batch) => {
      if (baseOffsetOf(batch) >= range.end) return 'stop';
      if (lastOffsetOf(batch) < range.start || maxTimestampOf(batch) <= best.timestamp) return undefined;
      const timestamp = largestWithin(batch, range);
      if (timestamp > best.timestamp) best = { timestamp, lastOffset: lastOffsetOf(batch) };
      return undefined;
    });
    return best;
  }
}

/** The largest timestamp of the batch's records in the range; its header tells, unless the range cuts the batch. */
function largestWithin(batch: ScannedBatch, range: OffsetRange): number {
  if (baseOffsetOf(batch) >= range.start && lastOffsetOf(batch) < range.end) return maxTimestampOf(batch);
  let largest = -1;
  findRecord(batch, range, (timestamp) => {
    largest = Math.max(largest, timestamp);
    return false;
  });
  return largest;
}

/** The batch's first record in the range whose timestamp fits. Makes no object for any other record. */
function findRecord(
  { buffer, at, sizeBytes }: ScannedBatch,
  range: OffsetRange,
  fits: (timestamp: number) => boolean,
): FoundRecord | undefined {
  const bytes = buffer.subarray(at, at + sizeBytes);
  const header = readBatchHeader(bytes);
  const cursor: RecordCursor = openRecords(bytes, header, {});
  for (let count = 0; count < header.recordCount; count++) {
    cursor.next();
    const offset = header.baseOffset + cursor.offsetDelta;
    if (offset >= range.end) return undefined;
    const timestamp = header.isLogAppendTime
      ? header.maxTimestamp
      : header.baseTimestamp + cursor.timestampDelta;
    if (offset >= range.start && fits(timestamp))
      return { offset, timestamp, leaderEpoch: header.partitionLeaderEpoch };
  }
  return undefined;
}

function baseOffsetOf(batch: ScannedBatch): number {
  return batchField.baseOffset(batch.buffer, batch.at);
}

function lastOffsetOf(batch: ScannedBatch): number {
  return batchField.lastOffset(batch.buffer, batch.at);
}

function maxTimestampOf(batch: ScannedBatch): number {
  return recordTimestampMax(batch.buffer, batch.at);
}
