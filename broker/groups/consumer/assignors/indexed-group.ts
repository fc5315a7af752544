/**
 * What the uniform assignor is asked, with numbers in place of ids: members and topics are their positions in the order of their ids.
 * That is what makes it quick, and the same for every order of the input.
 */
import type { AssignorInput, AssignorMember } from './assignor.ts';

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
  readonly hasEqualSubscriptions: boolean;
}

export function indexGroup({ members, partitionCount }: AssignorInput): IndexedGroup {
  const memberIds = [...members.keys()].toSorted();
  const ordered = memberIds.map((memberId) => members.get(memberId)!);
  const hasEqualSubscriptions = areSubscriptionsEqual(ordered);
  const subscribers = hasEqualSubscriptions ? equalSubscribers(ordered) : subscribersByTopic(ordered);
  const topics = new Map<string, IndexedTopic>();
  for (const topicId of [...subscribers.keys()].toSorted()) {
    const holders = new Int32Array(partitionCount(topicId)).fill(-1);
    if (holders.length > 0) topics.set(topicId, { topicId, subscribers: subscribers.get(topicId)!, holders });
  }
  ordered.forEach((member, index) => noteHolder(topics, index, member));
  return { memberIds, topics: [...topics.values()], hasEqualSubscriptions };
}

function areSubscriptionsEqual([first, ...others]: readonly AssignorMember[]): boolean {
  if (first === undefined) return true;
  const topics = first.subscribedTopics;
  return others.every(
    ({ subscribedTopics }) =>
      subscribedTopics === topics ||
      (subscribedTopics.size === topics.size && topics.isSubsetOf(subscribedTopics)),
  );
}

function equalSubscribers(ordered: readonly AssignorMember[]): ReadonlyMap<string, readonly number[]> {
  const everybody = Array.from(ordered.keys());
  return new Map(Array.from(ordered[0]?.subscribedTopics ?? [], (topicId) => [topicId, everybody]));
}

function subscribersByTopic(ordered: readonly AssignorMember[]): ReadonlyMap<string, readonly number[]> {
  const subscribers = new Map<string, number[]>();
  ordered.forEach(({ subscribedTopics }, index) => {
    for (const topicId of subscribedTopics) {
      const others = subscribers.get(topicId);
      if (others === undefined) subscribers.set(topicId, [index]);
      else others.push(index);
    }
  });
  return subscribers;
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
