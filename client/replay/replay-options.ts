/** What a replay is told and what it tells back. */
import type { Message, MessageInput } from '../messages.ts';
import type { ProducerOptions } from '../options.ts';
import type { PartitionRange, ReplayPosition } from './range.ts';
import type { ReplayError } from './replay-error.ts';

export interface ReplayOptions {
  /** The topic to read. Its live consumer groups are not touched. */
  readonly topic: string;
  /**
   * Names the replay: its progress is kept under this name, and a replay of the same name goes on where that one
   * stopped. 1 to 200 characters of a-z, A-Z, 0-9, dot, underscore and hyphen. A fresh name where absent.
   */
  readonly id?: string;
  /** All where absent. */
  readonly partitions?: readonly number[];
  /** Default 'start'. */
  readonly from?: ReplayPosition;
  /** The first position that is left out. Default 'end': the high watermark when the replay is first planned. */
  readonly until?: ReplayPosition;
  /**
   * With times as bounds: read on to the high watermark for records whose timestamps are within the bounds but which
   * were written behind later ones. Default false.
   */
  readonly outOfOrder?: boolean;
  /** Records for which it returns false are left out. */
  readonly filter?: (message: Message) => boolean | Promise<boolean>;
  /** Makes the record that is written; `null` leaves the record out. Default: the record as it is. */
  readonly transform?: (message: Message) => ReplayRecord | null | Promise<ReplayRecord | null>;
  readonly pace?: ReplayPace;
  /** Where records go; without one, `run` hands them to a handler. */
  readonly destination?: ReplayDestination;
  /** What happens when filter, transform or handler throws: the replay stops before that record (default), or leaves it out. */
  readonly onError?: 'stop' | 'skip';
  /** Told of each record that was left out with `onError: 'skip'`. */
  readonly onSkip?: (error: ReplayError) => void;
  /** Progress is made durable this often. Default 1,000. */
  readonly checkpointIntervalMs?: number;
  /** Text that identifies what the replay does beyond its range; a replay of the same name with another text is refused. */
  readonly definition?: string;
}

/** A record to write; its partition is the destination's business (`ReplayDestination.partitioning`). */
export type ReplayRecord = Omit<MessageInput, 'partition'>;

/** All given limits hold at the same time; without any, records go as fast as they can. */
export interface ReplayPace {
  readonly recordsPerSecond?: number;
  /** Bytes of keys and values. */
  readonly bytesPerSecond?: number;
  /**
   * Original timing: 1 keeps the distances between timestamps, 10 is ten times as fast. Partitions are merged in order of
   * time.
   */
  readonly speed?: number;
}

export interface ReplayDestination {
  readonly topic: string;
  /** Makes the topic where it is missing, with the partitions, replicas and settings of the source. Default false. */
  readonly create?: boolean;
  /**
   * Which partition a record goes to: its own number ('source', the default where both topics have as many), or that of
   * its key's hash ('key', the default otherwise; records without a key then stay together by source partition).
   */
  readonly partitioning?: 'source' | 'key';
  /** Adds the headers of provenance.ts to each record. Default true. */
  readonly provenance?: boolean;
  readonly compression?: ProducerOptions['compression'];
  /** How long a record may take to be acknowledged, brokers that are away included. Default 120,000. */
  readonly deliveryTimeoutMs?: number;
}

/** Takes the records of a replay without a destination topic. */
export interface ReplaySink {
  /** Called in order within a partition; the next call waits for its promise. */
  handle(message: Message): void | Promise<void>;
  /** Resolves when all that was handled is safe; called before progress is made durable. */
  flush?(): Promise<void>;
}

export interface ReplayPlan {
  readonly id: string;
  readonly topic: string;
  readonly from: ReplayPosition;
  readonly until: ReplayPosition;
  readonly partitions: readonly PlannedPartition[];
  /** Offsets in the whole range: an upper bound of its records where the topic is compacted or transactional. */
  readonly records: number;
  /** Of these, those that an earlier run has not finished. */
  readonly recordsRemaining: number;
  /** An earlier run of this name left progress behind. */
  readonly resumed: boolean;
  readonly destination: PlannedDestination | undefined;
  /** What to know before starting, in sentences: records that are gone, retention that will bite. */
  readonly warnings: readonly string[];
}

export interface PlannedPartition extends PartitionRange {
  /** Where reading goes on: `start`, or further after an earlier run. */
  readonly position: number;
}

export interface PlannedDestination {
  readonly topic: string;
  readonly partitions: number;
  /** It does not exist yet; `run` makes it. */
  readonly toBeCreated: boolean;
  /** Replicas of each partition. */
  readonly replicationFactor: number;
  readonly partitioning: 'source' | 'key';
}

export interface ReplayCounts {
  readonly read: number;
  /** Handed to the handler, or acknowledged by the destination. */
  readonly written: number;
  /** Left out by the filter, by a transform that returned null, or by their timestamp. */
  readonly filtered: number;
  /** Left out because filter, transform or handler threw (`onError: 'skip'`). */
  readonly skipped: number;
}

export interface ReplayProgress {
  readonly id: string;
  readonly state: 'planning' | 'running' | 'done' | 'interrupted' | 'failed';
  /** Over all runs of this name. */
  readonly counts: ReplayCounts;
  readonly records: number;
  readonly recordsRemaining: number;
  /** Bytes of keys and values read in this run. */
  readonly bytesRead: number;
  readonly elapsedMs: number;
  /** Records read per second in this run. */
  readonly recordsPerSecond: number;
  /** From the rate so far; undefined before there is one. */
  readonly remainingMs: number | undefined;
  /** The timestamp of the record read last; -1 before the first. */
  readonly timestamp: number;
  readonly positions: readonly {
    readonly partition: number;
    readonly position: number;
    readonly end: number;
  }[];
}

export interface ReplayResult extends ReplayProgress {
  readonly state: 'done' | 'interrupted';
}
