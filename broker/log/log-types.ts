/** The words that the commit log's parts and its callers share. Ends are exclusive: the next one to be written. */
import type { Clock } from '../../platform/clock.ts';
import type { Disk, DiskErrorCode } from '../../platform/disk.ts';
import type { DurableFloor } from './sync/durable-floors.ts';
import type { ReadPool } from './reading/read-pool.ts';
import type { Syncer } from './sync/syncer.ts';
import type { TailCache } from './reading/tail-cache.ts';

/** Kafka's topic settings of these names, live: read again at each use. */
export interface LogConfig {
  /** `segment.bytes`: a segment rolls rather than grow beyond it; in [14, 2^31). */
  readonly segmentBytes: number;
  /** `segment.ms`: the span of record timestamps (without timestamps: the age) at which a segment rolls. */
  readonly segmentMs: number;
  /** `segment.index.bytes`: an index that is full makes the segment roll. */
  readonly segmentIndexBytes: number;
  /** `index.interval.bytes`: log bytes between index entries. */
  readonly indexIntervalBytes: number;
  /** `segment.jitter.ms`: up to this much is taken off `segment.ms`, another amount for each segment. */
  readonly segmentJitterMs: number;
  /** `cleanup.policy` names delete; compact. Both may hold, or neither. */
  readonly deletes: boolean;
  readonly compacts: boolean;
  /** `retention.ms`, `retention.bytes`; -1: unlimited. */
  readonly retentionMs: number;
  readonly retentionBytes: number;
  /** `file.delete.delay.ms`: how long the files of a segment that was taken out stay, renamed. */
  readonly fileDeleteDelayMs: number;
  /** `delete.retention.ms`: how long cleaning keeps a tombstone. */
  readonly deleteRetentionMs: number;
  readonly minCompactionLagMs: number;
  readonly maxCompactionLagMs: number;
  /** `min.cleanable.dirty.ratio`, in [0, 1]. */
  readonly minCleanableDirtyRatio: number;
  /** `preallocate`: a new segment's file gets its full size at once. */
  readonly preallocate: boolean;
  /** `flush.messages`, `flush.ms`: a sync is asked for after so many records, or so long after the first of them. */
  readonly flushMessages: number;
  readonly flushMs: number;
  /** `write.caching`: what is written counts as if it were durable. */
  readonly writeCaching: boolean;
  readonly maxMessageBytes: number;
}

export interface LogOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** The partition's own directory; made where it is missing. */
  readonly directory: string;
  /** These three are shared by all logs of a node (the syncer: of a log directory). */
  readonly syncer: Syncer;
  readonly tailCache: TailCache;
  readonly readPool: ReadPool;
  readonly config: () => LogConfig;
  /** Where the log keeps its durable floor; without one, recovery cannot tell damage from a torn tail. */
  readonly floor?: DurableFloor;
  /** Files that the log needs no more could not be removed or renamed; the next opening does it. */
  readonly onUpkeepError?: (error: unknown) => void;
}

export interface Appended {
  readonly baseOffset: number;
  /** baseOffset - 1 for a Raft-only entry. */
  readonly lastOffset: number;
  readonly baseIndex: number;
  readonly endIndex: number;
  readonly logStartOffset: number;
}

export interface ReadRequest {
  /** In [log start, log end]. */
  readonly offset: number;
  /** Batches end at or below it. */
  readonly endOffset: number;
  readonly maxBytes: number;
  /** The first batch is returned whole even where it is larger than `maxBytes`. */
  readonly minOneBatch: boolean;
}

export interface LogRead {
  /** Whole batches, one after the other; not to be touched after `release`. */
  readonly parts: Buffer[];
  readonly sizeBytes: number;
  /** Gives the bytes back; to be called exactly once. */
  release(): void;
}

export interface FoundRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly leaderEpoch: number;
}

export interface SegmentInfo {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly sizeBytes: number;
  /** -1 without any. */
  readonly maxTimestamp: number;
}

/** Final for the log: it takes no appends until it has been opened again. */
export interface LogFailure {
  /** 'damage' is found at opening; the log can then be read up to the damage. */
  readonly kind: 'write' | 'sync' | 'roll' | 'damage';
  /** What the disk said; 'corrupt' of damage. */
  readonly code: DiskErrorCode | 'corrupt' | 'unknown';
  readonly directory: string;
  readonly cause: unknown;
}

/** Bytes below the durable floor that are not as they were written: set aside or left as they are, for repair. */
export interface LogDamage {
  readonly kind: 'corrupt';
  /** 'recovery': the log ends there, and takes no appends. 'scrub': reads of other places, and appends, go on. */
  readonly foundBy: 'recovery' | 'scrub';
  readonly file: string;
  readonly position: number;
  readonly reason: string;
  /** What is valid before it ends here... */
  readonly validEndIndex: number;
  readonly validEndOffset: number;
  /** ...and this much was once durable, the last of it of that term. */
  readonly floorTerm: number;
  readonly floorEndIndex: number;
}

/** Segments that retention, or a new log start, took out. */
export interface DeletedSegments {
  /** 'log-start': they were wholly below the log start. 'size': `retention.bytes`. 'time': `retention.ms`. */
  readonly reason: 'log-start' | 'size' | 'time';
  readonly segments: number;
  readonly bytes: number;
}

/** What a cleaned segment says of itself in its header: the places that it stands for, whatever batches are left of them. */
export interface CleanedSpan {
  readonly baseOffset: number;
  /** Raft index of the first entry at or after the segment's beginning. */
  readonly startIndex: number;
  /** Term of the entry before that; 0 for none. */
  readonly startTerm: number;
  /** Exclusive: base offset and start index of the segment that follows. */
  readonly endOffset: number;
  readonly endIndex: number;
}

export interface RecoveryReport {
  /** 'new': there was no log. 'clean': nothing had to be read. 'recovered': batches were checked. 'damaged': see `damage`. */
  readonly kind: 'new' | 'clean' | 'recovered' | 'damaged';
  readonly scannedBytes: number;
  /** Bytes after the last whole batch that were cut off, other than zeros. */
  readonly tornBytes: number;
  /** Preallocated or never written zeros that were cut off. */
  readonly zeroBytes: number;
  /** Why the bytes that were cut are no batch. */
  readonly tornReason: string | undefined;
  readonly damage: LogDamage | undefined;
}
