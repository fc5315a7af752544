/**
 * Who a heartbeat is from: a member as it is known, a new one, or a static one that takes the place of its former self. Nothing is
 * changed here; what is wrong comes out as a refusal.
 */
import { ErrorCode } from '../../../protocol/index.ts';
import { assignedFrom, isSubset, noPartitions } from './assigned-partitions.ts';
import type { ConsumerHeartbeatCommand, ConsumerRefusal } from './consumer-commands.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { joiningEpoch, newMember, staticLeavingEpoch } from './consumer-member.ts';
import type { ConsumerMember } from './consumer-member.ts';

export type Identified =
  | { readonly kind: 'known'; readonly member: ConsumerMember }
  /** In a group that does not have it yet. */
  | { readonly kind: 'new'; readonly member: ConsumerMember }
  /** A static member under another member id, which gets what its former self had. */
  | { readonly kind: 'replaces'; readonly former: ConsumerMember; readonly member: ConsumerMember }
  | { readonly kind: 'refused'; readonly refusal: ConsumerRefusal };

/** Of a request that joins. */
export function identifyJoining(
  group: ConsumerGroup,
  { memberId, instanceId }: ConsumerHeartbeatCommand,
): Identified {
  const former = instanceId === null ? undefined : group.staticMember(instanceId);
  if (former !== undefined && former.memberId !== memberId) {
    // One of the classic protocol is known by its instance id alone, and says nothing when it leaves for a while.
    if (former.epoch !== staticLeavingEpoch && former.classic === null) {
      return refused(
        ErrorCode.UNRELEASED_INSTANCE_ID,
        `Static member ${memberId} with instance id ${instanceId} cannot join the group because the instance id is ` +
          `used by ${former.memberId} member.`,
      );
    }
    const member = { ...former, memberId, epoch: joiningEpoch, previousEpoch: joiningEpoch };
    return { kind: 'replaces', former, member };
  }
  const known = group.members.get(memberId);
  if (known === undefined) return { kind: 'new', member: newMember(memberId) };
  if (known.epoch === staticLeavingEpoch) {
    return { kind: 'known', member: { ...known, epoch: joiningEpoch, previousEpoch: joiningEpoch } };
  }
  // It says that it has nothing, which holds for what it was to give up as well.
  const anew = { epoch: joiningEpoch, previousEpoch: joiningEpoch, state: 'stable' as const };
  return {
    kind: 'known',
    member: { ...known, ...anew, assigned: noPartitions, pendingRevocation: noPartitions },
  };
}

/** Of a request that goes on, or leaves. */
export function identifyMember(group: ConsumerGroup, command: ConsumerHeartbeatCommand): Identified {
  const { memberId, memberEpoch } = command;
  const refusal = checkInstance(group, command);
  if (refusal !== undefined) return { kind: 'refused', refusal };
  const member = group.members.get(memberId);
  if (member === undefined) {
    return refused(
      ErrorCode.UNKNOWN_MEMBER_ID,
      `Member ${memberId} is not a member of group ${group.groupId}.`,
    );
  }
  if (member.classic !== null) {
    return refused(
      ErrorCode.UNKNOWN_MEMBER_ID,
      `Member ${memberId} takes part in group ${group.groupId} by the classic protocol.`,
    );
  }
  return memberEpoch > 0 && !isEpochAccepted(member, command)
    ? refused(ErrorCode.FENCED_MEMBER_EPOCH, fencedMessage(member, memberEpoch))
    : { kind: 'known', member };
}

function checkInstance(
  group: ConsumerGroup,
  { memberId, instanceId }: ConsumerHeartbeatCommand,
): ConsumerRefusal | undefined {
  if (instanceId === null) return undefined;
  const holder = group.staticMember(instanceId);
  if (holder === undefined) {
    return { errorCode: ErrorCode.UNKNOWN_MEMBER_ID, message: `Instance id ${instanceId} is unknown.` };
  }
  if (holder.memberId === memberId) return undefined;
  return {
    errorCode: ErrorCode.FENCED_INSTANCE_ID,
    message:
      `Static member ${memberId} with instance id ${instanceId} was fenced by the group coordinator: ` +
      `member ${holder.memberId} has it now.`,
  };
}

/** Also the epoch before, where the answer that told the present one may have been lost, and it has nothing that it should not. */
function isEpochAccepted(member: ConsumerMember, { memberEpoch, owned }: ConsumerHeartbeatCommand): boolean {
  if (memberEpoch === member.epoch) return true;
  return (
    memberEpoch < member.epoch &&
    memberEpoch === member.previousEpoch &&
    owned !== null &&
    isSubset(assignedFrom(owned), member.assigned)
  );
}

function fencedMessage(member: ConsumerMember, memberEpoch: number): string {
  const difference = memberEpoch > member.epoch ? 'greater' : 'smaller';
  return (
    `The consumer group member has a ${difference} member epoch (${memberEpoch}) than the one known by the group ` +
    `coordinator (${member.epoch}). The member must abandon all its partitions and rejoin.`
  );
}

function refused(errorCode: ErrorCode, message: string): Identified {
  return { kind: 'refused', refusal: { errorCode, message } };
}
