/** SyncGroup, Heartbeat, LeaveGroup, and sessions that expire: what happens to members once they have joined. */
import { ErrorCode } from '../../protocol/index.ts';
import type { RequestId } from '../coordinator/state-machine.ts';
import type { AnyGroup } from './any-group.ts';
import { ConsumerGroup } from './consumer/consumer-group.ts';
import type { HeartbeatCommand, LeaveCommand, LeaveReply, SyncCommand } from './group-commands.ts';
import {
  answerSync,
  armSession,
  checkMember,
  maybeForget,
  removeMember,
  removePendingMember,
  syncError,
  writeGroup,
} from './group-step.ts';
import type { GroupStep } from './group-step.ts';
import { Group, noAssignment } from './group.ts';
import type { Member } from './group.ts';
import {
  classicMemberHeartbeat,
  leaveConsumerGroup,
  syncClassicMember,
} from './migration/classic-membership.ts';
import { dropAssignments, maybeCompleteJoin, rebalanceOrCompleteJoin } from './rebalance.ts';

export function syncGroup(step: GroupStep, command: SyncCommand, request: RequestId): void {
  const group = step.groups.get(command.groupId);
  if (group instanceof ConsumerGroup) {
    step.effects.reply(request, syncClassicMember(step, group, command));
    return;
  }
  const errorCode = group === undefined ? unknownGroupError(command.groupId) : checkSync(group, command);
  if (group === undefined || errorCode !== ErrorCode.NONE) {
    step.effects.reply(request, syncError(errorCode));
    return;
  }
  const member = group.members.get(command.memberId)!;
  group.pendingSync.delete(member.memberId);
  if (group.state === 'Stable') {
    armSession(step, member);
    step.effects.reply(request, syncReply(group, member));
    return;
  }
  answerSync(step, member, syncError(ErrorCode.REBALANCE_IN_PROGRESS));
  member.awaitingSync = request;
  if (group.leaderId === member.memberId) takeAssignments(step, group, command);
}

function unknownGroupError(groupId: string): ErrorCode {
  return groupId === '' ? ErrorCode.INVALID_GROUP_ID : ErrorCode.UNKNOWN_MEMBER_ID;
}

function checkSync(group: Group, command: SyncCommand): ErrorCode {
  const errorCode = checkMember(group, command.memberId, command.groupInstanceId);
  if (errorCode !== ErrorCode.NONE) return errorCode;
  if (command.generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION;
  if (
    (command.protocolType !== null && command.protocolType !== group.protocolType) ||
    (command.protocolName !== null &&
      group.protocolName !== undefined &&
      command.protocolName !== group.protocolName)
  ) {
    return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
  }
  return group.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE;
}

/** The leader has decided: the group is written down and becomes stable, and all who wait get their part. */
function takeAssignments(step: GroupStep, group: Group, command: SyncCommand): void {
  const assignments = new Map(command.assignments.map(({ memberId, assignment }) => [memberId, assignment]));
  const assignmentOf = (member: Member) => assignments.get(member.memberId) ?? noAssignment;
  const stateTimestampMs = group.stateTimestampMs;
  group.stateTimestampMs = step.effects.wallMs;
  if (!writeGroup(step, group, assignmentOf)) {
    group.stateTimestampMs = stateTimestampMs;
    dropAssignments(step, group, ErrorCode.UNKNOWN_SERVER_ERROR);
    rebalanceOrCompleteJoin(step, group);
    return;
  }
  group.transitionTo('Stable', step.effects.wallMs);
  for (const member of group.members.values()) {
    member.assignment = Buffer.from(assignmentOf(member));
    answerSync(step, member, syncReply(group, member));
  }
}

function syncReply(group: Group, member: Member) {
  return {
    errorCode: ErrorCode.NONE,
    protocolType: group.protocolType ?? null,
    protocolName: group.protocolName ?? null,
    assignment: member.assignment,
  };
}

/** A heartbeat always extends the session of a known member; the answer tells it whether to join again. */
export function heartbeat(step: GroupStep, command: HeartbeatCommand, request: RequestId): void {
  step.effects.reply(request, { errorCode: heartbeatError(step, command) });
}

function heartbeatError(step: GroupStep, command: HeartbeatCommand): ErrorCode {
  const group = step.groups.get(command.groupId);
  if (group === undefined) return unknownGroupError(command.groupId);
  return group instanceof ConsumerGroup
    ? classicMemberHeartbeat(step, group, command)
    : takeHeartbeat(step, group, command);
}

function takeHeartbeat(step: GroupStep, group: Group, command: HeartbeatCommand): ErrorCode {
  const errorCode = checkMember(group, command.memberId, command.groupInstanceId);
  if (errorCode !== ErrorCode.NONE) return errorCode;
  if (command.generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION;
  armSession(step, group.members.get(command.memberId)!);
  return group.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE;
}

export function leaveGroup(step: GroupStep, command: LeaveCommand, request: RequestId): void {
  if (command.groupId === '') {
    step.effects.reply(request, { errorCode: ErrorCode.INVALID_GROUP_ID, members: [] } satisfies LeaveReply);
    return;
  }
  const members = command.members.map((identity) => {
    // With the last member of its protocol a consumer group may have become a classic one.
    const group = step.groups.get(command.groupId);
    const errorCode = group === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : removeFrom(step, group, identity);
    return { ...identity, errorCode };
  });
  const group = step.groups.get(command.groupId);
  step.effects.reply(request, { errorCode: ErrorCode.NONE, members } satisfies LeaveReply);
  if (!(group instanceof Group)) return;
  if (members.some(({ errorCode }) => errorCode === ErrorCode.NONE)) afterRemoval(step, group);
  maybeForget(step, group);
}

function removeFrom(step: GroupStep, group: AnyGroup, identity: LeaveCommand['members'][number]): ErrorCode {
  return group instanceof ConsumerGroup
    ? leaveConsumerGroup(step, group, identity)
    : removeLeaving(step, group, identity);
}

function removeLeaving(step: GroupStep, group: Group, identity: LeaveCommand['members'][number]): ErrorCode {
  const { groupInstanceId } = identity;
  if (identity.memberId === '') {
    const memberId = groupInstanceId === null ? undefined : group.staticMembers.get(groupInstanceId);
    if (memberId === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
    removeMember(step, group, group.members.get(memberId)!);
    return ErrorCode.NONE;
  }
  if (removePendingMember(step, group, identity.memberId)) return ErrorCode.NONE;
  const errorCode = checkMember(group, identity.memberId, groupInstanceId);
  if (errorCode === ErrorCode.NONE) removeMember(step, group, group.members.get(identity.memberId)!);
  return errorCode;
}

/** A member that waits for a rebalance counts as alive, except a new one, whose client may have gone while it waited. */
export function onSessionTimeout(step: GroupStep, group: Group, memberId: string): void {
  if (removePendingMember(step, group, memberId)) {
    maybeCompleteJoin(step, group);
    maybeForget(step, group);
    return;
  }
  const member = group.members.get(memberId);
  if (member === undefined) return;
  const isWaiting = member.awaitingJoin !== undefined || member.awaitingSync !== undefined;
  if (isWaiting && !member.isNew) return;
  removeMember(step, group, member);
  afterRemoval(step, group);
}

function afterRemoval(step: GroupStep, group: Group): void {
  if (group.state === 'Stable' || group.state === 'CompletingRebalance') rebalanceOrCompleteJoin(step, group);
  else maybeCompleteJoin(step, group);
}
