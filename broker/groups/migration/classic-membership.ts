/**
 * SyncGroup, Heartbeat and LeaveGroup of members of a consumer group that take part by the classic protocol, and what happens where
 * they do not come back in time ("Online migration"). Their generation is their epoch.
 */
import { ErrorCode } from '../../../protocol/index.ts';
import { maybeAssign } from '../consumer/assigning.ts';
import { difference } from '../consumer/assigned-partitions.ts';
import type { ConsumerGroup } from '../consumer/consumer-group.ts';
import { fenceMember } from '../consumer/consumer-leaving.ts';
import type { ConsumerMember } from '../consumer/consumer-member.ts';
import { armMemberSession, noticeTopics } from '../consumer/consumer-step.ts';
import type { HeartbeatCommand, LeaveCommand, SyncCommand, SyncReply } from '../group-commands.ts';
import { syncError } from '../group-step.ts';
import type { GroupStep } from '../group-step.ts';
import { consumerProtocolType, encodedAssignment } from './embedded-protocol.ts';

type Named = Pick<HeartbeatCommand, 'memberId' | 'groupInstanceId'>;
type Asking = Pick<HeartbeatCommand, 'memberId' | 'groupInstanceId' | 'generationId'>;

/** What the member has been given in its epoch. */
export function syncClassicMember(step: GroupStep, group: ConsumerGroup, command: SyncCommand): SyncReply {
  const member = memberOf(group, command);
  if (typeof member === 'number') return syncError(member);
  const { classic, memberId, topicNames } = member;
  const { name, metadata } = classic.protocols[0]!;
  if (
    (command.protocolType !== null && command.protocolType !== consumerProtocolType) ||
    (command.protocolName !== null && command.protocolName !== name)
  ) {
    return syncError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
  }
  // One that is to give up partitions has joined for the new target already, and learns of it by this answer.
  if (member.state !== 'unrevoked' && hasNewTarget(group, member)) {
    awaitRejoin(step, group, member);
    return syncError(ErrorCode.REBALANCE_IN_PROGRESS);
  }
  step.effects.disarm(group.timersOf(memberId).sync);
  armMemberSession(step, group, memberId);
  // Of topics that it does not read any more, and has still to be taken from, a client would not understand the partitions.
  const isRead = (topic: string) => topicNames.includes(topic);
  return {
    errorCode: ErrorCode.NONE,
    protocolType: consumerProtocolType,
    protocolName: name,
    assignment: encodedAssignment(member.assigned, step.topics, { metadata, isRead }),
  };
}

/** A member for which there is something to do is told to join again. Nobody else may be there to notice that topics have changed. */
export function classicMemberHeartbeat(
  step: GroupStep,
  group: ConsumerGroup,
  command: HeartbeatCommand,
): ErrorCode {
  const member = memberOf(group, command);
  if (typeof member === 'number') return member;
  armMemberSession(step, group, member.memberId);
  noticeTopics(step, group);
  maybeAssign(step, group);
  if (!hasToRejoin(group, member)) return ErrorCode.NONE;
  awaitRejoin(step, group, member);
  return ErrorCode.REBALANCE_IN_PROGRESS;
}

/** Tools take out members of either protocol so: by their names, or by their member ids. */
export function leaveConsumerGroup(
  step: GroupStep,
  group: ConsumerGroup,
  { memberId, groupInstanceId }: LeaveCommand['members'][number],
): ErrorCode {
  const isByInstance = memberId === '' && groupInstanceId !== null;
  const holder = isByInstance ? group.staticMember(groupInstanceId) : undefined;
  const member = memberNamed(group, { memberId: holder?.memberId ?? memberId, groupInstanceId });
  if (typeof member === 'number') return member;
  fenceMember(step, group, member.memberId);
  return ErrorCode.NONE;
}

/** It was told to join, or has joined, and has not come back within its rebalance timeout. */
export function onClassicMemberTimeout(step: GroupStep, group: ConsumerGroup, memberId: string): void {
  const member = group.members.get(memberId);
  if (member !== undefined && member.classic !== null) fenceMember(step, group, memberId);
}

type ClassicMember = ConsumerMember & { readonly classic: NonNullable<ConsumerMember['classic']> };

function memberOf(group: ConsumerGroup, asking: Asking): ClassicMember | ErrorCode {
  const member = classicMember(group, asking);
  if (typeof member === 'number' || asking.generationId === member.epoch) return member;
  return ErrorCode.ILLEGAL_GENERATION;
}

function classicMember(group: ConsumerGroup, named: Named): ClassicMember | ErrorCode {
  const member = memberNamed(group, named);
  return typeof member === 'number' || isClassic(member) ? member : ErrorCode.UNKNOWN_MEMBER_ID;
}

function memberNamed(group: ConsumerGroup, { memberId, groupInstanceId }: Named): ConsumerMember | ErrorCode {
  if (groupInstanceId !== null) {
    const holder = group.staticMembers.get(groupInstanceId);
    if (holder === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (holder !== memberId) return ErrorCode.FENCED_INSTANCE_ID;
  }
  return group.members.get(memberId) ?? ErrorCode.UNKNOWN_MEMBER_ID;
}

function isClassic(member: ConsumerMember): member is ClassicMember {
  return member.classic !== null;
}

/** A target that is yet to be made is nothing to join for. */
function hasNewTarget({ assignmentEpoch }: ConsumerGroup, { epoch }: ConsumerMember): boolean {
  return assignmentEpoch > epoch;
}

function hasToRejoin(group: ConsumerGroup, member: ConsumerMember): boolean {
  if (hasNewTarget(group, member) || member.state === 'unrevoked') return true;
  return member.state === 'unreleased' && isAllFree(group, member);
}

/** Whether nobody has any of what the member waits for. */
function isAllFree(group: ConsumerGroup, { memberId, assigned }: ConsumerMember): boolean {
  for (const [topicId, partitions] of difference(group.targetOf(memberId), assigned)) {
    if (partitions.some((partition) => group.holderOf(topicId, partition) !== undefined)) return false;
  }
  return true;
}

/** Of several times that it is told, the first counts. */
function awaitRejoin(step: GroupStep, group: ConsumerGroup, member: ConsumerMember): void {
  const { join } = group.timersOf(member.memberId);
  if (join.deadlineMs === undefined) step.effects.arm(join, member.rebalanceTimeoutMs);
}
