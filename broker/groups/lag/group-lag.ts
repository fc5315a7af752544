/** How far a group is behind, as it is told: one partition, and all of a group's together. Pure. */
import { catchUpSeconds, trendOf } from './partition-progress.ts';
import type { PartitionProgress, Rates, Trend } from './partition-progress.ts';

/** What is known of a partition; figures are null where they are not known, and `unknownBecause` says why. */
export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  /** The next offset to read. */
  readonly committed: number;
  /** The first offset that the log still has. */
  readonly start: number | null;
  /** One past the last committed record. */
  readonly end: number | null;
  /** Records left to read. */
  readonly lagRecords: number | null;
  /** Records that went, by retention or deletion, before they were read. */
  readonly lostRecords: number | null;
  /** Since the first record that is left to read was written, by its timestamp; 0 where none is left. */
  readonly lagSeconds: number | null;
  /** Records a second. */
  readonly rates: Rates | null;
  readonly trend: Trend | null;
  /** Null also where it is never, at these rates: `trend` and `rates` tell. */
  readonly catchUpSeconds: number | null;
  readonly unknownBecause: string | null;
}

export interface GroupLag {
  readonly partitions: readonly PartitionLag[];
  /** Of all partitions, as far as they are known. */
  readonly lagRecords: number;
  readonly maxLagRecords: number;
  readonly lostRecords: number;
  /** Of the partition that is furthest behind in time; null where no time is known. */
  readonly maxLagSeconds: number | null;
  readonly trend: Trend | null;
  /** Until the last partition has caught up; null: never at these rates, or not known. */
  readonly catchUpSeconds: number | null;
  /** Partitions of which nothing is known at present. */
  readonly unknownPartitions: number;
}

export interface Reading {
  readonly topic: string;
  readonly partition: number;
  readonly committed: number;
  readonly progress: PartitionProgress;
  /** What the leader said; a sentence where there is no answer. */
  readonly found:
    | { readonly start: number; readonly end: number; readonly unreadTimestampMs: number | null }
    | string;
}

/** `wallMs`: now. */
export function partitionLag(
  { topic, partition, committed, progress, found }: Reading,
  wallMs: number,
): PartitionLag {
  const unknown = { start: null, end: null, lagRecords: null, lostRecords: null, lagSeconds: null };
  if (typeof found === 'string') {
    const nothing = { ...unknown, rates: null, trend: null, catchUpSeconds: null, unknownBecause: found };
    return { topic, partition, committed, ...nothing };
  }
  const { start, end, unreadTimestampMs } = found;
  const lagRecords = Math.max(0, end - Math.max(committed, start));
  const { rates, lags } = progress;
  return {
    topic,
    partition,
    committed,
    start,
    end,
    lagRecords,
    lostRecords: Math.max(0, Math.min(start, end) - committed),
    lagSeconds: lagRecords === 0 ? 0 : ageSeconds(unreadTimestampMs, wallMs),
    rates: rates ?? null,
    trend: lags === undefined ? null : trendOf(lags),
    catchUpSeconds: rates === undefined ? null : catchUpSeconds(lagRecords, rates),
    unknownBecause: null,
  };
}

/** A record of the future, by another clock, is no seconds old. One without a timestamp is of no known age. */
function ageSeconds(timestampMs: number | null, wallMs: number): number | null {
  return timestampMs === null ? null : Math.max(0, (wallMs - timestampMs) / 1000);
}

export function groupLag(
  partitions: readonly PartitionLag[],
  progresses: readonly PartitionProgress[],
): GroupLag {
  let [lagRecords, maxLagRecords, lostRecords, unknownPartitions] = [0, 0, 0, 0];
  let maxLagSeconds: number | null = null;
  let catchUp: number | null = 0;
  for (const lag of partitions) {
    if (lag.lagRecords === null) {
      unknownPartitions += 1;
      continue;
    }
    lagRecords += lag.lagRecords;
    maxLagRecords = Math.max(maxLagRecords, lag.lagRecords);
    lostRecords += lag.lostRecords ?? 0;
    if (lag.lagSeconds !== null) maxLagSeconds = Math.max(maxLagSeconds ?? 0, lag.lagSeconds);
    catchUp = catchUp === null || lag.catchUpSeconds === null ? null : Math.max(catchUp, lag.catchUpSeconds);
  }
  return {
    partitions,
    lagRecords,
    maxLagRecords,
    lostRecords,
    maxLagSeconds,
    trend: totalTrend(progresses),
    catchUpSeconds: unknownPartitions === partitions.length ? null : catchUp,
    unknownPartitions,
  };
}

function totalTrend(progresses: readonly PartitionProgress[]): Trend | null {
  let [before, now, known] = [0, 0, 0];
  for (const { lags } of progresses) {
    if (lags === undefined) continue;
    before += lags[0];
    now += lags[1];
    known += 1;
  }
  return known === 0 ? null : trendOf([before, now]);
}
