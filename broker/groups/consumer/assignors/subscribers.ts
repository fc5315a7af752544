/** Who subscribes to what, as positions in a list of members. Equal subscriptions, which most groups have, are cheap to see and to list. */
import type { AssignorMember } from './assignor.ts';

/** Of each topic that anybody subscribes to, ascending. */
export function subscribersByTopic(
  members: readonly AssignorMember[],
): ReadonlyMap<string, readonly number[]> {
  if (areSubscriptionsEqual(members)) {
    const everybody = Array.from(members.keys());
    return new Map(Array.from(members[0]?.subscribedTopics ?? [], (topicId) => [topicId, everybody]));
  }
  const subscribers = new Map<string, number[]>();
  for (const [position, { subscribedTopics }] of members.entries()) {
    for (const topicId of subscribedTopics) {
      const others = subscribers.get(topicId);
      if (others === undefined) subscribers.set(topicId, [position]);
      else others.push(position);
    }
  }
  return subscribers;
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
