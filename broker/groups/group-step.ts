/**
 * What the parts of the group state machine share: the step that is being carried out, and the small moves that each of
 * them makes (answering who waits, keeping sessions, writing the group down).
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { Effects, RequestId } from '../coordinator/state-machine.ts';
import type { GroupReply, GroupTimerEvent, JoinReply, SyncReply } from './group-commands.ts';
import type { AnyGroup } from './any-group.ts';
import type { TopicsView } from './consumer/topics-view.ts';
import type { ConsumerGroupConfig, GroupConfig } from './group-config.ts';
import type { NoticeMigration } from './migration/migration-notice.ts';
import { encodeGroupKey, encodeGroupValue } from './group-records.ts';
import { noAssignment } from './group.ts';
import type { Group, Member } from './group.ts';

export interface GroupStep {
  readonly effects: Effects<GroupReply, GroupTimerEvent>;
  readonly config: GroupConfig;
  /** Of the group, as they are now. */
  readonly consumerConfig: (groupId: string) => ConsumerGroupConfig;
  readonly topics: TopicsView;
  readonly groups: Map<string, AnyGroup>;
  readonly noticeMigration: NoticeMigration;
}

export function joinError(errorCode: ErrorCode, memberId: string): JoinReply {
  return {
    errorCode,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    memberId,
    members: [],
  };
}

export function syncError(errorCode: ErrorCode): SyncReply {
  return { errorCode, protocolType: null, protocolName: null, assignment: noAssignment };
}

/** The join reply of the group's current generation; only the leader is told of the members. */
export function joinReply(group: Group, member: Member): JoinReply {
  return {
    errorCode: ErrorCode.NONE,
    generationId: group.generationId,
    protocolType: group.protocolType ?? null,
    protocolName: group.protocolName ?? null,
    leader: group.leaderId ?? '',
    skipAssignment: false,
    memberId: member.memberId,
    members: group.leaderId === member.memberId ? joinedMembers(group) : [],
  };
}

function joinedMembers(group: Group): JoinReply['members'] {
  return [...group.members.values()].map((member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    metadata: group.metadataOf(member),
  }));
}

/** (Re)starts a member's session: it is gone unless heard of within `timeoutMs`. */
export function armSession(step: GroupStep, member: Member, timeoutMs = member.sessionTimeoutMs): void {
  step.effects.arm(member.sessionTimer, timeoutMs);
}

/** A member that asks to join again while it waits has given up the first request, which must not stay unanswered. */
export function awaitJoin(step: GroupStep, group: Group, member: Member, request: RequestId): void {
  answerJoin(step, group, member, joinError(ErrorCode.REBALANCE_IN_PROGRESS, member.memberId));
  member.awaitingJoin = request;
  group.awaitingJoinCount += 1;
}

export function answerJoin(step: GroupStep, group: Group, member: Member, reply: JoinReply): void {
  if (member.awaitingJoin === undefined) return;
  step.effects.reply(member.awaitingJoin, reply);
  member.awaitingJoin = undefined;
  group.awaitingJoinCount -= 1;
}

/** Answering a SyncGroup restarts the session, which was not watched while the member waited. */
export function answerSync(step: GroupStep, member: Member, reply: SyncReply): void {
  if (member.awaitingSync === undefined) return;
  step.effects.reply(member.awaitingSync, reply);
  member.awaitingSync = undefined;
  armSession(step, member);
}

/** Takes a member out of its group; whatever it waits for is answered with `errorCode`. */
export function removeMember(
  step: GroupStep,
  group: Group,
  member: Member,
  errorCode: ErrorCode = ErrorCode.UNKNOWN_MEMBER_ID,
): void {
  const memberId = errorCode === ErrorCode.UNKNOWN_MEMBER_ID ? '' : member.memberId;
  answerJoin(step, group, member, joinError(errorCode, memberId));
  answerSync(step, member, syncError(errorCode));
  step.effects.disarm(member.sessionTimer);
  group.remove(member);
}

export function removePendingMember(step: GroupStep, group: Group, memberId: string): boolean {
  const timer = group.pendingMembers.get(memberId);
  if (timer === undefined) return false;
  step.effects.disarm(timer);
  return group.pendingMembers.delete(memberId);
}

/** Drops a group of which nothing was ever written and nothing is left. */
export function maybeForget(step: GroupStep, group: AnyGroup): void {
  if (group.isForgettable) step.groups.delete(group.groupId);
}

/** Writes the group as it is. False, and nothing is written, where the record would be larger than the log takes. */
export function writeGroup(
  step: GroupStep,
  group: Group,
  assignmentOf = (member: Member) => member.assignment,
): boolean {
  const key = encodeGroupKey(group.groupId);
  const value = encodeGroupValue(group, assignmentOf);
  if (key.length + value.length > step.effects.recordSizeBytesMax) return false;
  step.effects.append(key, value);
  group.hasRecord = true;
  return true;
}

/** NONE where the ids name a current member of the group. */
export function checkMember(group: Group, memberId: string, groupInstanceId: string | null): ErrorCode {
  if (groupInstanceId !== null) {
    const holder = group.staticMembers.get(groupInstanceId);
    if (holder === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (holder !== memberId) return ErrorCode.FENCED_INSTANCE_ID;
  }
  return group.members.has(memberId) ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID;
}
