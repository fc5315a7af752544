/** An empty group of one protocol becomes one of the other, with all that it has committed. */
import { encodeGroupKey } from '../group-records.ts';
import type { GroupStep } from '../group-step.ts';
import { Group } from '../group.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { writeRecord } from './consumer-step.ts';

/** The group of this id, which is an empty classic one or not there, as a consumer group. */
export function takeOverClassicGroup(step: GroupStep, groupId: string): ConsumerGroup {
  const former = step.groups.get(groupId);
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

/** Tombstones of all that was written of an empty consumer group but for its offsets. */
export function forgetConsumerGroup(step: GroupStep, group: ConsumerGroup): void {
  const { groupId } = group;
  step.effects.disarm(group.assignmentTimer);
  for (const pattern of group.patterns.keys()) {
    writeRecord(step, { kind: 'pattern', group: groupId, pattern, value: null });
  }
  writeRecord(step, { kind: 'target-metadata', group: groupId, value: null });
  writeRecord(step, { kind: 'consumer-group', group: groupId, value: null });
  step.groups.delete(groupId);
}
