/**
 * JoinGroup of a consumer group that has members: whoever takes part by the classic protocol comes in, and comes to its part of the
 * target assignment, as others do by heartbeats of KIP-848 ("Online migration").
 *
 * It is answered at once, with a generation that is the member's epoch and no leader: the coordinator shares the partitions out. What
 * the member says in its subscription that it has is what it has not given up; one that gives up all before it joins, as the eager
 * ones do, says nothing there.
 */
import { ErrorCode } from '../../../protocol/index.ts';
import type { RequestId } from '../../coordinator/state-machine.ts';
import type { ConsumerGroup } from '../consumer/consumer-group.ts';
import { joiningEpoch, newMember } from '../consumer/consumer-member.ts';
import type { ConsumerMember } from '../consumer/consumer-member.ts';
import { replaceStaticMember } from '../consumer/consumer-leaving.ts';
import { encodeConsumerRecord } from '../consumer/consumer-records.ts';
import { armMemberSession, countMember, putMember, reconcileMember } from '../consumer/consumer-step.ts';
import { maybeAssign } from '../consumer/assigning.ts';
import type { JoinCommand } from '../group-commands.ts';
import { joinError } from '../group-step.ts';
import type { GroupStep } from '../group-step.ts';
import { ownProtocols } from '../group.ts';
import { consumerProtocolType, joinedSubscription } from './embedded-protocol.ts';
import { maybeDowngrade } from './downgrade.ts';
import type { Subscription } from './embedded-protocol.ts';

interface Joining {
  /** As it was, or as a new one begins. */
  readonly before: ConsumerMember;
  /** Whose place it takes. */
  readonly former: ConsumerMember | undefined;
}

/** 'downgraded': it takes the place of the last member of KIP-848, so that the group is a classic one now, which it is yet to join. */
export function joinConsumerGroup(
  step: GroupStep,
  group: ConsumerGroup,
  { command, request }: { readonly command: JoinCommand; readonly request: RequestId },
): 'answered' | 'downgraded' {
  const { memberId, groupInstanceId } = command;
  const refuse = (errorCode: ErrorCode, id = memberId) => {
    step.effects.reply(request, joinError(errorCode, id));
    return 'answered' as const;
  };
  if (isFull(step, group, command)) return refuse(ErrorCode.GROUP_MAX_SIZE_REACHED, '');
  const joining = identify(group, command);
  if (typeof joining === 'number') return refuse(joining);
  const subscription = acceptable(step, group, { command, joining });
  if (typeof subscription === 'string') {
    step.noticeMigration({ kind: 'not-joined', groupId: group.groupId, reason: subscription });
    return refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
  }
  // Who says that it has something, and is not known, has been put out: it is to give up all before it comes anew.
  const isOut = joining.former === undefined && !group.members.has(joining.before.memberId);
  if (isOut && subscription.owned.size > 0) return refuse(ErrorCode.UNKNOWN_MEMBER_ID);
  if (memberId === '' && groupInstanceId === null && command.requiresKnownMemberId) {
    return refuse(ErrorCode.MEMBER_ID_REQUIRED, command.freshMemberId);
  }
  const { former } = joining;
  if (former !== undefined) {
    const replacement = described(joining.before, withOwnProtocols(command), subscription);
    if (maybeDowngrade(step, group, former.memberId, replacement)) return 'downgraded';
  }
  const member = takeIn(step, group, { command, joining, subscription });
  step.effects.reply(request, {
    ...joinError(ErrorCode.NONE, member.memberId),
    generationId: member.epoch,
    protocolType: consumerProtocolType,
    protocolName: member.classic!.protocols[0]!.name,
  });
  return 'answered';
}

function isFull(step: GroupStep, group: ConsumerGroup, { memberId, groupInstanceId }: JoinCommand): boolean {
  const isKnown = group.members.has(memberId) || group.staticMembers.has(groupInstanceId ?? '');
  return !isKnown && group.members.size >= step.consumerConfig(group.groupId).sizeMax;
}

/** A dynamic member with an id may have been given it a moment ago, by this coordinator or the one before. */
function identify(group: ConsumerGroup, command: JoinCommand): Joining | ErrorCode {
  const { memberId, groupInstanceId, freshMemberId } = command;
  const holder = groupInstanceId === null ? undefined : group.staticMember(groupInstanceId);
  if (memberId === '') {
    const before =
      holder === undefined
        ? newMember(freshMemberId)
        : { ...holder, memberId: freshMemberId, epoch: joiningEpoch, previousEpoch: joiningEpoch };
    return { before, former: holder };
  }
  if (groupInstanceId !== null) {
    if (holder === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (holder.memberId !== memberId) return ErrorCode.FENCED_INSTANCE_ID;
  }
  const known = group.members.get(memberId);
  if (known?.classic === null) return ErrorCode.UNKNOWN_MEMBER_ID;
  return { before: known ?? newMember(memberId), former: undefined };
}

/** What the member subscribes to; why it cannot join, as a sentence without subject, where it cannot. */
function acceptable(
  step: GroupStep,
  group: ConsumerGroup,
  { command, joining }: { readonly command: JoinCommand; readonly joining: Joining },
): Subscription | string {
  const { protocolType, protocols } = command;
  if (protocolType !== consumerProtocolType) {
    return `a member of the protocol type "${protocolType}" cannot be in it`;
  }
  const present = group.members.get((joining.former ?? joining.before).memberId);
  if (!group.classicProtocols.areSupported(protocols, present)) {
    return 'a member shares no protocol with the others that go by the classic one';
  }
  const subscription = joinedSubscription(protocols, step.topics);
  if (subscription === undefined) return 'the bytes of a member are no subscription of a consumer';
  const { memberId, ...value } = described(joining.before, command, subscription);
  const record = encodeConsumerRecord({ kind: 'member', group: group.groupId, memberId, value });
  if (record.key.length + record.value!.length <= step.effects.recordSizeBytesMax) return subscription;
  return 'what a member says of itself is more than a record takes';
}

function takeIn(
  step: GroupStep,
  group: ConsumerGroup,
  { command, joining, subscription }: { command: JoinCommand; joining: Joining; subscription: Subscription },
): ConsumerMember {
  const { before, former } = joining;
  const { memberId } = before;
  const member = described(before, withOwnProtocols(command), subscription);
  if (former !== undefined) replaceStaticMember(step, group, { former, member: before });
  const present = group.members.get(memberId);
  putMember(step, group, member);
  countMember(step, group, { before: present, memberId });
  maybeAssign(step, group);
  const reconciled = reconcileMember(step, group, { memberId, owned: subscription.owned });
  const { join, sync } = group.timersOf(memberId);
  step.effects.disarm(join);
  step.effects.arm(sync, member.rebalanceTimeoutMs);
  armMemberSession(step, group, memberId);
  return reconciled;
}

/** What it says outlives the bytes of its request. */
function withOwnProtocols(command: JoinCommand): JoinCommand {
  return { ...command, protocols: ownProtocols(command.protocols) };
}

/** The member as it says that it is. */
function described(before: ConsumerMember, command: JoinCommand, subscription: Subscription): ConsumerMember {
  const { sessionTimeoutMs, rebalanceTimeoutMs, protocols } = command;
  return {
    ...before,
    instanceId: command.groupInstanceId ?? before.instanceId,
    rackId: subscription.rackId ?? before.rackId,
    clientId: command.clientId,
    clientHost: command.clientHost,
    rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
    serverAssignor: null,
    topicNames: subscription.topicNames,
    topicRegex: '',
    classic: { sessionTimeoutMs, protocols },
  };
}
