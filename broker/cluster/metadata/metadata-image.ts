/**
 * The cluster's metadata as the log has it: topics, partitions, settings, nodes, features, the next producer id.
 *
 * Deterministic: the same records in the same order make the same image on every node. `apply` is the only way to change
 * it, and only for records that are committed. Lookups by name and id are one map access, as every request makes them.
 * What a partition's replicas are is here (intent); who leads it now and since which term is the replicas' to say.
 * `records` are the image again, as a snapshot keeps it (`fromSnapshot`).
 */
import { assert } from '../../../platform/assert.ts';
import { BoundedSet } from './bounded-set.ts';
import { brokerAfter, brokerImage, brokerRecord } from './broker-image.ts';
import type { BrokerImage } from './broker-image.ts';
import { directoryOf, memberId, nodeOf } from '../../raft/member.ts';
import type { MemberId } from '../../raft/member.ts';
import { directoryField, takenOutDirectories } from './metadata-record.ts';
import type { MetadataRecord, NewMetadataRecord, RecordValue } from './metadata-record.ts';
import { partitionAfter, partitionImage, partitionRecord } from './partition-image.ts';
import type { PartitionImage } from './partition-image.ts';
import { ResourceSettings } from './resource-settings.ts';
import { collisionKey, isInternalTopic } from '../topic-names.ts';

export type { BrokerImage, EndpointImage } from './broker-image.ts';
export type { PartitionImage } from './partition-image.ts';

export interface TopicImage {
  readonly name: string;
  readonly id: string;
  readonly isInternal: boolean;
  /** By index, without gaps. */
  readonly partitions: readonly PartitionImage[];
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
  | {
      readonly kind: 'partition-changed';
      readonly topic: TopicImage;
      readonly partition: number;
      readonly before: PartitionImage;
    }
  | { readonly kind: 'config-changed'; readonly resourceType: number; readonly resourceName: string }
  /** A node is registered, changed, or gone (`broker` is undefined then). */
  | { readonly kind: 'broker-changed'; readonly nodeId: number; readonly broker: BrokerImage | undefined }
  | { readonly kind: 'other' };

interface MutableTopic extends TopicImage {
  readonly partitions: PartitionImage[];
}

const other: MetadataChange = { kind: 'other' };

/** Ids of deleted topics that are remembered, so that a node that was down knows what it may delete. */
const deletedTopicsMax = 10_000;
/** Numbers of nodes that are gone for good and are remembered. */
const goneNodesMax = 1_000;
/** Nodes with their data directories, likewise. */
const goneMembersMax = 1_000;

export class MetadataImage {
  readonly #topicsByName = new Map<string, MutableTopic>();
  readonly #topicsById = new Map<string, MutableTopic>();
  /** Names of the topics that share a collision key. Invariant: holds every topic. */
  readonly #namesByCollisionKey = new Map<string, Set<string>>();
  readonly #deletedTopics = new BoundedSet<string>(deletedTopicsMax);
  readonly #brokers = new Map<number, BrokerImage>();
  readonly #goneNodes = new BoundedSet<number>(goneNodesMax);
  readonly #goneMembers = new BoundedSet<MemberId>(goneMembersMax);
  readonly #settings = new ResourceSettings();
  readonly #features = new Map<string, number>();
  /** Replicas of all topics on each node. Invariant: the sum over `partitions`, per node. */
  readonly #replicaCounts = new Map<number, number>();
  readonly #leaderCounts = new Map<number, number>();
  #nextProducerId = 0;
  #endOffset = 0;

  /** The image that had these records (`records`) and this `endOffset`. */
  static fromSnapshot(records: Iterable<MetadataRecord>, endOffset: number): MetadataImage {
    const image = new MetadataImage();
    for (const record of records) image.apply(record);
    image.#endOffset = endOffset;
    return image;
  }

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

  /** Whether the topic with this id is known to have been deleted; its id never comes again. */
  isDeleted(topicId: string): boolean {
    return this.#deletedTopics.has(topicId);
  }

  get brokers(): ReadonlyMap<number, BrokerImage> {
    return this.#brokers;
  }

  /** Whether this node was unregistered, and has not been registered again. */
  isGone(nodeId: number): boolean {
    return this.#goneNodes.has(nodeId);
  }

  /** Whether a node was unregistered with this data directory: what is in it belongs to the cluster no more. */
  isGoneMember(member: MemberId): boolean {
    return this.#goneMembers.has(member);
  }

  /** Settings of one resource, by name; empty where it has none. */
  settings(resourceType: number, resourceName: string): ReadonlyMap<string, string> {
    return this.#settings.of(resourceType, resourceName);
  }

  /** The resources that have settings. */
  settingResources(): Iterable<{ readonly type: number; readonly name: string }> {
    return this.#settings.resources();
  }

  get features(): ReadonlyMap<string, number> {
    return this.#features;
  }

  /** The lowest producer id that no node has been given. */
  get nextProducerId(): number {
    return this.#nextProducerId;
  }

  /** One past the offset in the log of the last record applied: each takes one offset. */
  get endOffset(): number {
    return this.#endOffset;
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
    this.#endOffset++;
    switch (record.type) {
      case 'TopicRecord':
        return this.#addTopic(record.value);
      case 'PartitionRecord':
        return this.#addPartition(record.value);
      case 'PartitionChangeRecord':
        return this.#changePartition(record.value);
      case 'RemoveTopicRecord':
        return this.#removeTopic(record.value);
      case 'ConfigRecord': {
        const { resourceType, resourceName } = record.value;
        this.#settings.set(record.value);
        return { kind: 'config-changed', resourceType, resourceName };
      }
      case 'ProducerIdsRecord':
        assert(record.value.nextProducerId >= this.#nextProducerId, 'producer ids never go back');
        this.#nextProducerId = record.value.nextProducerId;
        return other;
      case 'RegisterBrokerRecord':
        this.#goneNodes.delete(record.value.brokerId);
        return this.#setBroker(record.value.brokerId, brokerImage(record.value));
      case 'BrokerRegistrationChangeRecord': {
        const before = this.#brokers.get(record.value.brokerId);
        assert(before !== undefined, `node ${record.value.brokerId} is registered`);
        return this.#setBroker(before.id, brokerAfter(before, record.value));
      }
      case 'UnregisterBrokerRecord': {
        const { brokerId } = record.value;
        const directories = this.#brokers.get(brokerId)?.logDirectories ?? takenOutDirectories(record.value);
        for (const directory of directories) this.#goneMembers.add(memberId(brokerId, directory));
        this.#goneNodes.add(brokerId);
        return this.#setBroker(brokerId, undefined);
      }
      default:
        if (record.value.featureLevel === 0) this.#features.delete(record.value.name);
        else this.#features.set(record.value.name, record.value.featureLevel);
        return other;
    }
  }

  /** Records that make this image, apart from its `endOffset`; the same for the same history. */
  *records(): Generator<NewMetadataRecord> {
    for (const [name, featureLevel] of this.#features) {
      yield { type: 'FeatureLevelRecord', value: { name, featureLevel } };
    }
    for (const member of this.#goneMembers) {
      const unknownTaggedFields = directoryField(directoryOf(member));
      yield { type: 'UnregisterBrokerRecord', value: { brokerId: nodeOf(member), unknownTaggedFields } };
    }
    for (const brokerId of this.#goneNodes) yield { type: 'UnregisterBrokerRecord', value: { brokerId } };
    // After those: a node may have got the number of one that was taken out.
    for (const broker of this.#brokers.values()) yield brokerRecord(broker);
    yield { type: 'ProducerIdsRecord', value: { nextProducerId: this.#nextProducerId } };
    for (const topicId of this.#deletedTopics) yield { type: 'RemoveTopicRecord', value: { topicId } };
    for (const { name, id, partitions } of this.#topicsByName.values()) {
      yield { type: 'TopicRecord', value: { name, topicId: id } };
      yield* this.#settings.records(ConfigResourceType.TOPIC, name);
      for (const partition of partitions) yield partitionRecord(id, partition);
    }
    for (const { type, name } of this.#settings.resources()) {
      if (type !== ConfigResourceType.TOPIC) yield* this.#settings.records(type, name);
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
    topic.partitions.push(partitionImage(value));
    this.#count(value.replicas, 1);
    return { kind: 'partition-created', topic, partition: value.partitionId };
  }

  #changePartition(value: RecordValue<'PartitionChangeRecord'>): MetadataChange {
    const topic = this.#existing(value.topicId);
    const before = topic.partitions[value.partitionId];
    assert(before !== undefined, `partition ${value.partitionId} of ${topic.name} exists`);
    const after = partitionAfter(before, value);
    this.#count(before.replicas, -1);
    this.#count(after.replicas, 1);
    topic.partitions[value.partitionId] = after;
    return { kind: 'partition-changed', topic, partition: value.partitionId, before };
  }

  /** In a snapshot also for topics that were deleted before it, which are unknown then. */
  #removeTopic({ topicId }: RecordValue<'RemoveTopicRecord'>): MetadataChange {
    this.#deletedTopics.add(topicId);
    const topic = this.#topicsById.get(topicId);
    if (topic === undefined) return other;
    for (const { replicas } of topic.partitions) this.#count(replicas, -1);
    this.#topicsByName.delete(topic.name);
    this.#topicsById.delete(topicId);
    const key = collisionKey(topic.name);
    const names = this.#namesByCollisionKey.get(key);
    names?.delete(topic.name);
    if (names?.size === 0) this.#namesByCollisionKey.delete(key);
    this.#settings.remove(ConfigResourceType.TOPIC, topic.name);
    return { kind: 'topic-deleted', topic };
  }

  #setBroker(nodeId: number, broker: BrokerImage | undefined): MetadataChange {
    if (broker === undefined) this.#brokers.delete(nodeId);
    else this.#brokers.set(nodeId, broker);
    return { kind: 'broker-changed', nodeId, broker };
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

function add(counts: Map<number, number>, nodeId: number, by: number): void {
  const count = (counts.get(nodeId) ?? 0) + by;
  if (count === 0) counts.delete(nodeId);
  else counts.set(nodeId, count);
}
