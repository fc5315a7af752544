/**
 * What is known of the cluster: brokers, topics with their ids, and who leads which partition in which epoch. Owned by
 * Cluster, which fills it; everything else reads. A leader epoch never goes back while the topic's id is the same.
 */
import type { MetadataResponse } from '../../protocol/index.ts';
import { ErrorCode } from '../../protocol/index.ts';
import type { BrokerAddress } from '../components.ts';

export interface NodeInfo extends BrokerAddress {
  readonly id: number;
  readonly rack: string | null;
}

export interface PartitionInfo {
  readonly index: number;
  /** -1 while there is none. */
  readonly leader: number;
  /** -1 from brokers that do not tell. */
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
  readonly offlineReplicas: readonly number[];
}

export interface TopicInfo {
  readonly name: string;
  /** `zeroTopicId` from brokers that have no topic ids. */
  readonly id: string;
  readonly isInternal: boolean;
  /** Kafka's error code: a topic that exists has 0, or 5 while a partition lacks a leader. */
  readonly errorCode: number;
  /** By index, dense. */
  readonly partitions: readonly PartitionInfo[];
}

export interface LeaderHint {
  readonly leaderId: number;
  readonly leaderEpoch: number;
}

export const zeroTopicId = 'AAAAAAAAAAAAAAAAAAAAAA';

export class MetadataCache {
  #nodes: ReadonlyMap<number, NodeInfo> = new Map();
  readonly #topics = new Map<string, TopicInfo>();
  /** Counts updates: who saw this number has seen this state. */
  revision = 0;
  clusterId: string | null = null;
  controllerId = -1;

  get nodes(): ReadonlyMap<number, NodeInfo> {
    return this.#nodes;
  }

  /** What the last answer said of the topic, errors included; undefined where it was never asked for. */
  topic(name: string): TopicInfo | undefined {
    return this.#topics.get(name);
  }

  topicNames(): string[] {
    return [...this.#topics.keys()];
  }

  partition(topic: string, partition: number): PartitionInfo | undefined {
    return this.#topics.get(topic)?.partitions[partition];
  }

  /** The broker to talk to about a partition; undefined while there is no leader or its address is not known. */
  leader(topic: string, partition: number): NodeInfo | undefined {
    const info = this.partition(topic, partition);
    return info === undefined ? undefined : this.#nodes.get(info.leader);
  }

  forget(topic: string): void {
    this.#topics.delete(topic);
  }

  /** Takes an answer in. Topics that it does not mention stay as they were. */
  update(response: MetadataResponse): void {
    this.revision++;
    this.clusterId = response.clusterId;
    this.controllerId = response.controllerId;
    this.#nodes = new Map(
      response.brokers.map(({ nodeId, host, port, rack }) => [nodeId, { id: nodeId, host, port, rack }]),
    );
    for (const topic of response.topics) {
      if (topic.name === null) continue;
      const known = this.#topics.get(topic.name);
      const before = known?.id === topic.topicId ? known.partitions : [];
      this.#topics.set(topic.name, {
        name: topic.name,
        id: topic.topicId,
        isInternal: topic.isInternal,
        errorCode: topic.errorCode,
        partitions: mergePartitions(topic.partitions, before),
      });
    }
  }

  /** Takes a leader in that a broker named when it refused a request (KIP-951); true where that was news. */
  applyHint(topic: string, partition: number, hint: LeaderHint, endpoints: readonly NodeInfo[]): boolean {
    const info = this.#topics.get(topic);
    const before = info?.partitions[partition];
    if (info === undefined || before === undefined) return false;
    if (hint.leaderId < 0 || hint.leaderEpoch <= before.leaderEpoch) return false;
    if (endpoints.length > 0) {
      this.#nodes = new Map([
        ...this.#nodes,
        ...endpoints.map((node): [number, NodeInfo] => [node.id, node]),
      ]);
    }
    const after = { ...before, leader: hint.leaderId, leaderEpoch: hint.leaderEpoch };
    this.#topics.set(topic, { ...info, partitions: info.partitions.with(partition, after) });
    this.revision++;
    return true;
  }
}

type PartitionAnswer = MetadataResponse['topics'][number]['partitions'][number];

function mergePartitions(
  answers: readonly PartitionAnswer[],
  before: readonly PartitionInfo[],
): PartitionInfo[] {
  const merged = answers
    .toSorted((a, b) => a.partitionIndex - b.partitionIndex)
    .map((answer): PartitionInfo => {
      const known = before[answer.partitionIndex];
      const isStale =
        known !== undefined && answer.leaderEpoch >= 0 && known.leaderEpoch > answer.leaderEpoch;
      if (isStale) return known;
      return {
        index: answer.partitionIndex,
        leader: answer.errorCode === ErrorCode.LEADER_NOT_AVAILABLE ? -1 : answer.leaderId,
        leaderEpoch: answer.leaderEpoch,
        replicas: answer.replicaNodes,
        inSyncReplicas: answer.isrNodes,
        offlineReplicas: answer.offlineReplicas,
      };
    });
  return merged;
}
