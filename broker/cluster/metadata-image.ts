/**
 * The cluster's metadata as the log has it: topics, partitions, settings, nodes, features, the next producer id.
 *
 * Deterministic: the same records in the same order make the same image on every node. `apply` is the only way to change
 * it, and only for records that are committed. Lookups by name and id are one map access, as every request makes them.
 * What a partition's replicas are is here (intent); who leads it now and since which term is the replicas' to say.
 */
import { assert } from '../../platform/assert.ts';
import type { MetadataRecord, RecordValue } from './metadata-record.ts';
import { registeredHost } from './metadata-record.ts';
import { collisionKey, isInternalTopic } from './topic-names.ts';

export interface PartitionImage {
  readonly index: number;
  /** Node ids; the first is the preferred leader. */
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  /** The log directory of each replica, in the order of `replicas`. */
  readonly directories: readonly string[];
}

export interface TopicImage {
  readonly name: string;
  readonly id: string;
  readonly isInternal: boolean;
  /** By index, without gaps. */
  readonly partitions: readonly PartitionImage[];
}

export interface EndpointImage {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly securityProtocol: number;
}

export interface BrokerImage {
  readonly id: number;
  readonly epoch: number;
  readonly incarnationId: string;
  readonly endpoints: readonly EndpointImage[];
  /** The user's zone, as clients see it. */
  readonly rack: string | null;
  /** The machine below the rack that fails as a whole. */
  readonly host: string | null;
  readonly fenced: boolean;
  readonly logDirectories: readonly string[];
}

/** Kafka's numbers for what settings can belong to. */
export const ConfigResourceType = {
  TOPIC: 2,
  BROKER: 4,
  BROKER_LOGGER: 8,
  CLIENT_METRICS: 16,
  GROUP: 32,
} as const;

/** What a record changed, for those who have to act on it. */
export type MetadataChange =
  | { readonly kind: 'topic-created'; readonly topic: TopicImage }
  | { readonly kind: 'topic-deleted'; readonly topic: TopicImage }
  | { readonly kind: 'partition-created'; readonly topic: TopicImage; readonly partition: number }
  | { readonly kind: 'config-changed'; readonly resourceType: number; readonly resourceName: string }
  | { readonly kind: 'other' };

interface MutableTopic extends TopicImage {
  readonly partitions: PartitionImage[];
}

const noSettings: ReadonlyMap<string, string> = new Map();
const other: MetadataChange = { kind: 'other' };

export class MetadataImage {
  readonly #topicsByName = new Map<string, MutableTopic>();
  readonly #topicsById = new Map<string, MutableTopic>();
  /** Names of the topics that share a collision key. Invariant: holds every topic. */
  readonly #namesByCollisionKey = new Map<string, Set<string>>();
  readonly #brokers = new Map<number, BrokerImage>();
  /** Settings by resource type and name; a resource without settings has no entry. */
  readonly #settings = new Map<string, Map<string, string>>();
  readonly #features = new Map<string, number>();
  /** Replicas of all topics on each node. Invariant: the sum over `partitions`, per node. */
  readonly #replicaCounts = new Map<number, number>();
  readonly #leaderCounts = new Map<number, number>();
  #nextProducerId = 0;
  #recordCount = 0;

  topic(name: string): TopicImage | undefined {
    return this.#topicsByName.get(name);
  }

  topicById(id: string): TopicImage | undefined {
    return this.#topicsById.get(id);
  }

  /** All topics, in the order in which they were created. */
  topics(): IterableIterator<TopicImage> {
    return this.#topicsByName.values();
  }

  get topicCount(): number {
    return this.#topicsByName.size;
  }

  /** A topic whose name differs from this one only in '.' and '_'. */
  collidingTopic(name: string): string | undefined {
    const names = this.#namesByCollisionKey.get(collisionKey(name)) ?? [];
    return [...names].find((existing) => existing !== name);
  }

  get brokers(): ReadonlyMap<number, BrokerImage> {
    return this.#brokers;
  }

  /** Settings of one resource, by name; empty where it has none. */
  settings(resourceType: number, resourceName: string): ReadonlyMap<string, string> {
    return this.#settings.get(resourceKey(resourceType, resourceName)) ?? noSettings;
  }

  get features(): ReadonlyMap<string, number> {
    return this.#features;
  }

  /** The lowest producer id that no node has been given. */
  get nextProducerId(): number {
    return this.#nextProducerId;
  }

  /** Records applied so far. */
  get recordCount(): number {
    return this.#recordCount;
  }

  replicaCount(nodeId: number): number {
    return this.#replicaCounts.get(nodeId) ?? 0;
  }

  /** Partitions whose preferred leader is this node. */
  leaderCount(nodeId: number): number {
    return this.#leaderCounts.get(nodeId) ?? 0;
  }

  /** Takes the next committed record. A record that does not fit the ones before it is a bug of whoever wrote it. */
  apply(record: MetadataRecord): MetadataChange {
    this.#recordCount++;
    switch (record.type) {
      case 'TopicRecord':
        return this.#addTopic(record.value);
      case 'PartitionRecord':
        return this.#addPartition(record.value);
      case 'PartitionChangeRecord':
        return this.#changePartition(record.value);
      case 'RemoveTopicRecord':
        return this.#removeTopic(record.value);
      case 'ConfigRecord':
        return this.#setConfig(record.value);
      case 'ProducerIdsRecord':
        assert(record.value.nextProducerId >= this.#nextProducerId, 'producer ids never go back');
        this.#nextProducerId = record.value.nextProducerId;
        return other;
      case 'RegisterBrokerRecord':
        this.#brokers.set(record.value.brokerId, brokerImage(record.value));
        return other;
      case 'UnregisterBrokerRecord':
        this.#brokers.delete(record.value.brokerId);
        return other;
      default:
        if (record.value.featureLevel === 0) this.#features.delete(record.value.name);
        else this.#features.set(record.value.name, record.value.featureLevel);
        return other;
    }
  }

  #addTopic({ name, topicId }: RecordValue<'TopicRecord'>): MetadataChange {
    assert(!this.#topicsByName.has(name) && !this.#topicsById.has(topicId), `topic ${name} is made once`);
    const topic: MutableTopic = { name, id: topicId, isInternal: isInternalTopic(name), partitions: [] };
    this.#topicsByName.set(name, topic);
    this.#topicsById.set(topicId, topic);
    const key = collisionKey(name);
    const names = this.#namesByCollisionKey.get(key) ?? new Set();
    this.#namesByCollisionKey.set(key, names.add(name));
    return { kind: 'topic-created', topic };
  }

  #addPartition(value: RecordValue<'PartitionRecord'>): MetadataChange {
    const topic = this.#existing(value.topicId);
    assert(value.partitionId === topic.partitions.length, `partitions of ${topic.name} come in order`);
    topic.partitions.push({
      index: value.partitionId,
      replicas: value.replicas,
      isr: value.isr,
      leader: value.leader,
      leaderEpoch: value.leaderEpoch,
      partitionEpoch: value.partitionEpoch,
      directories: value.directories,
    });
    this.#count(value.replicas, 1);
    return { kind: 'partition-created', topic, partition: value.partitionId };
  }

  #changePartition(value: RecordValue<'PartitionChangeRecord'>): MetadataChange {
    const topic = this.#existing(value.topicId);
    const before = topic.partitions[value.partitionId];
    assert(before !== undefined, `partition ${value.partitionId} of ${topic.name} exists`);
    const leaderChanges = value.leader !== leaderUnchanged;
    const after: PartitionImage = {
      index: before.index,
      replicas: value.replicas ?? before.replicas,
      isr: value.isr ?? before.isr,
      leader: leaderChanges ? value.leader : before.leader,
      leaderEpoch: before.leaderEpoch + (leaderChanges ? 1 : 0),
      partitionEpoch: before.partitionEpoch + 1,
      directories: value.directories ?? before.directories,
    };
    this.#count(before.replicas, -1);
    this.#count(after.replicas, 1);
    topic.partitions[value.partitionId] = after;
    return other;
  }

  #removeTopic({ topicId }: RecordValue<'RemoveTopicRecord'>): MetadataChange {
    const topic = this.#existing(topicId);
    for (const { replicas } of topic.partitions) this.#count(replicas, -1);
    this.#topicsByName.delete(topic.name);
    this.#topicsById.delete(topicId);
    const key = collisionKey(topic.name);
    const names = this.#namesByCollisionKey.get(key);
    names?.delete(topic.name);
    if (names?.size === 0) this.#namesByCollisionKey.delete(key);
    this.#settings.delete(resourceKey(ConfigResourceType.TOPIC, topic.name));
    return { kind: 'topic-deleted', topic };
  }

  #setConfig({ resourceType, resourceName, name, value }: RecordValue<'ConfigRecord'>): MetadataChange {
    const key = resourceKey(resourceType, resourceName);
    const settings = this.#settings.get(key) ?? new Map<string, string>();
    if (value === null) settings.delete(name);
    else settings.set(name, value);
    if (settings.size === 0) this.#settings.delete(key);
    else this.#settings.set(key, settings);
    return { kind: 'config-changed', resourceType, resourceName };
  }

  #existing(topicId: string): MutableTopic {
    const topic = this.#topicsById.get(topicId);
    assert(topic !== undefined, `topic ${topicId} exists`);
    return topic;
  }

  #count(replicas: readonly number[], by: 1 | -1): void {
    for (const nodeId of replicas) add(this.#replicaCounts, nodeId, by);
    const preferred = replicas[0];
    if (preferred !== undefined) add(this.#leaderCounts, preferred, by);
  }
}

/** In a PartitionChangeRecord: the leader stays as it is. */
const leaderUnchanged = -2;

function brokerImage(value: RecordValue<'RegisterBrokerRecord'>): BrokerImage {
  return {
    id: value.brokerId,
    epoch: value.brokerEpoch,
    incarnationId: value.incarnationId,
    endpoints: value.endPoints,
    rack: value.rack,
    host: registeredHost(value),
    fenced: value.fenced,
    logDirectories: value.logDirs,
  };
}

function resourceKey(resourceType: number, resourceName: string): string {
  return `${resourceType}:${resourceName}`;
}

function add(counts: Map<number, number>, nodeId: number, by: number): void {
  const count = (counts.get(nodeId) ?? 0) + by;
  if (count === 0) counts.delete(nodeId);
  else counts.set(nodeId, count);
}
