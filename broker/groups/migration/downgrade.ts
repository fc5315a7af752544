/**
 * A consumer group becomes a classic one when the last of its members goes that took part by KIP-848, and all who stay go by the
 * classic protocol ("Online migration"). They keep what they have, in a generation that is the group's epoch, and are at once told to
 * join again: from now on a member shares the partitions out. A coordinator that takes over before they have joined tells them as well.
 *
 * The record of the classic group is written first, and counts from then on, whatever of the consumer group is not written off yet
 * (`interrupted-migrations.ts`).
 */
import { ShardTimer } from '../../coordinator/shard-timers.ts';
import { union } from '../consumer/assigned-partitions.ts';
import type { ConsumerGroup } from '../consumer/consumer-group.ts';
import type { ConsumerMember } from '../consumer/consumer-member.ts';
import { dropMember } from '../consumer/consumer-step.ts';
import { forgetConsumerGroup } from '../consumer/taking-over.ts';
import { armSession, writeGroup } from '../group-step.ts';
import type { GroupStep } from '../group-step.ts';
import { Group } from '../group.ts';
import type { Member } from '../group.ts';
import { prepareRebalance } from '../rebalance.ts';
import { consumerProtocolType, encodedAssignment } from './embedded-protocol.ts';

/**
 * With `leavingId` the last of its protocol goes; false, and nothing is changed, where it is not the last, or the group must stay as it is.
 * `replacement`: a static member of the classic protocol that takes its place, and what it had, and is yet to join.
 */
export function maybeDowngrade(
  step: GroupStep,
  former: ConsumerGroup,
  leavingId: string,
  replacement?: ConsumerMember,
): boolean {
  const staying = [...former.members.values()].filter(({ memberId }) => memberId !== leavingId);
  if (replacement !== undefined) staying.push(replacement);
  if (staying.length === 0 || !isLastOfItsProtocol(former, leavingId)) return false;
  const reason = refusalOf(step, former, staying);
  const group = reason === undefined ? classicGroup(step, former, staying) : undefined;
  if (group === undefined || !writeGroup(step, group)) {
    const { groupId } = former;
    step.noticeMigration({ kind: 'not-downgraded', groupId, reason: reason ?? 'no record can hold it' });
    return false;
  }
  for (const memberId of former.members.keys()) dropMember(step, former, memberId);
  forgetConsumerGroup(step, former);
  step.groups.set(group.groupId, group);
  for (const member of group.members.values()) armSession(step, member);
  prepareRebalance(step, group);
  step.noticeMigration({ kind: 'downgraded', groupId: group.groupId, reason: '' });
  return true;
}

/** Where one of the classic protocol goes the group has been without others before, and has stayed as it is. */
function isLastOfItsProtocol({ members, classicProtocols }: ConsumerGroup, memberId: string): boolean {
  return members.get(memberId)?.classic === null && classicProtocols.memberCount === members.size - 1;
}

function refusalOf(
  step: GroupStep,
  { groupId, classicProtocols }: ConsumerGroup,
  staying: readonly ConsumerMember[],
): string | undefined {
  const { migrationPolicy } = step.consumerConfig(groupId);
  if (migrationPolicy !== 'downgrade' && migrationPolicy !== 'bidirectional') {
    return `group.consumer.migration.policy is ${migrationPolicy}`;
  }
  if (staying.length > step.config.groupSizeMax) {
    return `it has ${staying.length} members, and group.max.size is ${step.config.groupSizeMax}`;
  }
  if (!classicProtocols.areSupported(staying[0]!.classic!.protocols)) {
    return 'its members have no protocol in common';
  }
  return undefined;
}

function classicGroup(
  step: GroupStep,
  { groupId, epoch, offsets }: ConsumerGroup,
  staying: readonly ConsumerMember[],
): Group {
  const group = new Group(groupId, step.effects.wallMs, offsets);
  group.generationId = epoch;
  for (const member of staying) group.add(classicMember(groupId, member), consumerProtocolType);
  group.state = 'Stable';
  group.isRebalanceDue = true;
  group.protocolName = group.selectProtocol();
  group.noteSubscriptions();
  for (const { memberId, assigned, pendingRevocation } of staying) {
    const member = group.members.get(memberId)!;
    const held = union(assigned, pendingRevocation);
    member.assignment = encodedAssignment(held, step.topics, { metadata: group.metadataOf(member) });
  }
  return group;
}

function classicMember(groupId: string, member: ConsumerMember): Member {
  const { memberId } = member;
  const { sessionTimeoutMs, protocols } = member.classic!;
  return {
    memberId,
    groupInstanceId: member.instanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    sessionTimeoutMs,
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    protocols,
    assignment: Buffer.alloc(0),
    isNew: false,
    awaitingJoin: undefined,
    awaitingSync: undefined,
    sessionTimer: new ShardTimer({ kind: 'session', groupId, memberId }),
  };
}
