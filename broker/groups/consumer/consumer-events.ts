/** What time brings about in consumer groups, and what happens once their log has been replayed. */
import type { GroupTimerEvent } from '../group-commands.ts';
import type { GroupStep } from '../group-step.ts';
import { onClassicMemberTimeout } from '../migration/classic-membership.ts';
import { maybeAssign } from './assigning.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { onConsumerSessionTimeout, onRevocationTimeout } from './consumer-leaving.ts';
import { armMemberSession, bumpEpoch, watchRevocation } from './consumer-step.ts';
import { metadataHash } from './topics-view.ts';

export function expireInConsumerGroup(step: GroupStep, group: ConsumerGroup, event: GroupTimerEvent): void {
  switch (event.kind) {
    case 'session':
      return onConsumerSessionTimeout(step, group, event.memberId);
    case 'revocation':
      return onRevocationTimeout(step, group, event.memberId);
    case 'member-join':
    case 'member-sync':
      return onClassicMemberTimeout(step, group, event.memberId);
    case 'assignment':
      return maybeAssign(step, group);
    default:
    // Timers of a classic group that was here before.
  }
}

/** Members' sessions, and the time that they have for giving up partitions, start anew. */
export function activateConsumerGroup(step: GroupStep, group: ConsumerGroup): void {
  group.replayed();
  for (const member of group.members.values()) {
    armMemberSession(step, group, member.memberId);
    watchRevocation(step, group, { before: undefined, after: member });
  }
  if (group.epoch === group.assignmentEpoch && leavesOut(step, group)) bumpEpoch(step, group);
  maybeAssign(step, group);
}

/**
 * Whether a partition that members subscribe to is in the target of none of those. Of a member that went, or subscribes to other topics
 * now, the end of the step may have been lost, which would have given others what it had. Topics that have changed meanwhile are
 * noticed by the next heartbeat.
 */
function leavesOut({ topics }: GroupStep, group: ConsumerGroup): boolean {
  if (group.metadataHash !== metadataHash(topics, group.subscribedTopics)) return false;
  const counts = new Map<string, number>();
  for (const member of group.members.values()) {
    const names = new Set(group.topicsOf(member));
    for (const [topicId, { length }] of group.targetOf(member.memberId)) {
      if (names.has(topics.nameOf(topicId) ?? '')) counts.set(topicId, (counts.get(topicId) ?? 0) + length);
    }
  }
  return [...group.subscribedTopics].some((name) => {
    const topicId = topics.idOf(name);
    return topicId !== undefined && (counts.get(topicId) ?? 0) < topics.partitionCount(topicId);
  });
}
