/** Which part of a log may be cleaned, how much of it is dirty, and which segments become one. Whole segments only, as in Kafka. */
import { relativeOffsetMax } from '../segments/segment.ts';
import type { Segment } from '../segments/segment.ts';
import type { CleanableLog, CleanerLimits } from './cleanable-log.ts';

export interface CleanableRange {
  /** From the log's first on, as far as may be cleaned. */
  readonly segments: readonly Segment[];
  /** What lies below it has been cleaned. */
  readonly startOffset: number;
  /** Exclusive: end of the last of the segments, or the start where there is nothing to clean. */
  readonly endOffset: number;
  /** Of segments that have been cleaned to their ends... */
  readonly cleanBytes: number;
  /** ...and of the others. */
  readonly dirtyBytes: number;
  /** The dirty share of both, in [0, 1]. */
  readonly dirtyRatio: number;
}

/**
 * Never the active segment, nor one that reaches beyond `limits`; of those not cleaned yet, none from the first on that holds
 * a timestamp younger than `min.compaction.lag.ms`.
 */
export function cleanableRange(log: CleanableLog, limits: CleanerLimits, nowMs: number): CleanableRange {
  const startOffset = Math.min(log.logEndOffset, Math.max(log.cleanedEndOffset, log.logStartOffset));
  const { minCompactionLagMs } = log.config;
  const segments: Segment[] = [];
  let cleanBytes = 0;
  let dirtyBytes = 0;
  const full = log.fullSegments();
  for (const [place, segment] of full.entries()) {
    if (segment.endOffset > limits.endOffset) break;
    if (endsUncommitted(log, limits, segment, full[place + 1])) break;
    const isDirty = segment.endOffset > startOffset;
    if (isDirty && minCompactionLagMs > 0 && youngestMs(segment) > nowMs - minCompactionLagMs) break;
    segments.push(segment);
    if (isDirty) dirtyBytes += segment.appendedBytes;
    else cleanBytes += segment.appendedBytes;
  }
  return {
    segments,
    startOffset,
    endOffset: Math.max(startOffset, segments.at(-1)?.endOffset ?? 0),
    cleanBytes,
    dirtyBytes,
    dirtyRatio: dirtyBytes === 0 ? 0 : dirtyBytes / (cleanBytes + dirtyBytes),
  };
}

/** Entries of Raft's at its end may not be committed, though the records before them are: Raft may have to cut them off. */
function endsUncommitted(
  log: CleanableLog,
  { endIndex }: CleanerLimits,
  { endOffset }: Segment,
  next: Segment | undefined,
): boolean {
  if (endIndex === undefined) return false;
  const isKnown = next !== undefined && next.startIndex >= 0;
  return (isKnown ? next.startIndex : log.indexOfOffset(endOffset)) > endIndex;
}

/** Without timestamps, when it began: so little is known of it. */
function youngestMs({ totals }: Segment): number {
  return totals.maxTimestamp >= 0 ? totals.maxTimestamp : totals.createdMs;
}

export interface GroupLimits {
  readonly segmentBytes: number;
  readonly segmentIndexBytes: number;
  readonly indexIntervalBytes: number;
}

const offsetEntryBytes = 8;
const timeEntryBytes = 12;
const batchBytesMin = 61;

/**
 * Neighbours that fit into one segment by what they take now: cleaning may have left little of each. Index bytes are what
 * the new segment's indexes can take at most.
 */
export function groupSegments(segments: readonly Segment[], limits: GroupLimits): Segment[][] {
  const groups: Segment[][] = [];
  const bytesPerEntry = Math.max(batchBytesMin, limits.indexIntervalBytes);
  let group: Segment[] = [];
  let sizeBytes = 0;
  for (const segment of segments) {
    const grownBytes = sizeBytes + segment.appendedBytes;
    const entries = Math.ceil(grownBytes / bytesPerEntry) + 1;
    const fits =
      group.length > 0 &&
      grownBytes <= limits.segmentBytes &&
      entries * Math.max(offsetEntryBytes, timeEntryBytes) <= limits.segmentIndexBytes &&
      segment.endOffset - 1 - group[0]!.baseOffset <= relativeOffsetMax;
    if (fits) {
      group.push(segment);
      sizeBytes = grownBytes;
      continue;
    }
    group = [segment];
    groups.push(group);
    sizeBytes = segment.appendedBytes;
  }
  return groups;
}
