/** What the admin client takes and gives. Lists keep the order of what was asked for where the broker answers one by one. */
import type { KafkaError } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';
import type { CallOptions } from '../options.ts';

export interface NewTopic {
  readonly name: string;
  /** The broker's default where absent. */
  readonly partitions?: number;
  /** The broker's default where absent. */
  readonly replicationFactor?: number;
  readonly configs?: Readonly<Record<string, string>>;
  /** Broker ids by partition; instead of `partitions` and `replicationFactor`. */
  readonly assignments?: readonly (readonly number[])[];
}

export interface CreatedTopic {
  readonly name: string;
  /** Kafka's text form of a UUID; all zero from brokers before 2.8. */
  readonly topicId: string;
  /** -1 where the broker does not say. */
  readonly partitions: number;
  readonly replicationFactor: number;
}

export interface TopicListing {
  readonly name: string;
  readonly topicId: string;
  readonly internal: boolean;
  readonly partitions: number;
}

export interface PartitionDescription {
  readonly partition: number;
  /** -1 while there is none. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
  readonly offlineReplicas: readonly number[];
}

export interface TopicDescription {
  readonly name: string;
  readonly topicId: string;
  readonly internal: boolean;
  /** In order of partition. */
  readonly partitions: readonly PartitionDescription[];
}

export interface ConfigResource {
  readonly type: 'topic' | 'broker' | 'group';
  /** A broker's is its id; empty for the cluster's default. */
  readonly name: string;
}

export type ConfigSource =
  | 'unknown'
  | 'topic'
  | 'dynamic-broker'
  | 'dynamic-default-broker'
  | 'static-broker'
  | 'default'
  | 'dynamic-broker-logger'
  | 'client-metrics'
  | 'group';

export interface ConfigEntry {
  readonly name: string;
  /** `null` where it is unset or secret. */
  readonly value: string | null;
  readonly source: ConfigSource;
  readonly readOnly: boolean;
  readonly sensitive: boolean;
}

export interface ConfigDescription extends ConfigResource {
  readonly entries: readonly ConfigEntry[];
}

export interface ConfigChange extends ConfigResource {
  readonly set?: Readonly<Record<string, string>>;
  /** Back to the default. */
  readonly remove?: readonly string[];
  /** Adds to, or takes from, values that are lists. */
  readonly append?: Readonly<Record<string, string>>;
  readonly subtract?: Readonly<Record<string, string>>;
}

export interface OffsetQuery extends TopicPartition {
  readonly at: 'earliest' | 'latest' | 'max-timestamp' | { readonly timestamp: number };
}

export interface OffsetResult extends TopicPartition {
  /** -1 where no record is at or after the time asked for, or the partition is empty (max-timestamp). */
  readonly offset: number;
  /** The found record's; -1 for the ends. */
  readonly timestamp: number;
  readonly leaderEpoch: number;
}

/** One data directory of a broker. */
export interface LogDirDescription {
  readonly broker: number;
  readonly path: string;
  /** Why it cannot be used; then nothing else is known of it. */
  readonly error: KafkaError | null;
  /** Of its file system; null from brokers before 3.3. */
  readonly totalBytes: number | null;
  readonly usableBytes: number | null;
  readonly partitions: readonly LogDirPartition[];
}

export interface LogDirPartition extends TopicPartition {
  readonly sizeBytes: number;
  /** How far a replica that is being moved here is behind, in records. */
  readonly offsetLag: number;
  /** Whether it is being moved here from another directory. */
  readonly isFuture: boolean;
}

/** In which of a broker's data directories the replica of a partition is to lie. */
export interface ReplicaLogDir extends TopicPartition {
  readonly broker: number;
  /** As `describeLogDirs` gives it. */
  readonly path: string;
}

export interface ReplicaLogDirResult extends ReplicaLogDir {
  readonly error: KafkaError | null;
}

export interface ClusterDescription {
  readonly clusterId: string;
  /** -1 where unknown. */
  readonly controllerId: number;
  readonly brokers: readonly BrokerDescription[];
}

export interface BrokerDescription {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
  /** The cluster does not hear of it, or it is not ready. Brokers before 4.1 leave such nodes out. */
  readonly fenced: boolean;
}

/** What the cluster's nodes have to agree on before they use it. */
export interface FeatureDescription {
  readonly name: string;
  /** What the broker that answered can serve. */
  readonly minVersion: number;
  readonly maxVersion: number;
  /** What the cluster has agreed on; null: it does not use it. */
  readonly level: number | null;
}

/** The group that keeps the cluster's metadata. */
export interface QuorumDescription {
  /** -1 while there is none. */
  readonly leader: number;
  readonly leaderEpoch: number;
  /** One past the last offset that is committed. */
  readonly highWatermark: number;
  /** Each list by id; the leader is a voter. */
  readonly voters: readonly QuorumMember[];
  readonly observers: readonly QuorumMember[];
}

export interface QuorumMember {
  readonly id: number;
  /** -1 where the leader does not know. */
  readonly logEndOffset: number;
  /** When the leader last heard of it, and when it last had all; -1 where that is not known. */
  readonly lastFetchTimestamp: number;
  readonly lastCaughtUpTimestamp: number;
}

export interface PartitionReassignment extends TopicPartition {
  /** Broker ids, the preferred leader first; null takes back what is under way. */
  readonly replicas: readonly number[] | null;
}

export interface ReassignOptions extends CallOptions {
  /** Whether a partition may get more or fewer replicas than it has. Default true; brokers before 4.0 always allow it. */
  readonly allowReplicationFactorChange?: boolean;
}

/** What became of one partition of a request; null: what was asked for. */
export interface PartitionResult extends TopicPartition {
  readonly error: KafkaError | null;
}

/** A partition whose replicas are on their way to other nodes. */
export interface OngoingReassignment extends TopicPartition {
  /** Those that are to be, the preferred leader first, and those that are to go. */
  readonly replicas: readonly number[];
  readonly adding: readonly number[];
  readonly removing: readonly number[];
}

export interface GroupListing {
  readonly groupId: string;
  /** 'consumer' for those of consumers; empty for groups that only hold offsets. */
  readonly protocolType: string;
  /** 'Stable', 'Empty', 'PreparingRebalance', 'CompletingRebalance', 'Dead'; empty from brokers before 2.6. */
  readonly state: string;
  /** 'classic', 'consumer', 'share'; empty from brokers before 3.8. */
  readonly type: string;
}

export interface GroupMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** What it reads. */
  readonly assignment: readonly TopicPartition[];
  /** Of a group of the consumer protocol; null in others. */
  readonly consumer: ConsumerGroupMember | null;
}

/** What the coordinator of a group of the consumer protocol (KIP-848) knows of a member. */
export interface ConsumerGroupMember {
  /** It has come to what the group is to have in this epoch. */
  readonly epoch: number;
  readonly rack: string | null;
  readonly topics: readonly string[];
  /** The pattern that it subscribes by. */
  readonly topicPattern: string | null;
  /** What it is to read once others have given it up. */
  readonly targetAssignment: readonly TopicPartition[];
  /** By which protocol it takes part, in a group that is being moved; null from brokers before 4.1. */
  readonly protocol: 'classic' | 'consumer' | null;
}

export interface GroupDescription {
  readonly groupId: string;
  readonly type: 'classic' | 'consumer';
  readonly state: string;
  readonly protocolType: string;
  /** The assignor that the group settled on. */
  readonly protocol: string;
  readonly coordinator: number;
  readonly members: readonly GroupMember[];
  /** Of a group of the consumer protocol: what it is to be, and what an assignment was made for. Null in others. */
  readonly epoch: number | null;
  readonly assignmentEpoch: number | null;
}

/** Which groups to list; all where absent. Names are those of the listing, in any case of letters. */
export interface GroupFilter {
  readonly states?: readonly string[];
  readonly types?: readonly string[];
}

/** A member, by its id or, where it is static, by its instance id. */
export type MemberIdentity = { readonly memberId: string } | { readonly groupInstanceId: string };

export interface MemberResult {
  readonly member: MemberIdentity;
  /** Null where it is out. */
  readonly error: KafkaError | null;
}

export interface GroupOffset extends TopicPartition {
  /** The next one to read; -1 where none is committed. */
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
}

export interface GroupOffsetInput extends TopicPartition {
  readonly offset: number;
  readonly metadata?: string;
}
