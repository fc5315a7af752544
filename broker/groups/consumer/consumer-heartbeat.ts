/**
 * ConsumerGroupHeartbeat (KIP-848): how members join, are given partitions, give them up, and leave.
 *
 * A heartbeat carries out three things: it takes in what the member says of itself, makes a new target assignment where one is due,
 * and brings the member a step towards its part of it. What the member has to do then is in the answer. Whatever can be refused is
 * refused before anything is changed.
 */
import { ErrorCode } from '../../../protocol/index.ts';
import type { RequestId } from '../../coordinator/state-machine.ts';
import type { GroupStep } from '../group-step.ts';
import { upgrade } from '../migration/upgrade.ts';
import { maybeAssign } from './assigning.ts';
import { assignedFrom, isSameAssignment } from './assigned-partitions.ts';
import type {
  ConsumerHeartbeatCommand,
  ConsumerHeartbeatReply,
  ConsumerRefusal,
} from './consumer-commands.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { joiningEpoch } from './consumer-member.ts';
import type { ConsumerMember } from './consumer-member.ts';
import { identifyJoining, identifyMember } from './consumer-membership.ts';
import type { Identified } from './consumer-membership.ts';
import { leave, replaceStaticMember } from './consumer-leaving.ts';
import { stalePatterns } from './consumer-patterns.ts';
import { armMemberSession, countMember, putMember, reconcileMember, setPattern } from './consumer-step.ts';
import { checkHeartbeat } from './heartbeat-checks.ts';
import { takeOverClassicGroup } from './taking-over.ts';

/** How often members are heard of, at most, while the group has not settled: what one gives up another waits for. */
const unsettledHeartbeatMs = 500;

export function consumerHeartbeat(
  step: GroupStep,
  command: ConsumerHeartbeatCommand,
  request: RequestId,
): void {
  const config = step.consumerConfig(command.groupId);
  const refusal = checkHeartbeat(command, config, step.effects.recordSizeBytesMax);
  const reply = refusal === undefined ? answer(step, command) : heartbeatRefusal(command, refusal);
  step.effects.reply(request, reply);
}

/** As the request is answered that is refused for this reason. */
export function heartbeatRefusal(
  { memberId }: Pick<ConsumerHeartbeatCommand, 'memberId'>,
  { errorCode, message }: ConsumerRefusal,
): ConsumerHeartbeatReply {
  return {
    errorCode,
    errorMessage: message,
    memberId,
    memberEpoch: 0,
    heartbeatIntervalMs: 0,
    assignment: null,
    stalePatterns: [],
  };
}

function answer(step: GroupStep, command: ConsumerHeartbeatCommand): ConsumerHeartbeatReply {
  const { groupId, memberEpoch } = command;
  const isJoining = memberEpoch === joiningEpoch;
  const group = consumerGroup(step, { groupId, isJoining });
  if (!(group instanceof ConsumerGroup)) return heartbeatRefusal(command, group);
  const refusal = isJoining ? checkRoom(step, group, command) : undefined;
  if (refusal !== undefined) return heartbeatRefusal(command, refusal);
  const identified = isJoining ? identifyJoining(group, command) : identifyMember(group, command);
  if (identified.kind === 'refused') return heartbeatRefusal(command, identified.refusal);
  if (memberEpoch < joiningEpoch) return leave(step, group, { command, member: identified.member });
  return heartbeat(step, group, { command, identified });
}

/** Who joins makes the group, or has a classic one become it. */
function consumerGroup(
  step: GroupStep,
  { groupId, isJoining }: { readonly groupId: string; readonly isJoining: boolean },
): ConsumerGroup | ConsumerRefusal {
  const found = step.groups.get(groupId);
  if (found instanceof ConsumerGroup) return found;
  const { GROUP_ID_NOT_FOUND: errorCode } = ErrorCode;
  if (!isJoining) {
    if (found === undefined) return { errorCode, message: `Consumer group ${groupId} not found.` };
    const message = `Group ${groupId} is not a consumer group.`;
    // A member that was put out as the last of its protocol may come back, and have the group go over once more.
    return found.usesConsumerProtocol
      ? { errorCode: ErrorCode.UNKNOWN_MEMBER_ID, message }
      : { errorCode, message };
  }
  if (found === undefined || found.state === 'Empty') return takeOverClassicGroup(step, groupId);
  const upgraded = upgrade(step, found);
  if (upgraded.kind === 'upgraded') return upgraded.group;
  const message = `Group ${groupId} is not a consumer group, and cannot become one with its members: ${upgraded.reason}.`;
  return { errorCode, message };
}

function checkRoom(
  step: GroupStep,
  group: ConsumerGroup,
  { groupId, memberId, instanceId }: ConsumerHeartbeatCommand,
): ConsumerRefusal | undefined {
  const { sizeMax } = step.consumerConfig(groupId);
  const isKnown =
    group.members.has(memberId) || (instanceId !== null && group.staticMember(instanceId) !== undefined);
  if (isKnown || group.members.size < sizeMax) return undefined;
  return {
    errorCode: ErrorCode.GROUP_MAX_SIZE_REACHED,
    message: `The consumer group has reached its maximum capacity of ${sizeMax} members.`,
  };
}

interface Heartbeat {
  readonly command: ConsumerHeartbeatCommand;
  readonly identified: Exclude<Identified, { kind: 'refused' }>;
}

function heartbeat(
  step: GroupStep,
  group: ConsumerGroup,
  { command, identified }: Heartbeat,
): ConsumerHeartbeatReply {
  const { memberId } = command;
  if (identified.kind === 'replaces') replaceStaticMember(step, group, identified);
  const before = group.members.get(memberId);
  putMember(step, group, updated(identified.member, command));
  if (command.topicRegex !== null) notePattern(step, group, command);
  countMember(step, group, { before, memberId });
  maybeAssign(step, group);
  const owned = command.owned === null ? undefined : assignedFrom(command.owned);
  const member = reconcileMember(step, group, { memberId, owned });
  armMemberSession(step, group, memberId);
  const isAnew = isFullRequest(command) || before === undefined;
  const isChanged = isAnew || !isSameAssignment(before.assigned, member.assigned);
  return heartbeatReply(step, group, { member, isChanged });
}

/** What the member says of itself. */
function updated(member: ConsumerMember, command: ConsumerHeartbeatCommand): ConsumerMember {
  const { instanceId, rackId, rebalanceTimeoutMs, serverAssignor, topicNames, topicRegex } = command;
  const isSame =
    (instanceId === null || instanceId === member.instanceId) &&
    (rackId === null || rackId === member.rackId) &&
    (rebalanceTimeoutMs === -1 || rebalanceTimeoutMs === member.rebalanceTimeoutMs) &&
    (serverAssignor === null || serverAssignor === member.serverAssignor) &&
    topicNames === null &&
    topicRegex === null &&
    member.classic === null &&
    command.clientId === member.clientId &&
    command.clientHost === member.clientHost;
  if (isSame) return member;
  return {
    ...member,
    instanceId: instanceId ?? member.instanceId,
    rackId: rackId ?? member.rackId,
    rebalanceTimeoutMs: rebalanceTimeoutMs === -1 ? member.rebalanceTimeoutMs : rebalanceTimeoutMs,
    serverAssignor: serverAssignor ?? member.serverAssignor,
    classic: null,
    topicNames: topicNames === null ? member.topicNames : [...new Set(topicNames)].toSorted(),
    topicRegex: topicRegex ?? member.topicRegex,
    clientId: command.clientId,
    clientHost: command.clientHost,
  };
}

function notePattern(
  step: GroupStep,
  group: ConsumerGroup,
  { topicRegex, matchingTopics }: ConsumerHeartbeatCommand,
): void {
  if (topicRegex === null || topicRegex === '') return;
  const known = group.patterns.get(topicRegex)?.topics;
  if (known?.join('\n') === matchingTopics.join('\n')) return;
  setPattern(step, group, [topicRegex, { topics: matchingTopics, resolvedAtMs: step.effects.wallMs }]);
  // Others may name it as well.
  if (known !== undefined) group.topicsVersion = undefined;
}

/** One that says all of the member, as it does when it joins and after any error: it may not know what it was told before. */
function isFullRequest({
  memberEpoch,
  rebalanceTimeoutMs,
  owned,
  ...said
}: ConsumerHeartbeatCommand): boolean {
  const hasTopics = said.topicNames !== null || said.topicRegex !== null;
  return memberEpoch === joiningEpoch || (rebalanceTimeoutMs !== -1 && hasTopics && owned !== null);
}

function heartbeatReply(
  step: GroupStep,
  group: ConsumerGroup,
  { member, isChanged }: { readonly member: ConsumerMember; readonly isChanged: boolean },
): ConsumerHeartbeatReply {
  const { heartbeatIntervalMs } = step.consumerConfig(group.groupId);
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    memberId: member.memberId,
    memberEpoch: member.epoch,
    heartbeatIntervalMs:
      group.state === 'Stable' ? heartbeatIntervalMs : Math.min(heartbeatIntervalMs, unsettledHeartbeatMs),
    assignment: isChanged ? member.assigned : null,
    stalePatterns: stalePatterns(step, group),
  };
}
