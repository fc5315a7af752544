/**
 * Where a bounded read of a topic starts and ends: positions in words, offsets or times are resolved to offsets of each
 * partition, once, before anything is read. Used by the replay engine and by everything that reads a bounded range.
 *
 * A time is resolved through the partition's time index: reading starts at the first record at or after it and ends
 * before the first record at or after it. Where timestamps go up and down within a partition, records that came late can
 * lie behind that end; `ReplayOptions.outOfOrder` reads on for them.
 */
import type { OffsetQuery, OffsetResult, TopicDescription } from '../admin/admin-types.ts';
import type { CallOptions } from '../options.ts';
import { ReplayError } from './replay-error.ts';

/** A place in every partition of a topic. A plain number is an offset. */
export type ReplayPosition =
  | 'start'
  | 'end'
  | number
  /** So many records before the end of each partition. */
  | { readonly beforeEnd: number }
  /** The first record at or after this time, in milliseconds since the Unix epoch. */
  | { readonly timestamp: number };

export interface PartitionRange {
  readonly partition: number;
  /** The first offset to read. */
  readonly start: number;
  /** Reading ends before this offset; never above the high watermark at the time of asking. */
  readonly end: number;
  /** What the partition held when it was asked. */
  readonly logStart: number;
  readonly highWatermark: number;
  /** Records that were asked for by offset and that retention had already removed. */
  readonly missing: number;
}

/** The part of the admin client that resolving needs. */
export interface RangeAdmin {
  describeTopics(names: readonly string[], options?: CallOptions): Promise<readonly TopicDescription[]>;
  listOffsets(queries: readonly OffsetQuery[], options?: CallOptions): Promise<readonly OffsetResult[]>;
}

export interface RangeRequest {
  readonly topic: string;
  /** All where absent. */
  readonly partitions?: readonly number[];
  readonly from: ReplayPosition;
  /** 'end' is the high watermark at the time of asking. */
  readonly until: ReplayPosition;
}

/** Finds the partitions' offsets; throws a ReplayError for a partition that the topic has not or a range that runs backwards. */
export async function resolveRange(
  admin: RangeAdmin,
  request: RangeRequest,
  options: CallOptions = {},
): Promise<PartitionRange[]> {
  const { topic } = request;
  const [description] = await admin.describeTopics([topic], options);
  const known = description?.partitions.map((partition) => partition.partition) ?? [];
  const partitions = [...new Set(request.partitions ?? known)].sort((a, b) => a - b);
  for (const partition of partitions) {
    if (!known.includes(partition)) {
      throw new ReplayError(
        'UNKNOWN_PARTITION',
        `Topic ${topic} has ${known.length} partitions and no partition ${partition}.`,
      );
    }
  }
  refuseBackwards(request);
  const offsetsAt = async (at: OffsetQuery['at']): Promise<Map<number, number>> => {
    const found = await admin.listOffsets(
      partitions.map((partition) => ({ topic, partition, at })),
      options,
    );
    return new Map(found.map((result) => [result.partition, result.offset]));
  };
  const [logStarts, highWatermarks] = await Promise.all([offsetsAt('earliest'), offsetsAt('latest')]);
  const starts = await atTime(request.from, offsetsAt);
  const ends = await atTime(request.until, offsetsAt);
  return partitions.map((partition) => {
    const logStart = logStarts.get(partition)!;
    const highWatermark = highWatermarks.get(partition)!;
    const bounds = { logStart, highWatermark };
    const wanted = place(request.from, bounds, starts?.get(partition));
    const start = clamp(wanted, logStart, highWatermark);
    const end = clamp(place(request.until, bounds, ends?.get(partition)), start, highWatermark);
    // Only an offset says how much is missing; a time before the log's start may or may not have had records.
    const missing = typeof request.from === 'number' ? Math.max(0, Math.min(logStart, end) - wanted) : 0;
    return { partition, start, end, logStart, highWatermark, missing };
  });
}

async function atTime(
  position: ReplayPosition,
  offsetsAt: (at: OffsetQuery['at']) => Promise<Map<number, number>>,
): Promise<Map<number, number> | undefined> {
  if (typeof position !== 'object' || !('timestamp' in position)) return undefined;
  return offsetsAt({ timestamp: position.timestamp });
}

function place(
  position: ReplayPosition,
  bounds: { logStart: number; highWatermark: number },
  atTime: number | undefined,
): number {
  if (position === 'start') return bounds.logStart;
  if (position === 'end') return bounds.highWatermark;
  if (typeof position === 'number') return position;
  if ('beforeEnd' in position) return bounds.highWatermark - position.beforeEnd;
  // -1: no record is that late.
  return atTime === undefined || atTime < 0 ? bounds.highWatermark : atTime;
}

function refuseBackwards({ from, until }: RangeRequest): void {
  const offsetsTurn = typeof from === 'number' && typeof until === 'number' && until < from;
  const timesTurn =
    typeof from === 'object' &&
    typeof until === 'object' &&
    'timestamp' in from &&
    'timestamp' in until &&
    until.timestamp < from.timestamp;
  if (offsetsTurn || timesTurn || from === 'end' || until === 'start') {
    throw new ReplayError('EMPTY_RANGE', 'The range ends before it starts.');
  }
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
