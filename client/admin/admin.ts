/** The admin client: asks the cluster about itself and changes it. Owns a Cluster; every call may be repeated by it. */
import type { Components } from '../components.ts';
import { Cluster } from '../cluster/cluster.ts';
import type { CallOptions } from '../options.ts';
import type { TopicPartition } from '../messages.ts';
import { alterConfigs, describeConfigs, type DescribeConfigsOptions } from './configs.ts';
import { deleteGroups, describeGroups, listGroups, removeGroupMembers } from './groups.ts';
import type { RemoveMembersOptions } from './groups.ts';
import { commitGroupOffsets, deleteGroupOffsets, fetchGroupOffsets } from './group-offsets.ts';
import { recordTimes } from './record-times.ts';
import type { RecordPosition } from './record-times.ts';
import { alterReplicaLogDirs, describeLogDirs, type LogDirOptions } from './log-dirs.ts';
import { describeCluster, describeFeatures, unregisterBroker } from './nodes.ts';
import { listOffsets } from './offsets.ts';
import { describeQuorum } from './quorum.ts';
import { alterPartitionReassignments, electLeaders, listPartitionReassignments } from './reassignments.ts';
import {
  createPartitions,
  createTopics,
  deleteRecords,
  deleteTopics,
  describeTopics,
  listTopics,
} from './topics.ts';
import type {
  ClusterDescription,
  ConfigChange,
  ConfigDescription,
  ConfigResource,
  CreatedTopic,
  FeatureDescription,
  GroupDescription,
  GroupFilter,
  GroupListing,
  GroupOffset,
  GroupOffsetInput,
  MemberIdentity,
  MemberResult,
  LogDirDescription,
  ReplicaLogDir,
  ReplicaLogDirResult,
  NewTopic,
  OffsetQuery,
  OffsetResult,
  OngoingReassignment,
  PartitionResult,
  PartitionReassignment,
  QuorumDescription,
  ReassignOptions,
  TopicDescription,
  TopicListing,
} from './admin-types.ts';

export interface ChangeOptions extends CallOptions {
  /** Checks and answers as if, but changes nothing. */
  readonly validateOnly?: boolean;
}

export class Admin {
  readonly #cluster: Cluster;
  readonly #onClosed: () => void;

  /** Made by `Kappalog.admin`. */
  constructor(components: Components, onClosed: () => void) {
    this.#cluster = new Cluster(components, {
      owner: 'admin client',
      autoCreateTopics: false,
      missingTopicMs: 2_000,
    });
    this.#onClosed = onClosed;
  }

  /** Creates topics; rejects with the first one's error (such as TOPIC_ALREADY_EXISTS) when any failed: the others exist then. */
  createTopics(topics: readonly NewTopic[], options: ChangeOptions = {}): Promise<CreatedTopic[]> {
    return createTopics(this.#cluster, topics, options);
  }

  /** All topics, by name; internal ones (such as __consumer_offsets) only if asked for. */
  listTopics(options: CallOptions & { readonly internal?: boolean } = {}): Promise<TopicListing[]> {
    return listTopics(this.#cluster, options);
  }

  /** Rejects with UNKNOWN_TOPIC_OR_PARTITION where one does not exist. */
  describeTopics(names: readonly string[], options: CallOptions = {}): Promise<TopicDescription[]> {
    return describeTopics(this.#cluster, names, options);
  }

  deleteTopics(names: readonly string[], options: CallOptions = {}): Promise<void> {
    return deleteTopics(this.#cluster, names, options);
  }

  /** Raises a topic's number of partitions to `count`. Keys then go to other partitions than before. */
  createPartitions(
    change: { readonly topic: string; readonly count: number },
    options: ChangeOptions = {},
  ): Promise<void> {
    return createPartitions(this.#cluster, change, options);
  }

  /** Deletes all records before an offset (-1: up to the end); resolves with the partitions' new starts. */
  deleteRecords(
    before: readonly (TopicPartition & { readonly offset: number })[],
    options: CallOptions = {},
  ): Promise<(TopicPartition & { startOffset: number })[]> {
    return deleteRecords(this.#cluster, before, options);
  }

  describeConfigs(
    resources: readonly ConfigResource[],
    options: DescribeConfigsOptions = {},
  ): Promise<ConfigDescription[]> {
    return describeConfigs(this.#cluster, resources, options);
  }

  /** Changes single settings; those that are not named stay. */
  alterConfigs(changes: readonly ConfigChange[], options: ChangeOptions = {}): Promise<void> {
    return alterConfigs(this.#cluster, changes, options);
  }

  /** Offsets at the ends or at times, in the order asked for. */
  listOffsets(queries: readonly OffsetQuery[], options: CallOptions = {}): Promise<OffsetResult[]> {
    return listOffsets(this.#cluster, queries, { ...options, isReadCommitted: false });
  }

  /** Its nodes, fenced ones too where the broker tells of them, and who is the controller. */
  describeCluster(options: CallOptions = {}): Promise<ClusterDescription> {
    return describeCluster(this.#cluster, options);
  }

  /** What the nodes can serve and have agreed on, by name. */
  describeFeatures(options: CallOptions = {}): Promise<FeatureDescription[]> {
    return describeFeatures(this.#cluster, options);
  }

  /** Who votes on the metadata, who leads that, and how far each is. */
  describeQuorum(options: CallOptions = {}): Promise<QuorumDescription> {
    return describeQuorum(this.#cluster, options);
  }

  /** Takes a broker out for good. Kappalog refuses one that is alive and holds replicas (INVALID_REQUEST). */
  unregisterBroker(brokerId: number, options: CallOptions = {}): Promise<void> {
    return unregisterBroker(this.#cluster, brokerId, options);
  }

  /**
   * Gives partitions other replicas, or takes that back; one outcome for each, in order. It has begun then: what is under way
   * is told by `listPartitionReassignments`.
   */
  alterPartitionReassignments(
    reassignments: readonly PartitionReassignment[],
    options: ReassignOptions = {},
  ): Promise<PartitionResult[]> {
    return alterPartitionReassignments(this.#cluster, reassignments, options);
  }

  /** Those under way, by topic and partition. */
  listPartitionReassignments(options: CallOptions = {}): Promise<OngoingReassignment[]> {
    return listPartitionReassignments(this.#cluster, options);
  }

  /**
   * Hands partitions to their preferred leaders; resolves when they have taken over or did not (that is an outcome, too).
   * Without partitions all are meant, and only those are told that changed or could not.
   */
  electLeaders(
    partitions?: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<PartitionResult[]> {
    return electLeaders(this.#cluster, partitions, options);
  }

  /** The data directories of all brokers, or of some; with the partitions of some topics, or of all. */
  describeLogDirs(options: LogDirOptions = {}): Promise<LogDirDescription[]> {
    return describeLogDirs(this.#cluster, options);
  }

  /**
   * Moves replicas to other data directories of the brokers that they lie on. Each outcome says whether the broker has taken it up; it goes
   * on there by itself, and `describeLogDirs` shows it. Asking for another directory, or the old one, calls it off.
   */
  alterReplicaLogDirs(
    moves: readonly ReplicaLogDir[],
    options: CallOptions = {},
  ): Promise<ReplicaLogDirResult[]> {
    return alterReplicaLogDirs(this.#cluster, moves, options);
  }

  /** The groups of all brokers, by id. */
  listGroups(options: CallOptions & GroupFilter = {}): Promise<GroupListing[]> {
    return listGroups(this.#cluster, options);
  }

  /** A group that does not exist is described as 'Dead'. */
  describeGroups(groupIds: readonly string[], options: CallOptions = {}): Promise<GroupDescription[]> {
    return describeGroups(this.#cluster, groupIds, options);
  }

  /** As if they had left; one that is alive joins again. Needs Kafka from 2.4 on. */
  removeGroupMembers(
    groupId: string,
    members: readonly MemberIdentity[],
    options: RemoveMembersOptions = {},
  ): Promise<MemberResult[]> {
    return removeGroupMembers(this.#cluster, groupId, members, options);
  }

  /** Of a group with members only those that none of them reads; the others come back with GROUP_SUBSCRIBED_TO_TOPIC. */
  deleteGroupOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
    options: CallOptions = {},
  ): Promise<PartitionResult[]> {
    return deleteGroupOffsets(this.#cluster, groupId, partitions, options);
  }

  /** When the first record at or after each offset was written, in the order of `positions`. */
  recordTimes(positions: readonly RecordPosition[], options: CallOptions = {}): Promise<(number | null)[]> {
    return recordTimes(this.#cluster, positions, options);
  }

  /** Rejects with NON_EMPTY_GROUP while a group has members. */
  deleteGroups(groupIds: readonly string[], options: CallOptions = {}): Promise<void> {
    return deleteGroups(this.#cluster, groupIds, options);
  }

  /** A group's commits: all of them, or those of the given topics (partitions without one are left out). */
  fetchGroupOffsets(
    groupId: string,
    topics?: readonly string[],
    options: CallOptions = {},
  ): Promise<GroupOffset[]> {
    return fetchGroupOffsets(this.#cluster, groupId, { topics, ...options });
  }

  /** Sets commits from outside; the broker refuses while the group has members (UNKNOWN_MEMBER_ID). */
  commitGroupOffsets(
    groupId: string,
    offsets: readonly GroupOffsetInput[],
    options: CallOptions = {},
  ): Promise<void> {
    return commitGroupOffsets(this.#cluster, groupId, offsets, options);
  }

  /** Ends all connections; calls under way reject with CLOSED. */
  close(): Promise<void> {
    this.#cluster.close();
    this.#onClosed();
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
