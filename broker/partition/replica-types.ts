/** The words that a replica and its users share. */
import type { Clock } from '../../platform/clock.ts';
import type { Boot } from '../../platform/boot.ts';
import type { Disk } from '../../platform/disk.ts';
import type { Random } from '../../platform/random.ts';
import type { CommitLog } from '../log/commit-log.ts';
import type { LogFailure, LogOptions, RecoveryReport } from '../log/log-types.ts';
import type { PlacedConfiguration } from '../raft/configuration.ts';
import type { MemberId } from '../raft/member.ts';
import type { HardState, Impairment, RaftSettings } from '../raft/raft.ts';
import type { LogCopying } from './consensus/catch-up/log-copying.ts';
import type { SnapshotStore } from './consensus/catch-up/snapshot-store.ts';
import type { CatchUpWith } from './consensus/consensus-types.ts';
import type { ConsensusNode } from './consensus/consensus-node.ts';
import type { LogDirectory } from './log-directory.ts';
import type { LogProducers } from './log-producers.ts';
import type { NewDirectory } from './new-directory.ts';
import type { ReplicaMemory } from './replica-memory.ts';
import type { Replica } from './replica.ts';

export interface ReplicaIdentity {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
}

/** Who belongs to a partition, as the metadata has it. */
export interface IntendedMembers {
  /** All replicas, the preferred leader first; those to be added and removed among them. */
  readonly members: readonly MemberId[];
  /** Grows with each change; 0: these are the members that the partition was created with. */
  readonly revision: number;
  /**
   * At a later revision: the members that it was created with, where this replica has been one of them all the time and nobody has been
   * taken out yet.
   */
  readonly founders?: readonly MemberId[];
}

export interface ReplicaOptions {
  readonly identity: ReplicaIdentity;
  readonly nodeId: number;
  /** Undefined: this node alone. */
  readonly intended: IntendedMembers | undefined;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  readonly boot: Boot;
  /** An operator answers for what a loss of memory took: it goes on with what it has. */
  readonly acceptsLostMemory: boolean;
  readonly log: LogOptions;
  /** The data directory that holds it. */
  readonly home: LogDirectory;
  /** The directory that it was made in, and is known by in its group, where it was moved from there (`member-file.ts`). */
  readonly madeIn?: string | undefined;
  /** What `disk` is where the replica's directory is new: settled when the replica is open. */
  readonly made?: NewDirectory | undefined;
  readonly hardState: HardState | undefined;
  readonly consensus: ConsensusNode;
  readonly settings: RaftSettings;
  /** For what it lacks, or others lack, of segments; undefined where there are no others. */
  readonly copying: LogCopying | undefined;
  /** The log is a state machine's, which keeps snapshots in place of its beginning. */
  readonly keepsSnapshots: boolean;
  readonly producerExpirationMs: () => number;
  /** `min.insync.replicas` of its topic, and `replica.lag.time.max.ms`. Live. */
  readonly minInSyncReplicas: () => number;
  readonly lagMsMax: () => number;
  /** Of the start of a node that the metadata counts on; undefined: it is fenced, about to stop, or unknown. Live. */
  readonly serviceEpoch: (nodeId: number) => number | undefined;
  readonly events: ReplicaEvents;
}

/** What the replica's directory held (open-replica.ts). */
export interface OpenedReplica {
  readonly member: MemberId;
  readonly log: CommitLog;
  readonly recovery: RecoveryReport;
  readonly producers: LogProducers;
  readonly configuration: PlacedConfiguration;
  readonly impairment: Impairment | undefined;
  readonly memory: ReplicaMemory;
  readonly snapshots: SnapshotStore | undefined;
  readonly catchUp: CatchUpWith | undefined;
}

export interface ReplicaEvents {
  /** Told once when it has failed: it takes no more appends until the node is started again. */
  failed(replica: Replica, failure: ReplicaFailure): void;
  /** A producer snapshot could not be written: the next start replays more, nothing is lost. */
  snapshotFailed(replica: Replica, error: unknown): void;
  /** Records that were deleted are still there: the next start deletes them again. */
  deletionFailed(replica: Replica, error: unknown): void;
  /** Batches could not be read for a client or a follower. */
  readFailed(replica: Replica, error: unknown): void;
  /** It lacks what its leader has no longer as entries, and could not get it otherwise; tried again. */
  catchUpFailed(replica: Replica, error: unknown): void;
  /** Entries that were committed are gone, by power failures under `write.caching`. */
  dataLost(replica: Replica, lost: { readonly fromIndex: number; readonly endIndex: number }): void;
  /** The operating system ended without warning, and with it what `write.caching` had acknowledged and not synced. */
  memoryLost(replica: Replica, goesOn: AfterLostMemory): void;
  /** Who leads, in which term, who is in sync, or who belongs to it has changed. */
  leadershipChanged(replica: Replica): void;
}

/**
 * What becomes of a replica that lost its memory: others bring it up before it may lead (waits), there are no others whom it could
 * wait for (alone), or an operator wants it as it is (accepted).
 */
export type AfterLostMemory = 'waits' | 'alone' | 'accepted';

/** Why a replica takes no more appends: its log has failed, what goes with it, or the data directory that it lies in. */
export interface ReplicaFailure {
  readonly kind: LogFailure['kind'] | 'truncation' | 'directory';
  readonly cause: unknown;
}

/** An entry's end and the term in which this node leads it: what its writer waits for. */
export interface Awaited {
  readonly term: number;
  readonly endIndex: number;
}

export type AppendOutcome =
  | ({ readonly kind: 'appended'; readonly baseOffset: number; readonly logStartOffset: number } & Awaited)
  | ({
      readonly kind: 'duplicate';
      readonly baseOffset: number;
      readonly timestamp: number;
      readonly logStartOffset: number;
    } & Awaited)
  | { readonly kind: 'refused'; readonly error: AppendRefusal };

export type AppendRefusal =
  | 'OUT_OF_ORDER_SEQUENCE_NUMBER'
  | 'INVALID_PRODUCER_EPOCH'
  | 'NOT_LEADER_OR_FOLLOWER'
  | 'KAFKA_STORAGE_ERROR'
  | 'REQUEST_TIMED_OUT';

/** By why consensus has refused an entry. */
export const appendRefusals = {
  'not-leader': 'NOT_LEADER_OR_FOLLOWER',
  // The client finds the next leader when it asks again.
  transferring: 'NOT_LEADER_OR_FOLLOWER',
  busy: 'REQUEST_TIMED_OUT',
  failed: 'KAFKA_STORAGE_ERROR',
} as const satisfies Record<string, AppendRefusal>;

export type DeletionRefusal = 'KAFKA_STORAGE_ERROR' | 'NOT_LEADER_OR_FOLLOWER' | 'OFFSET_OUT_OF_RANGE';

/** How far a member has come, as its leader sees it. */
export interface MemberProgress {
  readonly member: MemberId;
  readonly isVoter: boolean;
  readonly isInSync: boolean;
  /** One past the last entry that it holds durably, and how many of the leader's it lacks. */
  readonly heldEndIndex: number;
  readonly lagEntries: number;
  /** Kafka's offset at `heldEndIndex`. */
  readonly heldEndOffset: number;
  /** How long nothing has been heard of its node, and for how long it has not had all of the log; Infinity: it never was. */
  readonly silentMs: number;
  readonly behindMs: number;
  readonly state: string;
}
