/**
 * The replicated log that the metadata lives in, as `Cluster` sees it: who leads it, how the leader appends, and how every
 * node hears what is committed. Made by the composition root from a replica (`replica-metadata-log.ts`).
 */
import type { Refusal } from '../controller/controller.ts';

/** Records that were committed together: one operation's. */
export interface CommittedRecords {
  readonly records: readonly Buffer[];
  /** One past the offset of the last one: each record takes one offset. */
  readonly endOffset: number;
}

export interface MetadataFollower {
  /** What is committed, in order, each record once, on every node. */
  committed(batch: CommittedRecords): void;
  /** All that is committed below `endOffset`, in place of what was told so far. */
  installed(snapshot: CommittedRecords): void;
  /** Records that make the image as it is now: for a snapshot of it. */
  snapshot(): readonly Buffer[];
  /** Who leads, whether this node does and is ready, or what is committed may have changed. */
  moved(): void;
  /** The log cannot be followed any more: this node knows nothing of what is committed from here on. */
  failed(error: unknown): void;
}

export interface MetadataLog {
  /** This node leads the log: only it can append. */
  readonly isLeader: boolean;
  /** It leads, and knows all that was committed before it did. */
  readonly isReady: boolean;
  /** Grows with each leader. */
  readonly term: number;
  /** The node that leads, as far as is known here. */
  readonly leaderNode: number | undefined;
  /** The nodes of all its members. */
  readonly memberNodes: ReadonlySet<number>;
  /** It takes no more records here until this node is started again. */
  readonly failed: boolean;
  /** One past the last record in this node's log, committed or not: what a leader may yet see committed. */
  readonly endOffset: number;
  /** Tells the follower all that is known to be committed now, then goes on as more is. Called once. */
  start(follower: MetadataFollower): Promise<void>;
  /**
   * Appends the records in order, all or none. Resolves with `endOffset` when they are committed and the follower has been
   * told of them. Rejects with a MetadataLogError.
   */
  append(records: readonly Buffer[]): Promise<number>;
  /**
   * Resolves when it is certain that this node led the log at a time after this call: then nothing is committed that it does
   * not know of. Rejects with a MetadataLogError.
   */
  confirm(): Promise<void>;
  /** The follower is told nothing more; appends that are under way are rejected. */
  close(): Promise<void>;
}

/**
 * 'not-leader': nothing was written, another node leads or nobody does. 'failed': this node's log takes nothing, as its disk has
 * failed. 'unknown': it may yet be committed. 'timed-out': nothing was written, as no leader was found in time.
 * 'closed': this node stops.
 */
export type MetadataLogErrorCode = 'not-leader' | 'failed' | 'unknown' | 'timed-out' | 'closed';

/** The metadata cannot be changed now. */
export class MetadataLogError extends Error {
  readonly code: MetadataLogErrorCode;

  constructor(code: MetadataLogErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'MetadataLogError';
    this.code = code;
  }
}

/** The metadata log's refusal in Kafka's terms. */
export function refusalOf(error: MetadataLogError): Refusal {
  const kinds = {
    'not-leader': 'NOT_CONTROLLER',
    failed: 'KAFKA_STORAGE_ERROR',
    unknown: 'REQUEST_TIMED_OUT',
    'timed-out': 'REQUEST_TIMED_OUT',
    closed: 'NOT_CONTROLLER',
  } as const;
  return { error: kinds[error.code], message: error.message };
}
