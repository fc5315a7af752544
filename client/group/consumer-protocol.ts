/** The bytes that members of a classic consumer group exchange through its coordinator: INT16 version, then a message of it. */
import { codec, Reader, type ConsumerProtocolSubscription } from '../../protocol/index.ts';
import type { TopicPartition } from '../messages.ts';

const newestVersion = 3;
/** What this client writes: its fields (owned partitions, generation) are those that assignors use. */
const subscriptionVersion = 2;
const assignmentVersion = 0;

export interface Subscription {
  readonly topics: readonly string[];
  readonly userData: Buffer | null;
  readonly owned: readonly TopicPartition[];
  /** -1 where the member has none. */
  readonly generation: number;
}

export function encodeSubscription(subscription: Subscription): Buffer {
  const body = codec('ConsumerProtocolSubscription', subscriptionVersion).encode({
    topics: subscription.topics.toSorted(),
    userData: subscription.userData,
    ownedPartitions: byTopic(subscription.owned),
    generationId: subscription.generation,
  });
  return withVersion(subscriptionVersion, body);
}

/** Throws ProtocolError for bytes that no member of a consumer group writes. */
export function decodeSubscription(bytes: Buffer): Subscription {
  const reader = new Reader(bytes);
  const version = Math.min(newestVersion, Math.max(0, reader.int16()));
  const subscription: ConsumerProtocolSubscription = codec('ConsumerProtocolSubscription', version).read(
    reader,
  );
  return {
    topics: subscription.topics,
    userData: subscription.userData,
    owned: flatten(subscription.ownedPartitions),
    generation: subscription.generationId,
  };
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const body = codec('ConsumerProtocolAssignment', assignmentVersion).encode({
    assignedPartitions: byTopic(partitions),
    userData: null,
  });
  return withVersion(assignmentVersion, body);
}

/** Zero bytes are an empty assignment. */
export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  if (bytes.length === 0) return [];
  const reader = new Reader(bytes);
  const version = Math.min(newestVersion, Math.max(0, reader.int16()));
  return flatten(codec('ConsumerProtocolAssignment', version).read(reader).assignedPartitions);
}

function byTopic(partitions: readonly TopicPartition[]): { topic: string; partitions: number[] }[] {
  const grouped = Map.groupBy(partitions, (item) => item.topic);
  return [...grouped.keys()].sort().map((topic) => ({
    topic,
    partitions: grouped
      .get(topic)!
      .map((item) => item.partition)
      .sort((a, b) => a - b),
  }));
}

function flatten(
  topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
): TopicPartition[] {
  return topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })));
}

function withVersion(version: number, body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(2 + body.length);
  bytes.writeInt16BE(version);
  body.copy(bytes, 2);
  return bytes;
}
