/** The options of the client's three products, with units and defaults. */
import type { Platform } from '../platform/platform.ts';
import type { TlsOptions } from '../platform/network.ts';
import type { CompressionCodec } from '../protocol/index.ts';
import type { TopicPartition } from './messages.ts';
import type { SaslOptions } from './sasl/sasl-options.ts';
import type { Logger } from './telemetry/logger.ts';
import type { Stall } from './telemetry/payloads.ts';

/** Every call takes one of these: an abort rejects it with code 'ABORTED'. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface RetryOptions {
  /** First pause after a failure, doubled with each further one, with a jitter of a fifth. Default 100. */
  readonly backoffMs?: number;
  /** Longest pause. Default 1,000. */
  readonly backoffMaxMs?: number;
  /** How long one call goes on trying before it gives up. Default 60,000. */
  readonly timeoutMs?: number;
}

export interface KappalogOptions {
  /** `host:port` of some brokers of the cluster, as a list or separated by commas; the others are found through them. The port is 9092 where absent. */
  readonly brokers: string | readonly string[];
  /** Shown in the broker's logs and used by quotas. Default 'kappalog'. */
  readonly clientId?: string;
  /**
   * The rack (zone) that the client is in: consumers and replays then read from in-sync replicas there, where the cluster has
   * `replica.selector.class` set for that (KIP-392), and from leaders otherwise. Default: from leaders.
   */
  readonly rack?: string;
  /** Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** How long one request may wait for its answer. Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** Metadata older than this is asked for again. Default 300,000. */
  readonly metadataMaxAgeMs?: number;
  readonly retry?: RetryOptions;
  readonly tls?: TlsOptions;
  /** Who the client is, for listeners that ask. Passwords go with PLAIN as they are: use it with `tls`. */
  readonly sasl?: SaslOptions;
  /** Such as pino's: told of what the client gets over by itself, such as lost connections, repeated requests, rebalances and stalls. Default: none. */
  readonly logger?: Logger;
  /** Clock, network and randomness; the real ones where absent. */
  readonly platform?: Platform;
}

export interface ProducerOptions {
  /** 'all': every in-sync replica has the record; 1: its leader has; 0: no answer is asked for. Default 'all'. */
  readonly acks?: 'all' | 1 | 0;
  /** Retries never duplicate nor reorder. Needs `acks: 'all'`. Default true with `acks: 'all'`, otherwise false. */
  readonly idempotent?: boolean;
  /** Default 'none'. */
  readonly compression?: CompressionCodec;
  /** In the codec's own scale: gzip 1 to 9, lz4 1 to 17, zstd -131072 to 22. */
  readonly compressionLevel?: number;
  /** How long a record may wait for others to share its batch. Default 5. */
  readonly lingerMs?: number;
  /** A batch is sent when it holds this much, before compression. Default 1,000,000. */
  readonly batchBytes?: number;
  /** Records not yet acknowledged may take this much; above it, `ready()` and `send()` wait. Default 32 MiB. */
  readonly bufferBytes?: number;
  /** Unanswered requests per broker, 1 to 5 where idempotent. Default 5. */
  readonly maxInFlight?: number;
  /** From adding a record to knowing its fate, all retries included. Default 120,000. */
  readonly deliveryTimeoutMs?: number;
  /** How long a broker may take to answer. Default that of the client. */
  readonly requestTimeoutMs?: number;
  /** Whether sending to a topic that does not exist may make it, if the broker allows that. Default true. */
  readonly autoCreateTopics?: boolean;
}

/** How `consumer.eachBatch` hands batches to its handler. */
export interface EachBatchOptions extends CallOptions {
  /** What is handled at the same time, of different partitions. Default 16. */
  readonly concurrency?: number;
}

/** How `consumer.each` hands messages to its handler. */
export interface EachOptions extends EachBatchOptions {
  /**
   * What is handled one after another, in order of offset: all of a partition, or only what has the same key in it, which lets one partition use
   * all of the concurrency; messages without keys then have no order. Default 'partition'.
   */
  readonly order?: 'partition' | 'key';
}

export interface DrainOptions extends CallOptions {
  /** How long the application may take to finish with what it holds. Default 30,000. */
  readonly timeoutMs?: number;
}

/** A place in a partition: an offset, one of its ends, or the first record at or after a time. */
export type OffsetSpec = number | 'earliest' | 'latest' | { readonly timestamp: number };

export type StartPlace = 'earliest' | 'latest' | 'none';

export interface Assignment extends TopicPartition {
  /** Where reading starts. Default: the group's commit where there is a group, otherwise `from`. */
  readonly offset?: OffsetSpec;
  /** Reading ends before this offset. When all partitions have reached theirs, the iteration ends by itself. */
  readonly endOffset?: number;
}

export type AssignorName = 'range' | 'roundrobin' | 'sticky' | 'cooperative-sticky';

/**
 * What the application is told as its group changes. One callback runs at a time; what it returns is awaited. One that throws ends the
 * iteration, with CALLBACK_FAILED.
 */
export interface RebalanceListener {
  /** They are this consumer's now. Nothing of them is handed out before the callback is over: it may seek. */
  onAssigned?(partitions: readonly TopicPartition[]): void | Promise<void>;
  /**
   * They go to other members when the callback is over, also when the consumer closes. The loop has finished with what it held of them, and
   * with `autoCommit` that is committed; `commit` may still be called for them. All that has four fifths of `rebalanceTimeoutMs`.
   */
  onRevoked?(partitions: readonly TopicPartition[]): void | Promise<void>;
  /** They are gone already, and nothing of them can be committed any more: the group has put this member out. */
  onLost?(partitions: readonly TopicPartition[]): void | Promise<void>;
}

export interface ConsumerOptions {
  /** Needed with `topics`; with `assign` it only names where offsets are committed. */
  readonly groupId?: string;
  /** Static membership: a restart under the same name within the session timeout causes no rebalance. */
  readonly groupInstanceId?: string;
  /** Subscribes: the group shares the partitions of these topics among its members. */
  readonly topics?: readonly string[];
  /**
   * Subscribes to all topics whose whole name matches, also to those that are made later. With the protocol 'consumer' the broker matches, in the
   * syntax of RE2; with 'classic' the client does, as a JavaScript RegExp, and leaves out internal topics. A leading `(?i)` ignores case in both.
   */
  readonly topicPattern?: string | RegExp;
  /**
   * 'classic': one of the members shares the partitions out. 'consumer': the broker does (KIP-848), members that keep what they have read on
   * meanwhile; needs Kappalog or Apache Kafka from 4.0 on. Default 'classic'.
   */
  readonly groupProtocol?: 'classic' | 'consumer';
  /** With 'consumer', how the broker shares out: 'uniform', 'range', or another that it has. Default: the broker's first. */
  readonly groupRemoteAssignor?: string;
  readonly rebalance?: RebalanceListener;
  /** Reads exactly these partitions. */
  readonly assign?: readonly Assignment[];
  /**
   * Where to start without a commit, and after an offset went out of range; 'none' throws instead. A function is asked for each topic. Default
   * 'earliest'.
   */
  readonly from?: StartPlace | ((topic: string) => StartPlace);
  /** Commits what the loop has finished with, in the background and on close. Default true where there is a group. */
  readonly autoCommit?: boolean;
  /** Default 5,000. */
  readonly autoCommitIntervalMs?: number;
  /** Default 'read_committed': records of aborted transactions are never seen, those of open ones not yet. */
  readonly isolation?: 'read_uncommitted' | 'read_committed';
  /** How long a broker may hold back an answer for `minBytes`. Default 500. */
  readonly maxWaitMs?: number;
  /** Default 1. */
  readonly minBytes?: number;
  /** The most that one answer of a broker may hold; a single larger batch still comes. Default 50 MiB. */
  readonly maxBytes?: number;
  /** The same for one partition. Default 1 MiB. */
  readonly partitionMaxBytes?: number;
  /** Fetched and not yet handed out, over all partitions; fetching pauses above it. Default 16 MiB. */
  readonly prefetchBytes?: number;
  /** A member that is silent for this long leaves the group. With 'consumer' the broker decides. Default 45,000. */
  readonly sessionTimeoutMs?: number;
  /** How long members have to finish and join again when the group changes. Default 60,000. */
  readonly rebalanceTimeoutMs?: number;
  /** With 'consumer' the broker decides. Default 3,000. */
  readonly heartbeatIntervalMs?: number;
  /**
   * A stall: for this long nothing was read, though there is more, or fetching fails, or the group cannot be reached. It is told once; the
   * consumer goes on trying all the while. Default 30,000.
   */
  readonly stalledAfterMs?: number;
  /** Nothing comes any more, and why. What it throws ends the iteration, with CALLBACK_FAILED. */
  readonly onStalled?: (stall: Stall) => void;
  /** After a stall, with what that was: all is well again. */
  readonly onRecovered?: (stall: Stall) => void;
  /** With 'classic', in order of preference; all members must share one. Default ['range', 'roundrobin']. */
  readonly assignors?: readonly AssignorName[];
}
