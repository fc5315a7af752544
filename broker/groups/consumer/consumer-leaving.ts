/** How members go: by themselves, for a while or for good, and where they are not heard of or do not give up what they are to. */
import { ErrorCode } from '../../../protocol/index.ts';
import type { GroupStep } from '../group-step.ts';
import { maybeDowngrade } from '../migration/downgrade.ts';
import { maybeAssign } from './assigning.ts';
import { noPartitions } from './assigned-partitions.ts';
import type { ConsumerHeartbeatCommand, ConsumerHeartbeatReply } from './consumer-commands.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { staticLeavingEpoch } from './consumer-member.ts';
import type { ConsumerMember } from './consumer-member.ts';
import { bumpEpoch, dropMember, dropUnusedPatterns, putMember, setTarget } from './consumer-step.ts';

/** A static member that leaves for a while keeps its part until its session ends: whoever comes back as it takes it over. */
export function leave(
  step: GroupStep,
  group: ConsumerGroup,
  { command, member }: { readonly command: ConsumerHeartbeatCommand; readonly member: ConsumerMember },
): ConsumerHeartbeatReply {
  const { memberId, memberEpoch } = command;
  if (memberEpoch === staticLeavingEpoch) {
    step.effects.disarm(group.timersOf(memberId).revocation);
    const away = { epoch: staticLeavingEpoch, state: 'stable', pendingRevocation: noPartitions } as const;
    putMember(step, group, { ...member, ...away });
  } else {
    fenceMember(step, group, memberId);
  }
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    memberId,
    memberEpoch,
    heartbeatIntervalMs: 0,
    assignment: null,
    stalePatterns: [],
  };
}

/**
 * What the member had is for others. It has to join anew if it is there still. The group may be a classic one then, with the members
 * that are left.
 */
export function fenceMember(step: GroupStep, group: ConsumerGroup, memberId: string): void {
  if (maybeDowngrade(step, group, memberId)) return;
  dropMember(step, group, memberId);
  dropUnusedPatterns(step, group);
  bumpEpoch(step, group);
  maybeAssign(step, group);
}

export function onConsumerSessionTimeout(step: GroupStep, group: ConsumerGroup, memberId: string): void {
  if (group.members.has(memberId)) fenceMember(step, group, memberId);
}

/** It has not given up in time what it is to give up: others wait for it. */
export function onRevocationTimeout(step: GroupStep, group: ConsumerGroup, memberId: string): void {
  if (group.members.get(memberId)?.state === 'unrevoked') fenceMember(step, group, memberId);
}

/** A static member is there again under another member id, and has what its former self had. */
export function replaceStaticMember(
  step: GroupStep,
  group: ConsumerGroup,
  { former, member }: { readonly former: ConsumerMember; readonly member: ConsumerMember },
): void {
  const target = group.targetOf(former.memberId);
  dropMember(step, group, former.memberId);
  putMember(step, group, member);
  setTarget(step, group, [member.memberId, target]);
}
