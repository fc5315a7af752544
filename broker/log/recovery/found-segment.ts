/** The books of a segment that an opening finds, filled from what is known of it. */
import type { KnownSegment } from './replica-state-file.ts';
import type { Segment } from '../segments/segment.ts';

/** A full segment as the state has it. */
export function takeFull(segment: Segment, known: KnownSegment, endOffset: number): void {
  setSize(segment, known.sizeBytes);
  segment.endOffset = endOffset;
  segment.startIndex = known.startIndex;
  Object.assign(segment.totals, known.totals);
  segment.isCleaned = known.isCleaned;
  segment.offsetIndexFileBytes = known.offsetIndexBytes;
  segment.timeIndexFileBytes = known.timeIndexBytes;
  segment.indexCrc = known.indexCrc;
  segment.isFull = true;
  segment.unloadIndexes();
}

/** All of it is written and durable, as far as the file goes. */
export function setSize(segment: Segment, sizeBytes: number): void {
  segment.appendedBytes = sizeBytes;
  segment.writtenBytes = sizeBytes;
  segment.flushedBytes = sizeBytes;
}
