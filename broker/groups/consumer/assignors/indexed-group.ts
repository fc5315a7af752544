/**
 * What the uniform assignor is asked, with numbers in place of ids: members and topics are their positions in the order of their ids.
 * That is what makes it quick, and the same for every order of the input.
 */
import type { AssignorInput, AssignorMember } from './assignor.ts';
import { subscribersByTopic } from './subscribers.ts';

export interface IndexedTopic {
  readonly topicId: string;
  /** Members that subscribe to it, ascending; at least one. */
  readonly subscribers: readonly number[];
  /** For each partition the subscriber that had it, or -1. */
  readonly holders: Int32Array;
}

export interface IndexedGroup {
  /** Ascending. */
  readonly memberIds: readonly string[];
  /** Those that members subscribe to and that have partitions, by topic id. */
  readonly topics: readonly IndexedTopic[];
  /** Whether every member subscribes to each of these topics. */
  readonly hasEqualSubscriptions: boolean;
}

export function indexGroup({ members, partitionCount }: AssignorInput): IndexedGroup {
  const memberIds = [...members.keys()].toSorted();
  const ordered = memberIds.map((memberId) => members.get(memberId)!);
  const subscribers = subscribersByTopic(ordered);
  const topics = new Map<string, IndexedTopic>();
  for (const topicId of [...subscribers.keys()].toSorted()) {
    const holders = new Int32Array(partitionCount(topicId)).fill(-1);
    if (holders.length > 0) topics.set(topicId, { topicId, subscribers: subscribers.get(topicId)!, holders });
  }
  ordered.forEach((member, index) => noteHolder(topics, index, member));
  const present = [...topics.values()];
  return {
    memberIds,
    topics: present,
    hasEqualSubscriptions: present.every((topic) => topic.subscribers.length === memberIds.length),
  };
}

/** Of two members that say to have had a partition, the first had it. */
function noteHolder(
  topics: ReadonlyMap<string, IndexedTopic>,
  index: number,
  { subscribedTopics, assigned }: AssignorMember,
): void {
  for (const [topicId, partitions] of assigned) {
    const topic = topics.get(topicId);
    if (topic === undefined || !subscribedTopics.has(topicId)) continue;
    for (const partition of partitions) {
      if (topic.holders[partition] === -1) topic.holders[partition] = index;
    }
  }
}
