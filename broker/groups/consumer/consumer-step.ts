/**
 * What the parts of the state machine share that deal with consumer groups: the step that is being carried out, and the small moves
 * that each of them makes. Every change of a group is written down as it is made.
 */
import type { GroupStep } from '../group-step.ts';
import { hasSameProtocols } from '../group.ts';
import { isSameAssignment } from './assigned-partitions.ts';
import type { AssignedPartitions } from './assigned-partitions.ts';
import type { ConsumerGroup, ResolvedPattern } from './consumer-group.ts';
import type { ClassicPart, ConsumerMember } from './consumer-member.ts';
import { encodeConsumerRecord } from './consumer-records.ts';
import type { ConsumerGroupRecord } from './consumer-records.ts';
import { reconcile } from './reconciliation.ts';
import { metadataHash } from './topics-view.ts';

export function writeRecord(step: GroupStep, record: ConsumerGroupRecord): void {
  const { key, value } = encodeConsumerRecord(record);
  step.effects.append(key, value);
}

/** The member as it is now; what of it has changed is written. */
export function putMember(step: GroupStep, group: ConsumerGroup, member: ConsumerMember): void {
  const before = group.members.get(member.memberId);
  if (before === member) return;
  const record = { group: group.groupId, memberId: member.memberId };
  if (before === undefined || hasOtherMetadata(before, member)) {
    writeRecord(step, { ...record, kind: 'member', value: member });
  }
  if (before === undefined ? member.epoch !== 0 : hasOtherAssignment(before, member)) {
    writeRecord(step, { ...record, kind: 'current', value: member });
  }
  group.put(member);
}

/** Nothing of the member is left, neither in the group nor, by tombstones, in the log. */
export function dropMember(step: GroupStep, group: ConsumerGroup, memberId: string): void {
  const timers = group.timersOf(memberId);
  for (const timer of Object.values(timers)) step.effects.disarm(timer);
  group.forgetTimers(memberId);
  group.remove(memberId);
  for (const kind of ['current', 'target', 'member'] as const) {
    writeRecord(step, { kind, group: group.groupId, memberId, value: null });
  }
}

/** A new target assignment is to be made. */
export function bumpEpoch(step: GroupStep, group: ConsumerGroup): void {
  group.epoch += 1;
  group.epochBeganAtMs = step.effects.wallMs;
  group.metadataHash = metadataHash(step.topics, group.subscribedTopics);
  group.topicsVersion = step.topics.version;
  const value = { epoch: group.epoch, metadataHash: group.metadataHash };
  writeRecord(step, { kind: 'consumer-group', group: group.groupId, value });
}

/** Bumps the epoch where topics that members subscribe to have come, gone, or got partitions since it was looked at. */
export function noticeTopics(step: GroupStep, group: ConsumerGroup): void {
  if (group.topicsVersion === step.topics.version) return;
  group.topicsVersion = step.topics.version;
  if (metadataHash(step.topics, group.subscribedTopics) !== group.metadataHash) bumpEpoch(step, group);
}

export function setTarget(
  step: GroupStep,
  group: ConsumerGroup,
  [memberId, assigned]: readonly [string, AssignedPartitions],
): void {
  const before = group.target.get(memberId);
  if (before !== undefined && isSameAssignment(before, assigned)) return;
  writeRecord(step, { kind: 'target', group: group.groupId, memberId, value: assigned });
  group.setTarget(memberId, assigned);
}

export function setPattern(
  step: GroupStep,
  group: ConsumerGroup,
  [pattern, resolved]: readonly [string, ResolvedPattern],
): void {
  writeRecord(step, { kind: 'pattern', group: group.groupId, pattern, value: resolved });
  group.setPattern(pattern, resolved);
}

/** Patterns that no member names any more are forgotten. */
export function dropUnusedPatterns(step: GroupStep, group: ConsumerGroup): void {
  for (const pattern of group.patterns.keys()) {
    if (group.isPatternUsed(pattern)) continue;
    writeRecord(step, { kind: 'pattern', group: group.groupId, pattern, value: null });
    group.removePattern(pattern);
  }
}

/** It is gone unless it is heard of within its session timeout. */
export function armMemberSession(step: GroupStep, group: ConsumerGroup, memberId: string): void {
  const classic = group.members.get(memberId)?.classic;
  const { sessionTimeoutMs } = classic ?? step.consumerConfig(group.groupId);
  step.effects.arm(group.timersOf(memberId).session, sessionTimeoutMs);
}

/** Runs while the member is to give up partitions. One of the classic protocol has its time for rejoining instead. */
export function watchRevocation(
  step: GroupStep,
  group: ConsumerGroup,
  { before, after }: { readonly before: ConsumerMember | undefined; readonly after: ConsumerMember },
): void {
  const { revocation } = group.timersOf(after.memberId);
  if (after.state !== 'unrevoked' || after.classic !== null) step.effects.disarm(revocation);
  else if (before?.state !== 'unrevoked' || before.epoch !== after.epoch) {
    step.effects.arm(revocation, after.rebalanceTimeoutMs);
  }
}

/** A new target assignment is to count the member where it is new, or reads other topics than before. */
export function countMember(
  step: GroupStep,
  group: ConsumerGroup,
  { before, memberId }: { readonly before: ConsumerMember | undefined; readonly memberId: string },
): void {
  // Of a member that no target assignment has counted yet the end of the step that took it in may have been lost.
  const isCounted = group.target.has(memberId) || group.epoch > group.assignmentEpoch;
  if (before !== undefined && isCounted && hasSameTopics(before, group.members.get(memberId)!)) {
    noticeTopics(step, group);
    return;
  }
  dropUnusedPatterns(step, group);
  bumpEpoch(step, group);
}

/** Brings the member a step towards its part of the target; `owned`: what it says that it has, undefined where it does not say. */
export function reconcileMember(
  step: GroupStep,
  group: ConsumerGroup,
  { memberId, owned }: { readonly memberId: string; readonly owned: AssignedPartitions | undefined },
): ConsumerMember {
  const before = group.members.get(memberId)!;
  const target = {
    epoch: group.assignmentEpoch,
    assigned: group.targetOf(memberId),
    isFree: (topicId: string, partition: number): boolean => {
      const holder = group.holderOf(topicId, partition);
      return holder === undefined || holder === memberId;
    },
  };
  const after = reconcile(before, target, owned);
  putMember(step, group, after);
  watchRevocation(step, group, { before, after });
  return after;
}

function hasSameTopics(one: ConsumerMember, other: ConsumerMember): boolean {
  return isSameList(one.topicNames, other.topicNames) && one.topicRegex === other.topicRegex;
}

function hasOtherMetadata(before: ConsumerMember, after: ConsumerMember): boolean {
  return (
    before.instanceId !== after.instanceId ||
    before.rackId !== after.rackId ||
    before.clientId !== after.clientId ||
    before.clientHost !== after.clientHost ||
    before.rebalanceTimeoutMs !== after.rebalanceTimeoutMs ||
    before.serverAssignor !== after.serverAssignor ||
    !isSameClassicPart(before.classic, after.classic) ||
    !hasSameTopics(before, after)
  );
}

function isSameClassicPart(before: ClassicPart | null, after: ClassicPart | null): boolean {
  if (before === null || after === null) return before === after;
  return before.sessionTimeoutMs === after.sessionTimeoutMs && hasSameProtocols(before, after.protocols);
}

function hasOtherAssignment(before: ConsumerMember, after: ConsumerMember): boolean {
  return (
    before.epoch !== after.epoch ||
    before.previousEpoch !== after.previousEpoch ||
    before.state !== after.state ||
    !isSameAssignment(before.assigned, after.assigned) ||
    !isSameAssignment(before.pendingRevocation, after.pendingRevocation)
  );
}

function isSameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((each, position) => each === other[position]);
}
