/**
 * Decides when a segment rolls and which ones retention takes, by Kafka's rules. Pure: the caller carries it out.
 *
 * A segment is past `retention.ms` by its largest timestamp, so one in the future keeps it and all after it; a segment without
 * timestamps counts from when it was closed. Only a beginning of the log goes, and nothing at or above `limitOffset`.
 */
import { crc32c } from '../../protocol/index.ts';
import type { DeletedSegments, LogConfig } from './log-types.ts';
import type { Segment } from './segments/segment.ts';
import { relativeOffsetMax } from './segments/segment.ts';

/** Index entries of the larger kind that one batch may add, twice. */
const indexRoomBytes = 24;

/** Whether this batch has to begin a segment. One that holds no offset does not roll: two would share a name. */
export function mustRoll(
  segment: Segment,
  batch: { readonly sizeBytes: number; readonly maxTimestamp: number; readonly lastOffset: number },
  config: LogConfig,
  nowMs: number,
): boolean {
  if (!segment.holdsOffsets) return false;
  if (segment.appendedBytes + batch.sizeBytes > config.segmentBytes) return true;
  if (batch.lastOffset - segment.baseOffset > relativeOffsetMax) return true;
  const indexBytes = Math.max(segment.offsetIndex.sizeBytes, segment.timeIndex.sizeBytes);
  if (indexBytes + indexRoomBytes > config.segmentIndexBytes) return true;
  const { firstTimestamp, createdMs } = segment.totals;
  // A batch without timestamps, Raft's own too, is as old as the clock says.
  const isTimed = firstTimestamp >= 0 && batch.maxTimestamp >= 0;
  const ageMs = isTimed ? batch.maxTimestamp - firstTimestamp : nowMs - createdMs;
  return ageMs > spanMs(segment, config);
}

/** Whether an idle segment is due, by the wall clock since it was begun. */
export function isDueToRoll(segment: Segment, config: LogConfig, nowMs: number): boolean {
  return segment.holdsOffsets && nowMs - segment.totals.createdMs > spanMs(segment, config);
}

/** `segment.ms`, or `max.compaction.lag.ms` where that is less, less the segment's share of `segment.jitter.ms`. */
function spanMs(segment: Segment, config: LogConfig): number {
  const { segmentMs, segmentJitterMs, compacts, maxCompactionLagMs } = config;
  const wholeMs = compacts && maxCompactionLagMs > 0 ? Math.min(maxCompactionLagMs, segmentMs) : segmentMs;
  const jitterMs = Math.min(segmentJitterMs, wholeMs);
  // Another share for each segment of each partition, and the same one after a restart.
  return jitterMs <= 0 ? wholeMs : wholeMs - (crc32c(Buffer.from(segment.path)) % jitterMs);
}

export interface RetentionView {
  /** Oldest first; the last is the active one. */
  readonly segments: readonly Segment[];
  readonly logStartOffset: number;
  readonly endOffset: number;
  /** The high watermark. */
  readonly limitOffset: number;
  /** Raft index after the last entry that the high watermark shows to be committed. */
  readonly limitIndex: number;
  readonly endIndex: number;
}

/** How many segments, from the first one on, are to go, and why. The active one may be among them: it has to be rolled first. */
export function pastRetention(view: RetentionView, config: LogConfig, nowMs: number): DeletedSegments[] {
  const { segments } = view;
  const found: DeletedSegments[] = [];
  let place = 0;
  const take = (reason: DeletedSegments['reason'], isPast: (segment: Segment, next?: Segment) => boolean) => {
    let count = 0;
    let bytes = 0;
    for (let segment = segments[place]; segment !== undefined; segment = segments[++place]) {
      const next = segments[place + 1];
      const end = next?.baseOffset ?? view.endOffset;
      const isEmptyLast = next === undefined && !segment.holdsOffsets;
      const isCommitted = end <= view.limitOffset && (next?.startIndex ?? view.endIndex) <= view.limitIndex;
      if (!isCommitted || isEmptyLast || !isPast(segment, next)) break;
      count++;
      bytes += segment.appendedBytes;
    }
    if (count > 0) found.push({ reason, segments: count, bytes });
  };
  take('log-start', (_, next) => next !== undefined && next.baseOffset <= view.logStartOffset);
  if (!config.deletes) return found;
  if (config.retentionBytes >= 0) {
    let excessBytes = -config.retentionBytes;
    for (const segment of segments.slice(place)) excessBytes += segment.appendedBytes;
    take('size', (segment) => {
      if (excessBytes < segment.appendedBytes) return false;
      excessBytes -= segment.appendedBytes;
      return true;
    });
  }
  if (config.retentionMs >= 0) {
    take('time', (segment, next) => nowMs - lastTimeMs(segment, next, nowMs) > config.retentionMs);
  }
  return found;
}

function lastTimeMs(segment: Segment, next: Segment | undefined, nowMs: number): number {
  if (segment.totals.maxTimestamp >= 0) return segment.totals.maxTimestamp;
  return next?.totals.createdMs ?? nowMs;
}
