/** The words that the commit log's parts and its callers share. Ends are exclusive: the next one to be written. */
import type { Clock } from '../../platform/clock.ts';
import type { Disk } from '../../platform/disk.ts';
import type { DurableFloor } from './durable-floors.ts';
import type { ReadPool } from './read-pool.ts';
import type { Syncer } from './syncer.ts';
import type { TailCache } from './tail-cache.ts';

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
  readonly directory: string;
  readonly cause: unknown;
}

/** Bytes below the durable floor that are not as they were written: left as they are, for repair. */
export interface LogDamage {
  readonly kind: 'corrupt';
  readonly file: string;
  readonly position: number;
  readonly reason: string;
  /** What is valid ends here... */
  readonly validEndIndex: number;
  readonly validEndOffset: number;
  /** ...and this much was once durable. */
  readonly floorEndIndex: number;
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
