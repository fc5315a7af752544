/** The admin client: asks the cluster about itself and changes it. Owns a Cluster; every call may be repeated by it. */
import type { Components } from '../components.ts';
import { Cluster } from '../cluster/cluster.ts';
import type { CallOptions } from '../options.ts';
import type { TopicPartition } from '../messages.ts';
import { alterConfigs, describeConfigs } from './configs.ts';
import { deleteGroups, describeGroups, listGroups } from './groups.ts';
import { commitGroupOffsets, fetchGroupOffsets } from './group-offsets.ts';
import { describeLogDirs } from './log-dirs.ts';
import { listOffsets } from './offsets.ts';
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
  GroupDescription,
  GroupListing,
  GroupOffset,
  GroupOffsetInput,
  LogDirDescription,
  NewTopic,
  OffsetQuery,
  OffsetResult,
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
    options: CallOptions = {},
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

  async describeCluster(options: CallOptions = {}): Promise<ClusterDescription> {
    const response = await this.#cluster.fetchMetadata([], options);
    return {
      clusterId: response.clusterId ?? '',
      controllerId: response.controllerId,
      brokers: response.brokers
        .map(({ nodeId, host, port, rack }) => ({ id: nodeId, host, port, rack }))
        .sort((a, b) => a.id - b.id),
    };
  }

  /** The data directories of all brokers; with the partitions of some topics, or of all. */
  describeLogDirs(
    options: CallOptions & { readonly topics?: readonly string[] } = {},
  ): Promise<LogDirDescription[]> {
    return describeLogDirs(this.#cluster, options.topics, options);
  }

  /** The groups of all brokers, by id. */
  listGroups(options: CallOptions = {}): Promise<GroupListing[]> {
    return listGroups(this.#cluster, options);
  }

  /** A group that does not exist is described as 'Dead'. */
  describeGroups(groupIds: readonly string[], options: CallOptions = {}): Promise<GroupDescription[]> {
    return describeGroups(this.#cluster, groupIds, options);
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
