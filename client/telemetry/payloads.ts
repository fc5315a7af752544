/** What subscribers of the channels are told. Times are milliseconds. */
import type { KafkaError } from '../errors.ts';
import type { Message, ProducerRecord, RecordMetadata, TopicPartition } from '../messages.ts';

/** Of everything that takes time: set when it has failed, before `error` and `asyncEnd` are told. */
export interface Outcome {
  error?: unknown;
}

/** A connection is made: socket, versions and authentication. */
export interface ConnectionTrace extends Outcome {
  readonly clientId: string;
  /** As in error messages: 'broker 1 at 127.0.0.1:9092'. */
  readonly peer: string;
  readonly host: string;
  readonly port: number;
}

/** A request, until its answer is decoded. */
export interface RequestTrace extends Outcome {
  readonly clientId: string;
  readonly peer: string;
  /** Kafka's name, and number, of what is asked for. */
  readonly api: string;
  readonly apiKey: number;
  readonly apiVersion: number;
}

export interface MetadataTrace extends Outcome {
  readonly clientId: string;
  /** Topics that are asked for. */
  readonly topics: readonly string[];
}

/** One record, from when it is queued until its fate is known. */
export interface SendTrace extends Outcome {
  readonly clientId: string;
  /** A subscriber of `start` may put another one in its place, such as one with more headers: that one is sent. */
  record: ProducerRecord;
  /** Where it was stored; set before `asyncEnd` where it was. */
  metadata?: RecordMetadata;
}

/** One Fetch, from when it is asked for until its answer is taken in. */
export interface FetchTrace extends Outcome {
  readonly clientId: string;
  readonly groupId: string | undefined;
  readonly nodeId: number;
  /** How many are asked for. */
  readonly partitionCount: number;
}

/** A loop that has nothing in hand waits for messages. */
export interface ReceiveTrace extends Outcome {
  readonly clientId: string;
  readonly groupId: string | undefined;
  /** All of one partition; set before `asyncEnd`, empty where the loop is over. */
  messages: readonly Message[];
}

/** The application handles messages. */
export interface ProcessTrace extends Outcome {
  readonly clientId: string;
  readonly groupId: string | undefined;
  readonly messages: readonly Message[];
  /** A subscriber of `start` may set it: the handler then runs within, such as in a context of the subscriber's. */
  around?: <R>(handle: () => R) => R;
}

export interface CommitTrace extends Outcome {
  readonly clientId: string;
  readonly groupId: string;
  readonly offsets: readonly (TopicPartition & { readonly offset: number })[];
}

/** Partitions are taken in, given up or lost, the application's callback included. */
export interface RebalanceTrace extends Outcome {
  readonly clientId: string;
  readonly groupId: string | undefined;
  readonly kind: 'assigned' | 'revoked' | 'lost';
  readonly partitions: readonly TopicPartition[];
}

export interface ConnectionLost {
  readonly clientId: string;
  readonly peer: string;
  readonly error: KafkaError;
}

export interface HeartbeatFailed {
  readonly clientId: string;
  readonly groupId: string;
  readonly error: KafkaError;
  /** In a row, and since the last one that succeeded. */
  readonly failures: number;
  readonly failingForMs: number;
}

/** The process did nothing for a while, so that no heartbeat could leave. */
export interface EventLoopStalled {
  readonly clientId: string;
  readonly groupId: string | undefined;
  readonly blockedMs: number;
  /** A member that is silent for longer is put out of its group; undefined where there is none, or the broker decides. */
  readonly sessionTimeoutMs: number | undefined;
  readonly rebalanceTimeoutMs: number;
}

/**
 * Why nothing is read: the coordinator does not take the member's heartbeats; where to read is being looked up; a partition has no leader;
 * fetching fails; a broker does not answer; or it answers without records though there are some.
 */
export type StallReason =
  | 'heartbeat-failing'
  | 'no-position'
  | 'no-leader'
  | 'fetch-failing'
  | 'no-answer'
  | 'no-records';

export interface Stall {
  readonly clientId: string;
  readonly groupId: string | undefined;
  readonly reason: StallReason;
  /** For how long nothing has come, as far as is known when it is told. */
  readonly forMs: number;
  /** Those that have stalled; none where the consumer has none. */
  readonly partitions: readonly TopicPartition[];
  /** What went wrong last. */
  readonly error: KafkaError | undefined;
}
