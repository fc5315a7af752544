/**
 * JoinGroup: how a member gets in, comes back, or takes the place of its former self.
 *
 * A new dynamic member (v4+) is first given an id and told to come back with it, so that retries of a lost answer do not
 * leave ghosts. A static member is known by its instance id: when it comes without a member id it is a restarted process,
 * which takes over the old one's place (and fences it), in a stable group without a rebalance.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { ShardTimer } from '../coordinator/shard-timers.ts';
import type { RequestId } from '../coordinator/state-machine.ts';
import type { AnyGroup } from './any-group.ts';
import { ConsumerGroup } from './consumer/consumer-group.ts';
import { takeOverConsumerGroup } from './consumer/taking-over.ts';
import type { GroupTimerEvent, JoinCommand } from './group-commands.ts';
import { newMemberJoinTimeoutMs } from './group-config.ts';
import {
  answerJoin,
  answerSync,
  armSession,
  awaitJoin,
  checkMember,
  joinError,
  joinReply,
  maybeForget,
  removeMember,
  removePendingMember,
  syncError,
  writeGroup,
} from './group-step.ts';
import type { GroupStep } from './group-step.ts';
import { Group, hasSameProtocols, noAssignment, ownProtocols } from './group.ts';
import type { Member } from './group.ts';
import { joinConsumerGroup } from './migration/classic-join.ts';
import { canGoOn } from './static-return.ts';
import { maybeCompleteJoin, prepareRebalance, rebalanceOrCompleteJoin } from './rebalance.ts';

/** In one group: ids that were given out, with which nobody has come back yet. */
const pendingMembersMax = 10_000;

interface Join {
  readonly command: JoinCommand;
  readonly request: RequestId;
}

export function joinGroup(step: GroupStep, command: JoinCommand, request: RequestId): void {
  const refusal = refusalOf(step, command);
  if (refusal !== ErrorCode.NONE) {
    step.effects.reply(request, joinError(refusal, command.memberId));
    return;
  }
  const found = step.groups.get(command.groupId);
  if (found instanceof ConsumerGroup && !found.isEmpty) {
    if (joinConsumerGroup(step, found, { command, request }) !== 'downgraded') return;
  }
  const group = groupFor(step, command.groupId);
  joinExistingGroup(step, group, { command, request });
  maybeForget(step, group);
}

/** An empty group of the consumer protocol becomes a classic one. */
function groupFor(step: GroupStep, groupId: string): Group {
  const found = step.groups.get(groupId);
  if (found instanceof Group) return found;
  if (found !== undefined) return takeOverConsumerGroup(step, found);
  const group = new Group(groupId, step.effects.wallMs);
  step.groups.set(groupId, group);
  return group;
}

/** What can be refused without a group. Only members without an id make a group. */
function refusalOf(step: GroupStep, command: JoinCommand): ErrorCode {
  const { sessionTimeoutMs } = command;
  if (command.groupId === '') return ErrorCode.INVALID_GROUP_ID;
  if (
    sessionTimeoutMs < step.config.sessionTimeoutMinMs ||
    sessionTimeoutMs > step.config.sessionTimeoutMaxMs
  ) {
    return ErrorCode.INVALID_SESSION_TIMEOUT;
  }
  const group = step.groups.get(command.groupId);
  if (command.memberId !== '' && (group === undefined || isEmptyConsumerGroup(group))) {
    return ErrorCode.UNKNOWN_MEMBER_ID;
  }
  return ErrorCode.NONE;
}

function isEmptyConsumerGroup(group: AnyGroup): boolean {
  return group instanceof ConsumerGroup && group.isEmpty;
}

function joinExistingGroup(step: GroupStep, group: Group, join: Join): void {
  const { command, request } = join;
  if (!hasRoomFor(step, group, command)) {
    turnAway(step, group, command.memberId);
    step.effects.reply(request, joinError(ErrorCode.GROUP_MAX_SIZE_REACHED, ''));
  } else if (!group.supports(command.protocolType, command.protocols)) {
    step.effects.reply(request, joinError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, command.memberId));
  } else if (command.memberId !== '') {
    rejoin(step, group, join);
  } else if (command.groupInstanceId !== null) {
    joinStatic(step, group, join);
  } else if (command.requiresKnownMemberId) {
    giveMemberId(step, group, join);
  } else {
    addMember(step, group, join);
  }
}

/**
 * While members rejoin, room is counted by those who have: so a group that has become too large loses the last to come.
 */
function hasRoomFor(step: GroupStep, group: Group, { memberId, groupInstanceId }: JoinCommand): boolean {
  const sizeMax = step.config.groupSizeMax;
  // One that has been started again takes nobody's room but its own.
  const formerId =
    memberId === '' && groupInstanceId !== null ? group.staticMembers.get(groupInstanceId) : undefined;
  const member = group.members.get(formerId ?? memberId);
  if (group.state === 'Empty') return true;
  if (group.state !== 'PreparingRebalance') return member !== undefined || group.members.size < sizeMax;
  return member?.awaitingJoin !== undefined || group.awaitingJoinCount < sizeMax;
}

function turnAway(step: GroupStep, group: Group, memberId: string): void {
  const member = group.members.get(memberId);
  if (member !== undefined) removeMember(step, group, member);
  removePendingMember(step, group, memberId);
  maybeCompleteJoin(step, group);
}

function giveMemberId(step: GroupStep, group: Group, { command, request }: Join): void {
  const memberId = command.freshMemberId;
  // Who has waited longest will hardly come any more; one that does is given another id.
  const [oldest] = group.pendingMembers.keys();
  if (group.pendingMembers.size >= pendingMembersMax) removePendingMember(step, group, oldest!);
  const timer = sessionTimer(group, memberId);
  group.pendingMembers.set(memberId, timer);
  step.effects.arm(timer, command.sessionTimeoutMs);
  step.effects.reply(request, joinError(ErrorCode.MEMBER_ID_REQUIRED, memberId));
}

function joinStatic(step: GroupStep, group: Group, join: Join): void {
  const oldMemberId = group.staticMembers.get(join.command.groupInstanceId!);
  if (oldMemberId === undefined) addMember(step, group, join);
  else replaceStatic(step, group, { ...join, oldMember: group.members.get(oldMemberId)! });
}

function addMember(step: GroupStep, group: Group, { command, request }: Join): void {
  const member = newMember(group, command);
  removePendingMember(step, group, member.memberId);
  group.add(member, command.protocolType);
  if (group.initialDelay !== undefined) group.newMemberAdded = true;
  awaitJoin(step, group, member, request);
  armSession(step, member, newMemberJoinTimeoutMs);
  rebalanceOrCompleteJoin(step, group);
}

function newMember(group: Group, command: JoinCommand): Member {
  const memberId = command.memberId === '' ? command.freshMemberId : command.memberId;
  return {
    memberId,
    groupInstanceId: command.groupInstanceId,
    clientId: command.clientId,
    clientHost: command.clientHost,
    sessionTimeoutMs: command.sessionTimeoutMs,
    rebalanceTimeoutMs: command.rebalanceTimeoutMs,
    protocols: ownProtocols(command.protocols),
    assignment: noAssignment,
    isNew: true,
    awaitingJoin: undefined,
    awaitingSync: undefined,
    sessionTimer: sessionTimer(group, memberId),
  };
}

function sessionTimer(group: Group, memberId: string): ShardTimer<GroupTimerEvent> {
  return new ShardTimer({ kind: 'session', groupId: group.groupId, memberId });
}

function rejoin(step: GroupStep, group: Group, join: Join): void {
  const { command, request } = join;
  if (group.pendingMembers.has(command.memberId) && command.groupInstanceId === null) {
    addMember(step, group, join);
    return;
  }
  const errorCode = checkMember(group, command.memberId, command.groupInstanceId);
  if (errorCode !== ErrorCode.NONE) {
    step.effects.reply(request, joinError(errorCode, command.memberId));
    return;
  }
  const member = group.members.get(command.memberId)!;
  if (mayKeepGeneration(group, member, command)) {
    armSession(step, member);
    step.effects.reply(request, joinReply(group, member));
    return;
  }
  updateMember(step, group, { member, join });
  rebalanceOrCompleteJoin(step, group);
}

/**
 * Whether a member that joins again only needs to hear of the current generation: its first answer may have been lost.
 * A leader that joins again in a stable group wants a rebalance, for it may have seen the topics change.
 */
function mayKeepGeneration(group: Group, member: Member, command: JoinCommand): boolean {
  if (group.state === 'CompletingRebalance') return hasSameProtocols(member, command.protocols);
  return (
    group.state === 'Stable' &&
    group.leaderId !== member.memberId &&
    hasSameProtocols(member, command.protocols)
  );
}

function updateMember(step: GroupStep, group: Group, update: { member: Member; join: Join }): void {
  const { member, join } = update;
  group.setProtocols(member, ownProtocols(join.command.protocols));
  member.sessionTimeoutMs = join.command.sessionTimeoutMs;
  member.rebalanceTimeoutMs = join.command.rebalanceTimeoutMs;
  awaitJoin(step, group, member, join.request);
}

function replaceStatic(
  step: GroupStep,
  group: Group,
  replacement: Join & { readonly oldMember: Member },
): void {
  const { command, request, oldMember } = replacement;
  const oldLeaderId = group.leaderId;
  answerJoin(step, group, oldMember, joinError(ErrorCode.FENCED_INSTANCE_ID, oldMember.memberId));
  answerSync(step, oldMember, syncError(ErrorCode.FENCED_INSTANCE_ID));
  step.effects.disarm(oldMember.sessionTimer);
  const member: Member = { ...newMember(group, command), assignment: oldMember.assignment, isNew: false };
  group.replaceStatic(oldMember, member);
  armSession(step, member);
  const canStay =
    group.state === 'Stable' && canGoOn(group, { former: oldMember, returned: member }, step.topics);
  if (canStay && keepsStableGroup(step, group)) {
    step.effects.reply(request, replacementReply(group, member, { command, oldLeaderId }));
    return;
  }
  awaitJoin(step, group, member, request);
  // In CompletingRebalance the old member's id may be with the leader already, whose assignment would miss the new one.
  if (group.state === 'PreparingRebalance') maybeCompleteJoin(step, group);
  else prepareRebalance(step, group);
}

/** Tries to write the group down with the new member in place; false where a rebalance is needed after all. */
function keepsStableGroup(step: GroupStep, group: Group): boolean {
  if (group.selectProtocol() !== group.protocolName || !writeGroup(step, group)) return false;
  group.noteSubscriptions();
  return true;
}

/**
 * Clients that know `skipAssignment` hear the truth: a leader, with the members, that need not assign anything. Older
 * ones would assign if they were told that they lead, so they are told the leader's former id.
 */
function replacementReply(
  group: Group,
  member: Member,
  { command, oldLeaderId }: { command: JoinCommand; oldLeaderId: string | undefined },
) {
  const reply = joinReply(group, member);
  if (command.supportsSkipAssignment) return { ...reply, skipAssignment: group.leaderId === member.memberId };
  return { ...reply, leader: oldLeaderId ?? '', members: [] };
}
