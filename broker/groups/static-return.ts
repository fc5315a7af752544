/**
 * Whether a stable group can go on as it is when a static member has come back to it (KIP-345). It cannot where the member subscribes
 * to other topics than before; nor where the member leads, and topics have got partitions while it was away: a leader that is told to
 * skip the assignment takes it to be complete. Where the members' bytes are not those of consumers nobody but they can tell.
 */
import { union, noPartitions } from './consumer/assigned-partitions.ts';
import type { TopicsView } from './consumer/topics-view.ts';
import type { Group, Member } from './group.ts';
import { assignmentOf, subscriptionOf } from './migration/embedded-protocol.ts';

/** `group` has `returned` in the place of `former` already. */
export function canGoOn(
  group: Group,
  { former, returned }: { readonly former: Member; readonly returned: Member },
  topics: TopicsView,
): boolean {
  if (!group.usesConsumerProtocol) return true;
  const before = subscriptionOf(group.metadataOf(former), topics)?.topicNames;
  const now = subscriptionOf(group.metadataOf(returned), topics)?.topicNames;
  if (before !== undefined && now !== undefined && before.join() !== now.join()) return false;
  return group.leaderId !== returned.memberId || isAllAssigned(group, topics);
}

function isAllAssigned(group: Group, topics: TopicsView): boolean {
  let assigned = noPartitions;
  const names = new Set<string>();
  for (const member of group.members.values()) {
    const own = assignmentOf(member.assignment, topics);
    const subscription = subscriptionOf(group.metadataOf(member), topics);
    if (own === undefined || subscription === undefined) return true;
    assigned = union(assigned, own);
    for (const name of subscription.topicNames) names.add(name);
  }
  for (const name of names) {
    const topicId = topics.idOf(name);
    if (topicId === undefined) continue;
    if ((assigned.get(topicId)?.length ?? 0) < topics.partitionCount(topicId)) return false;
  }
  return true;
}
