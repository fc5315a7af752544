/**
 * Questions between nodes, as those who ask and those who answer see them. One question has one answer; a question that was not
 * answered may still have been served. Everything above this folder may use it.
 */

/** Connections of their own, so that a long answer of one kind delays no short one of the other; consensus has a third. */
export type PeerLane = 'control' | 'bulk';

export interface PeerRequestOptions {
  /** How long the question may take in all, connecting included. */
  readonly timeoutMs: number;
  /** 'control' unless told. */
  readonly lane?: PeerLane;
}

export interface PeerRequests {
  /**
   * One question, one answer. Rejects with a PeerError. The payload must not change until then; the answer is the caller's.
   * A question to the own node is served in this process.
   */
  request(
    nodeId: number,
    kind: string,
    payload: readonly Buffer[],
    options: PeerRequestOptions,
  ): Promise<Buffer>;
}

export interface PeerQuestion {
  /** The node that asks; -1 where it has no id yet. */
  readonly from: number;
  /** The service's from now on. */
  readonly payload: Buffer;
}

/** Answers the questions of one kind. The message of what it throws goes back to who asked, as 'failed'. */
export type PeerService = (question: PeerQuestion) => Promise<readonly Buffer[]>;

/**
 * unreachable: no connection, or it ended before the answer came; the question may have been served.
 * timed-out: no answer in time; it may have been served.
 * unsupported: that node has no service of the kind.
 * failed: the service threw; the message is its own.
 * closed: this node is closing.
 */
export type PeerErrorCode = 'unreachable' | 'timed-out' | 'unsupported' | 'failed' | 'closed';

export class PeerError extends Error {
  readonly code: PeerErrorCode;
  /** False where it is certain that no byte of the question left this node: it was not served, and may be asked again. */
  readonly wasSent: boolean;

  constructor(
    code: PeerErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly wasSent?: boolean } = {},
  ) {
    super(message, options);
    this.name = 'PeerError';
    this.code = code;
    this.wasSent = options.wasSent ?? code !== 'unsupported';
  }
}
