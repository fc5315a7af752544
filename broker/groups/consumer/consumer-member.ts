/** A member of a consumer group (KIP-848), as it is durable. Immutable: a change is another object. */
import type { JoinProtocol } from '../group-commands.ts';
import { noPartitions } from './assigned-partitions.ts';
import type { AssignedPartitions } from './assigned-partitions.ts';

/**
 * Stable: it has what the target assignment gave it in its epoch. Unrevoked: it is to give up partitions, and stays in its epoch
 * until it has. Unreleased: it is in the epoch of the target, and waits for partitions that others have yet to give up.
 */
export type MemberState = 'stable' | 'unrevoked' | 'unreleased';

/** How a member takes part that goes by the classic protocol: with JoinGroup, SyncGroup and Heartbeat. */
export interface ClassicPart {
  readonly sessionTimeoutMs: number;
  /** In order of its preference; at least one, and all say the same of its subscription. The buffers are the member's own. */
  readonly protocols: readonly JoinProtocol[];
}

export interface ConsumerMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** -1 where it has not said. */
  readonly rebalanceTimeoutMs: number;
  /** Null: the group's default. */
  readonly serverAssignor: string | null;
  /** Ascending, each once. */
  readonly topicNames: readonly string[];
  /** Empty: none. */
  readonly topicRegex: string;
  /** Null where it takes part by heartbeats of KIP-848. */
  readonly classic: ClassicPart | null;
  /** 0 before its first assignment; -2 for a static member that is away and comes back. */
  readonly epoch: number;
  readonly previousEpoch: number;
  readonly state: MemberState;
  readonly assigned: AssignedPartitions;
  /** What it had until now and is to give up; nobody else gets it before. */
  readonly pendingRevocation: AssignedPartitions;
}

/** `memberEpoch` of a request: it joins; it is gone; it is a static member that is away for a while. */
export const joiningEpoch = 0;
export const leavingEpoch = -1;
export const staticLeavingEpoch = -2;

export function newMember(memberId: string): ConsumerMember {
  return {
    memberId,
    instanceId: null,
    rackId: null,
    clientId: '',
    clientHost: '',
    rebalanceTimeoutMs: -1,
    serverAssignor: null,
    topicNames: [],
    topicRegex: '',
    classic: null,
    epoch: joiningEpoch,
    previousEpoch: joiningEpoch,
    state: 'stable',
    assigned: noPartitions,
    pendingRevocation: noPartitions,
  };
}

/** Whether it has all that the target assignment of this epoch gives it. */
export function isReconciledTo({ state, epoch }: ConsumerMember, targetEpoch: number): boolean {
  return state === 'stable' && epoch === targetEpoch;
}
