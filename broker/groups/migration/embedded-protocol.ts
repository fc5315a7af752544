/**
 * What consumers of the classic protocol say in bytes that a coordinator otherwise only passes on: their subscriptions, and their
 * assignments. A consumer group reads the first, and writes the second itself.
 */
import {
  decodeConsumerAssignment,
  decodeConsumerSubscription,
  encodeConsumerAssignment,
  ProtocolError,
} from '../../../protocol/index.ts';
import type { ConsumerProtocolAssignment, ConsumerProtocolSubscription } from '../../../protocol/index.ts';
import { assignedFrom } from '../consumer/assigned-partitions.ts';
import type { AssignedPartitions } from '../consumer/assigned-partitions.ts';
import type { TopicsView } from '../consumer/topics-view.ts';
import type { JoinProtocol } from '../group-commands.ts';

/** The protocol type of consumers. */
export const consumerProtocolType = 'consumer';

/** The newest version in which assignments are written. */
const assignmentVersionMax = 3;

export interface Subscription {
  readonly version: number;
  /** Ascending, each once. */
  readonly topicNames: readonly string[];
  readonly rackId: string | null;
  /** What the member has not given up yet, of topics that exist. */
  readonly owned: AssignedPartitions;
}

/** Undefined where the bytes are no subscription. */
export function subscriptionOf(metadata: Buffer, topics: TopicsView): Subscription | undefined {
  const decoded = readable(() => decodeConsumerSubscription(metadata));
  if (decoded === undefined) return undefined;
  const { topics: names, rackId, ownedPartitions }: ConsumerProtocolSubscription = decoded.value;
  return {
    version: decoded.version,
    topicNames: [...new Set(names)].toSorted(),
    rackId: rackId === '' ? null : rackId,
    owned: byTopicId(ownedPartitions, topics),
  };
}

/** That of a member which joins: all of its protocols say the same, so the first counts. Undefined where one is no subscription. */
export function joinedSubscription(
  protocols: readonly JoinProtocol[],
  topics: TopicsView,
): Subscription | undefined {
  const read = protocols.map(({ metadata }) => subscriptionOf(metadata, topics));
  return read.includes(undefined) ? undefined : read[0];
}

/** Undefined where the bytes are no assignment. Topics that do not exist are left out. */
export function assignmentOf(bytes: Buffer, topics: TopicsView): AssignedPartitions | undefined {
  const decoded = readable(() => decodeConsumerAssignment(bytes));
  return decoded && byTopicId(decoded.value.assignedPartitions, topics);
}

/** In the version of the subscription in `metadata`. Topics that do not exist any more, or that `isRead` is false for, are left out. */
export function encodedAssignment(
  assigned: AssignedPartitions,
  topics: TopicsView,
  { metadata, isRead = () => true }: { metadata: Buffer; isRead?: (topic: string) => boolean },
): Buffer {
  const assignedPartitions: ConsumerProtocolAssignment['assignedPartitions'] = [];
  for (const [topicId, partitions] of assigned) {
    const topic = topics.nameOf(topicId);
    if (topic !== undefined && isRead(topic)) assignedPartitions.push({ topic, partitions: [...partitions] });
  }
  const version = Math.min(Math.max(subscriptionVersion(metadata), 0), assignmentVersionMax);
  return encodeConsumerAssignment(version, { assignedPartitions, userData: null });
}

function subscriptionVersion(metadata: Buffer): number {
  return metadata.length < 2 ? 0 : metadata.readInt16BE(0);
}

function byTopicId(
  named: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  topics: TopicsView,
): AssignedPartitions {
  const known = [];
  for (const { topic, partitions } of named) {
    const topicId = topics.idOf(topic);
    if (topicId !== undefined) known.push({ topicId, partitions });
  }
  return assignedFrom(known);
}

function readable<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
