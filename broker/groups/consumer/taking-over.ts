/** An empty group of one protocol becomes one of the other, with all that it has committed. */
import { encodeGroupKey } from '../group-records.ts';
import { removePendingMember } from '../group-step.ts';
import type { GroupStep } from '../group-step.ts';
import { Group } from '../group.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { writeRecord } from './consumer-step.ts';

/** The group of this id, which is an empty classic one or not there, as a consumer group. */
export function takeOverClassicGroup(step: GroupStep, groupId: string): ConsumerGroup {
  const former = step.groups.get(groupId);
  // Who has been given an id comes with it, and is taken in as it comes.
  if (former instanceof Group) {
    for (const memberId of former.pendingMembers.keys()) removePendingMember(step, former, memberId);
  }
  if (former instanceof Group && former.hasRecord) step.effects.append(encodeGroupKey(groupId), null);
  const group = new ConsumerGroup(groupId, { offsets: former?.offsets });
  step.groups.set(groupId, group);
  return group;
}

/** An empty consumer group as a classic one. */
export function takeOverConsumerGroup(step: GroupStep, former: ConsumerGroup): Group {
  const { groupId, offsets } = former;
  forgetConsumerGroup(step, former);
  const group = new Group(groupId, step.effects.wallMs, offsets);
  step.groups.set(groupId, group);
  return group;
}

/** An empty consumer group is there no more; what it has committed is for whoever takes its place. */
export function forgetConsumerGroup(step: GroupStep, group: ConsumerGroup): void {
  step.effects.disarm(group.assignmentTimer);
  writeOffConsumerGroup(step, group);
  step.groups.delete(group.groupId);
}

/** Tombstones of all that was written of an empty consumer group but for its offsets. */
export function writeOffConsumerGroup(step: GroupStep, group: ConsumerGroup): void {
  const { groupId } = group;
  for (const pattern of group.patterns.keys()) {
    writeRecord(step, { kind: 'pattern', group: groupId, pattern, value: null });
  }
  writeRecord(step, { kind: 'target-metadata', group: groupId, value: null });
  writeRecord(step, { kind: 'consumer-group', group: groupId, value: null });
}
