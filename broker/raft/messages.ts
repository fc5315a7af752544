/**
 * What members say to each other. Values; how they are written is the shell's affair. All carry the sender's term, but for a
 * pre-vote and its granting answer, which carry the term that the candidate would begin. Index ranges are [fromIndex, endIndex).
 *
 * Messages may be lost, repeated, delayed and reordered at will; the shell drops those of a node's earlier incarnations, and those
 * that are for another directory than the one addressed.
 */
import type { Configuration, PlacedConfiguration } from './configuration.ts';
import type { MemberId } from './member.ts';
import type { TermEnd, TermStart } from './term-log.ts';

interface Envelope {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly term: number;
}

/** Asks for a vote; a 'pre-vote' asks whether it would be given, and binds nobody (thesis, 9.6). */
export interface VoteRequest extends Envelope {
  readonly kind: 'pre-vote' | 'vote';
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** The leader itself asked for this election: voters need not protect it. */
  readonly isTransfer: boolean;
}

export interface VoteAnswer extends Envelope {
  readonly kind: 'pre-vote-answer' | 'vote-answer';
  readonly isGranted: boolean;
}

/** Entries, or none: then it probes where the logs agree, tells what is committed, and asks for a sign of life. */
export interface Append extends Envelope {
  readonly kind: 'append';
  readonly fromIndex: number;
  readonly endIndex: number;
  /** Term of the entry before `fromIndex`. */
  readonly previousTerm: number;
  /** The terms and configurations that begin in the range. The bytes of the entries travel beside the message. */
  readonly terms: readonly TermStart[];
  readonly configurations: readonly PlacedConfiguration[];
  readonly committedEndIndex: number;
  /** The leader's tick when it was sent, and the newest read that waits for an answer: both come back. */
  readonly sentAt: number;
  readonly readSequence: number;
}

export interface AppendAnswer extends Envelope {
  readonly kind: 'append-answer';
  /** Up to where this log is known to be the leader's, received but not necessarily written. */
  readonly matchedEndIndex: number;
  /** The part of it that the operating system has, and the part that is durable. */
  readonly writtenEndIndex: number;
  readonly flushedEndIndex: number;
  readonly committedEndIndex: number;
  readonly sentAt: number;
  readonly readSequence: number;
  /** Set where the entry before `fromIndex` is missing or of another term. */
  readonly rejected: Rejection | undefined;
}

export interface Rejection {
  readonly fromIndex: number;
  /** The largest term at or below the one asked that the follower has, and where it ends there; 0, 0: it needs the whole log. */
  readonly hint: TermEnd;
}

/** A state machine's state up to an entry; the bytes are opaque. */
export interface Snapshot {
  readonly id: string;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** The configuration that holds at `lastIndex`. */
  readonly configuration: PlacedConfiguration;
  readonly sizeBytes: number;
  /** Over all its bytes, as the shell computes it: checked before the snapshot is installed. */
  readonly checksum: number;
}

/** One piece of a snapshot; the bytes travel beside the message. */
export interface SnapshotChunk extends Envelope {
  readonly kind: 'snapshot-chunk';
  readonly snapshot: Snapshot;
  readonly position: number;
  readonly sizeBytes: number;
}

export interface SnapshotAnswer extends Envelope {
  readonly kind: 'snapshot-answer';
  readonly snapshotId: string;
  /** Where the next chunk is wanted: the follower has written all before it. */
  readonly position: number;
}

/** The leader has no longer what the follower lacks: it is to copy the log's files up to `endIndex`, which are committed. */
export interface CopyRequest extends Envelope {
  readonly kind: 'copy-request';
  readonly endIndex: number;
  /** Term of the entry before `endIndex`: who has that entry needs no copy. */
  readonly lastTerm: number;
}

/** The leader hands over: campaign at once (thesis, 3.10). */
export interface TimeoutNow extends Envelope {
  readonly kind: 'timeout-now';
}

/** The sender leads no more, of its own will; the group needs an election. */
export interface Resignation extends Envelope {
  readonly kind: 'resignation';
}

/** To a leader or candidate of an older term: it is over. */
export interface TermNotice extends Envelope {
  readonly kind: 'term-notice';
}

export type Message =
  | VoteRequest
  | VoteAnswer
  | Append
  | AppendAnswer
  | SnapshotChunk
  | SnapshotAnswer
  | CopyRequest
  | TimeoutNow
  | Resignation
  | TermNotice;

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** A message without its sender, which the outbox adds. */
export type Letter = DistributiveOmit<Message, 'from'>;

/** The entries of Raft's own that a leader appends. */
export type OwnEntry =
  | { readonly kind: 'term-start' }
  | { readonly kind: 'configuration'; readonly configuration: Configuration };
