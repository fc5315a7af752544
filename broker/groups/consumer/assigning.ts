/** Makes target assignments: who is to have which partitions, in which epoch (KIP-848, "Target Assignment"). */
import type { GroupStep } from '../group-step.ts';
import { assignors } from './assignors/assignor.ts';
import type { Assignor, AssignorMember } from './assignors/assignor.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { noticeTopics, setTarget, writeRecord } from './consumer-step.ts';

/**
 * Makes one where members or topics have changed since the last; at the soonest an assignment interval after it, so that members that
 * come together count together. A timer sees to it then.
 */
export function maybeAssign(step: GroupStep, group: ConsumerGroup): void {
  if (group.epoch === group.assignmentEpoch || group.members.size === 0) return;
  const { assignmentIntervalMs } = step.consumerConfig(group.groupId);
  const waitMs = group.assignedAtMs + assignmentIntervalMs - step.effects.wallMs;
  // Of a wall clock that was set back more than the interval would be left.
  if (waitMs > 0 && waitMs <= assignmentIntervalMs) step.effects.arm(group.assignmentTimer, waitMs);
  else assign(step, group);
}

function assign(step: GroupStep, group: ConsumerGroup): void {
  step.effects.disarm(group.assignmentTimer);
  // It is of the topics as they are now, which may not be those that the epoch began with.
  noticeTopics(step, group);
  const { topics } = step;
  const assigned = assignorOf(step, group).assign({
    members: assignorMembers(step, group),
    partitionCount: (topicId) => topics.partitionCount(topicId),
  });
  for (const target of assigned) setTarget(step, group, target);
  group.assignedFor(group.epoch, step.effects.wallMs);
  const value = { epoch: group.assignmentEpoch, assignedAtMs: group.assignedAtMs };
  writeRecord(step, { kind: 'target-metadata', group: group.groupId, value });
}

function assignorOf(step: GroupStep, group: ConsumerGroup): Assignor {
  return assignors.get(assignorNameOf(step, group))!;
}

/** The one that most members ask for; of equals, and where nobody asks, the one that the broker names first. */
export function assignorNameOf(step: GroupStep, group: ConsumerGroup): string {
  const names = step.consumerConfig(group.groupId).assignors;
  const votes = new Map(names.map((name) => [name, 0]));
  for (const { serverAssignor } of group.members.values()) {
    const count = serverAssignor === null ? undefined : votes.get(serverAssignor);
    if (count !== undefined) votes.set(serverAssignor!, count + 1);
  }
  return names.reduce((best, name) => (votes.get(name)! > votes.get(best)! ? name : best));
}

/** Members with the same topics share one set of them, by which an assignor may know that they do. */
function assignorMembers({ topics }: GroupStep, group: ConsumerGroup): Map<string, AssignorMember> {
  const sets = new Map<string, ReadonlySet<string>>();
  const members = new Map<string, AssignorMember>();
  for (const member of group.members.values()) {
    const names = group.topicsOf(member);
    const key = names.join('\n');
    let subscribedTopics = sets.get(key);
    if (subscribedTopics === undefined) {
      subscribedTopics = new Set(names.map((name) => topics.idOf(name)).filter((id) => id !== undefined));
      sets.set(key, subscribedTopics);
    }
    const { memberId, instanceId, rackId } = member;
    const assigned = group.targetOf(memberId);
    members.set(memberId, { memberId, instanceId, rackId, subscribedTopics, assigned });
  }
  return members;
}
