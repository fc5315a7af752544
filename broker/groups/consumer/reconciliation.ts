/**
 * One step of a member towards its target assignment (KIP-848, "Reconciliation"). Pure.
 *
 * A member first gives up what it is not to have any more, and stays in its epoch until it says that it has. Then it goes to the epoch
 * of the target, with what is free of what it is to get; the rest it gets as others give it up. So a partition is never with two
 * members, and a member that gives up nothing goes on with what it has meanwhile.
 */
import {
  difference,
  filtered,
  intersection,
  isSameAssignment,
  noPartitions,
  union,
} from './assigned-partitions.ts';
import type { AssignedPartitions } from './assigned-partitions.ts';
import type { ConsumerMember } from './consumer-member.ts';

export interface Target {
  readonly epoch: number;
  /** What this member is to have. */
  readonly assigned: AssignedPartitions;
  /** Whether no member has the partition, or is still to give it up. */
  readonly isFree: (topicId: string, partition: number) => boolean;
}

/** `owned`: what the member says that it has; undefined where it does not say. The same object where nothing changes. */
export function reconcile(
  member: ConsumerMember,
  target: Target,
  owned: AssignedPartitions | undefined,
): ConsumerMember {
  if (member.state === 'stable' && member.epoch === target.epoch) return member;
  if (member.state !== 'unrevoked') return step(member, member.epoch, { target, owned });
  if (!hasGivenUp(member.pendingRevocation, owned)) return member;
  // It has left the epoch in which it had to give them up; the target may have moved on since.
  return step(member, member.epoch + 1, { target, owned });
}

function hasGivenUp(partitions: AssignedPartitions, owned: AssignedPartitions | undefined): boolean {
  return owned !== undefined && intersection(owned, partitions).size === 0;
}

function step(
  member: ConsumerMember,
  epoch: number,
  { target, owned }: { readonly target: Target; readonly owned: AssignedPartitions | undefined },
): ConsumerMember {
  const kept = intersection(member.assigned, target.assigned);
  const pendingRevocation = difference(member.assigned, kept);
  if (pendingRevocation.size > 0 && !hasGivenUp(pendingRevocation, owned)) {
    return inEpoch(member, epoch, { state: 'unrevoked', assigned: kept, pendingRevocation });
  }
  const wanted = difference(target.assigned, kept);
  const free = filtered(wanted, (topicId) => (partition) => target.isFree(topicId, partition));
  const isWhole = isSameAssignment(wanted, free);
  return inEpoch(member, target.epoch, {
    state: isWhole ? 'stable' : 'unreleased',
    assigned: union(kept, free),
    pendingRevocation: noPartitions,
  });
}

function inEpoch(
  member: ConsumerMember,
  epoch: number,
  change: Pick<ConsumerMember, 'state' | 'assigned' | 'pendingRevocation'>,
): ConsumerMember {
  const isLater = epoch > member.epoch;
  return { ...member, ...change, epoch, previousEpoch: isLater ? member.epoch : member.previousEpoch };
}
