/**
 * A classic group with members becomes a consumer group with the first member of KIP-848 that joins ("Online migration"). Its
 * members stay members, in an epoch that is the generation, and go on by the classic protocol (`classic-membership.ts`).
 *
 * Each has what it may still be reading: what it was assigned, and what it said when it last joined that it had. Nobody else gets
 * that before it has joined again without it. Members that have never got through a join have nothing; they are told to join again.
 *
 * The record of the classic group is written off last. Until then it counts, and what has been written of the consumer group does not
 * (`interrupted-migrations.ts`): a group is of one protocol after any of the records.
 */
import { ErrorCode } from '../../../protocol/index.ts';
import { difference, noPartitions, union } from '../consumer/assigned-partitions.ts';
import type { AssignedPartitions } from '../consumer/assigned-partitions.ts';
import { ConsumerGroup } from '../consumer/consumer-group.ts';
import { newMember } from '../consumer/consumer-member.ts';
import type { ConsumerMember } from '../consumer/consumer-member.ts';
import { armMemberSession, bumpEpoch, putMember, setTarget, writeRecord } from '../consumer/consumer-step.ts';
import { encodeConsumerRecord } from '../consumer/consumer-records.ts';
import { encodeGroupKey } from '../group-records.ts';
import { removeMember, removePendingMember } from '../group-step.ts';
import type { GroupStep } from '../group-step.ts';
import type { Group, Member } from '../group.ts';
import { assignmentOf, subscriptionOf } from './embedded-protocol.ts';
import type { Subscription } from './embedded-protocol.ts';

export type Upgraded =
  | { readonly kind: 'upgraded'; readonly group: ConsumerGroup }
  /** As a sentence without subject; nothing was changed. */
  | { readonly kind: 'refused'; readonly reason: string };

interface Read {
  readonly member: Member;
  readonly subscription: Subscription;
  readonly assigned: AssignedPartitions;
}

export function upgrade(step: GroupStep, former: Group): Upgraded {
  const reason = refusalOf(step, former);
  const converted = reason === undefined ? convertedMembers(step, former) : undefined;
  if (converted === undefined || !fit(step, former.groupId, converted)) {
    return refused(
      step,
      former,
      reason ?? 'what its members say of themselves cannot be read, or not be kept',
    );
  }
  const group = new ConsumerGroup(former.groupId, { offsets: former.offsets });
  forgetMembers(step, former);
  step.groups.set(group.groupId, group);
  for (const member of converted) {
    putMember(step, group, member);
    setTarget(step, group, [member.memberId, member.assigned]);
    armMemberSession(step, group, member.memberId);
  }
  if (converted.length > 0) goOnFrom(step, group, former.generationId);
  if (former.hasRecord) step.effects.append(encodeGroupKey(group.groupId), null);
  step.noticeMigration({ kind: 'upgraded', groupId: group.groupId, reason: '' });
  return { kind: 'upgraded', group };
}

function refusalOf(step: GroupStep, { groupId, members, usesConsumerProtocol }: Group): string | undefined {
  const { migrationPolicy, sizeMax } = step.consumerConfig(groupId);
  if (migrationPolicy !== 'upgrade' && migrationPolicy !== 'bidirectional') {
    return `group.consumer.migration.policy is ${migrationPolicy}`;
  }
  if (!usesConsumerProtocol) return 'its members are no consumers';
  if (members.size > sizeMax) {
    return `it has ${members.size} members, and group.consumer.max.size is ${sizeMax}`;
  }
  return undefined;
}

function refused(step: GroupStep, { groupId }: Group, reason: string): Upgraded {
  step.noticeMigration({ kind: 'not-upgraded', groupId, reason });
  return { kind: 'refused', reason };
}

/** Undefined where bytes of a member cannot be read. */
function convertedMembers({ topics }: GroupStep, group: Group): readonly ConsumerMember[] | undefined {
  const read = [];
  for (const member of group.members.values()) {
    if (member.isNew) continue;
    const metadata = chosenMetadata(group, member);
    const subscription = metadata && subscriptionOf(metadata, topics);
    const assigned = assignmentOf(member.assignment, topics);
    if (subscription === undefined || assigned === undefined) return undefined;
    read.push({ member, subscription, assigned });
  }
  return withoutOverlaps(read).map((each) => consumerMember(each, group.generationId));
}

/** Since the generation began the member may have changed what it supports. */
function chosenMetadata({ protocolName }: Group, { protocols }: Member): Buffer | undefined {
  const chosen = protocols.find(({ name }) => name === protocolName) ?? protocols[0];
  return chosen?.metadata;
}

/** What one is assigned nobody else is said to have; what several are, or say that they have, the first of them has. */
function withoutOverlaps(read: readonly Read[]): readonly Read[] {
  let taken = noPartitions;
  const take = (wanted: AssignedPartitions): AssignedPartitions => {
    const free = difference(wanted, taken);
    taken = union(taken, free);
    return free;
  };
  const assigned = read.map((each) => ({ ...each, assigned: take(each.assigned) }));
  return assigned.map((each) => ({ ...each, assigned: union(each.assigned, take(each.subscription.owned)) }));
}

function consumerMember({ member, subscription, assigned }: Read, epoch: number): ConsumerMember {
  const { memberId, sessionTimeoutMs, rebalanceTimeoutMs, protocols } = member;
  return {
    ...newMember(memberId),
    instanceId: member.groupInstanceId,
    rackId: subscription.rackId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    rebalanceTimeoutMs,
    topicNames: subscription.topicNames,
    classic: { sessionTimeoutMs, protocols },
    epoch,
    previousEpoch: epoch,
    assigned,
  };
}

function fit({ effects }: GroupStep, group: string, members: readonly ConsumerMember[]): boolean {
  return members.every(({ memberId, ...value }) => {
    const record = encodeConsumerRecord({ kind: 'member', group, memberId, value });
    return record.key.length + record.value!.length <= effects.recordSizeBytesMax;
  });
}

/** All of them are to join again: who waits for an answer is told so at once. */
function forgetMembers(step: GroupStep, group: Group): void {
  const { REBALANCE_IN_PROGRESS } = ErrorCode;
  for (const member of group.members.values()) removeMember(step, group, member, REBALANCE_IN_PROGRESS);
  for (const memberId of group.pendingMembers.keys()) removePendingMember(step, group, memberId);
  step.effects.disarm(group.joinTimer);
  step.effects.disarm(group.syncTimer);
}

/**
 * What the members have is the target of the last generation, to which they have come. Another one is due, whoever joins: what they
 * have need not be all that there is, where they were about to share it out anew.
 */
function goOnFrom(step: GroupStep, group: ConsumerGroup, generationId: number): void {
  group.epoch = generationId;
  bumpEpoch(step, group);
  group.assignedFor(generationId, 0);
  const value = { epoch: generationId, assignedAtMs: 0 };
  writeRecord(step, { kind: 'target-metadata', group: group.groupId, value });
}
