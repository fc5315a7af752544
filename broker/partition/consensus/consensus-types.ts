/** What consensus on one replica's log asks of the node around it, and tells whoever makes use of the log. */
import type { Lease } from '../../../platform/buffer-pool.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Disk } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import type { CommitLog } from '../../log/commit-log.ts';
import type { LogFailure } from '../../log/log-types.ts';
import type { PlacedRaftOnlyEntry } from '../../log/raft-only.ts';
import type { Configuration, PlacedConfiguration } from '../../raft/configuration.ts';
import type { MemberId } from '../../raft/member.ts';
import type { Message } from '../../raft/messages.ts';
import type { Placement } from '../../raft/node-heartbeats.ts';
import type { Peers } from '../../raft/peers.ts';
import type { HardState, Impairment, RaftSettings, Role } from '../../raft/raft.ts';
import type { LogCopying } from './catch-up/log-copying.ts';
import type { SnapshotStore } from './catch-up/snapshot-store.ts';

/** What a node does with each of its groups' members. */
export interface GroupMember {
  /** Names the group among those of the nodes. */
  readonly group: string;
  readonly hasEnded: boolean;
  start(): void;
  /** Hands over, if it leads, and leaves the group. */
  end(): void;
  tick(): void;
  /** The tick that it waits for: none before it would do anything; Infinity: none at all. */
  readonly dueAt: number;
  readonly isLeader: boolean;
  /** It asks for leadership, or has just got it and its term has not begun for a majority. */
  readonly isInElection: boolean;
  /** See Raft. */
  campaign(): void;
  /** After `persistFailed`. */
  retryPersist(): void;
  /** The bytes are this call's; where there is a lease, those of entries may be kept by it. */
  step(message: Message, bytes: Buffer | undefined, lease?: Lease): void;
  nodeHeard(nodeId: number): void;
  nodeSilent(nodeId: number): void;
  nodeRestarted(nodeId: number): void;
  leaderGone(term: number): void;
  unfollowed(nodeId: number): void;
}

/** The node that the replica lives on. */
export interface ConsensusHost {
  /** Called before every input: gives the ticks that are due. */
  beforeInput(): void;
  send(group: string, message: Message, bytes?: readonly Buffer[], release?: () => void): void;
  /** Resolves when it is durable; what is asked for in one turn shares a sync. */
  persist(group: string, hardState: HardState): Promise<void>;
  /** The hard state could not be made durable: `retryPersist` is to be called later. */
  persistFailed(member: GroupMember, error: unknown): void;
  ticking(member: GroupMember, isTicking: boolean): void;
  /** The member waits for this tick now, sooner than for any that it has named before. */
  dueAt(member: GroupMember, tick: number): void;
  /** Where the group stands has changed; undefined: this node has no part in it any more. */
  placed(member: GroupMember, placement: Placement | undefined): void;
}

/** Whoever makes use of the log; told when the outputs of an input have been carried out, and free to call back. */
export interface ConsensusListener {
  roleChanged(role: Role, term: number, leader: MemberId | undefined): void;
  /** The high watermark or the committed end has moved. */
  committed(): void;
  /** What is written or flushed has moved. */
  stored(): void;
  /** A member has told this leader how far it has come. */
  answered?(from: MemberId): void;
  /** From within an append: a batch of data that a leader sent; it may not call back. */
  batchReceived(batch: Buffer): void;
  /** From within an append: an entry of Raft's own, by whomever; it may not call back. */
  raftOnlyAppended(entry: PlacedRaftOnlyEntry): void;
  /** The end of the log is gone; nothing is appended until this resolves. A rejection ends the member. */
  truncated(endIndex: number): Promise<void>;
  configurationChanged(configuration: Configuration, index: number): void;
  configurationCommitted(placed: PlacedConfiguration): void;
  transferEnded(to: MemberId, reason: 'handed-over' | 'timed-out' | 'aborted'): void;
  /** A read may be served once the high watermark covers `endIndex`; undefined: leadership was lost. */
  readConfirmed(token: number, endIndex: number | undefined): void;
  dataLost(fromIndex: number, endIndex: number): void;
  repaired(): void;
  /** It lacks what its leader no longer has as entries, and has no means of copying the leader's files. */
  catchUpRefused(leader: MemberId, endIndex: number): void;
  /** Copying the leader's log, or taking its snapshot, came to nothing for now; it is tried again. */
  catchUpFailed?(error: unknown): void;
  /**
   * The log is another one, copied from the leader or begun after a snapshot, with `kept` in the file beside it, and all of it is
   * committed; nothing is appended until this resolves. A rejection ends the member.
   */
  logReplaced?(kept: PlacedConfiguration): Promise<void>;
  /** Entries for a follower could not be read; it is tried again. */
  readFailed(error: unknown): void;
  /** The member has left its group, for good. */
  failed(cause: LogFailure | { readonly kind: 'truncation'; readonly cause: unknown }): void;
}

/** How this group brings up those who lack entries: by copies of its segments, or by snapshots of what they mean. */
export type CatchUpMeans =
  | { readonly kind: 'segments'; readonly copying: LogCopying }
  | { readonly kind: 'snapshot'; readonly snapshots: SnapshotStore };

/** What bringing up a member needs. */
export interface CatchUpWith {
  readonly means: CatchUpMeans;
  readonly disk: Disk;
  readonly clock: Clock;
}

export interface ConsensusOptions {
  /** Names the group among those of the nodes. */
  readonly group: string;
  readonly member: MemberId;
  readonly settings: RaftSettings;
  readonly peers: Peers;
  readonly random: Random;
  readonly hardState: HardState;
  readonly log: CommitLog;
  /** The newest configuration that is known to be committed, as its file says. */
  readonly configuration: PlacedConfiguration;
  readonly impairment: Impairment | undefined;
  /** For those who lack what the log no longer has as entries; undefined: they stay as they are. */
  readonly catchUp?: CatchUpWith | undefined;
  readonly host: ConsensusHost;
  readonly listener: ConsensusListener;
}
