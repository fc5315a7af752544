/**
 * What a coordinator needs of the partition that holds its state. The partition's leader hands one such object to the
 * coordinator for each term in which it leads; another term is another object.
 *
 * Positions are Kafka offsets, and "end" means exclusive.
 */
export interface CoordinatorLog {
  /** The leadership term that this object stands for. */
  readonly term: number;
  readonly startOffset: number;
  /** High watermark: all below it is committed. Never goes back within a term. */
  readonly committedOffset: number;

  /**
   * Resolves with the high watermark once the first entry of this term is committed: all that earlier leaders had
   * acknowledged lies below. Rejects when leadership is lost before.
   */
  ready(): Promise<number>;

  /**
   * Whole record batches from the one that holds `offset` (or the next, where it was cleaned away) up to `endOffset`,
   * about `sizeBytesMax` of them and at least one. Empty only when nothing is left below `endOffset`.
   * The bytes must not be used after `release`.
   */
  read(range: { offset: number; endOffset: number; sizeBytesMax: number }): Promise<CoordinatorLogRead>;

  /**
   * Takes `records` as one batch and returns at once. Throws a CoordinatorLogError, and takes nothing, when this node
   * no longer leads in this term or the log has failed; or, with the code 'refused', when it takes nothing just now, as while
   * leadership is on its way to another node: it may go on in this term.
   */
  append(records: readonly CoordinatorRecord[]): { readonly endOffset: number };

  /** Whether this node still led in this term when it was asked, as a majority says. Resolves once that is known. */
  confirmLeadership(): Promise<boolean>;

  /** Tells what becomes of the log from now on, never from inside `append`. One observer for each object. */
  observe(observer: CoordinatorLogObserver): void;
}

export interface CoordinatorLogObserver {
  /** `committedOffset` has moved. */
  committed(committedOffset: number): void;
  /** It will not move any more: this node no longer leads in this term, or the log has failed. The last call. */
  lost(error: CoordinatorLogError): void;
}

export interface CoordinatorLogRead {
  readonly parts: readonly Buffer[];
  release(): void;
}

/** One record of a coordinator's state: a `null` value is a tombstone. `timestamp` is in ms since the epoch. */
export interface CoordinatorRecord {
  readonly key: Buffer;
  readonly value: Buffer | null;
  readonly timestamp: number;
}

export type CoordinatorLogErrorCode = 'not-leader' | 'failed' | 'refused';

export class CoordinatorLogError extends Error {
  readonly code: CoordinatorLogErrorCode;

  constructor(code: CoordinatorLogErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CoordinatorLogError';
    this.code = code;
  }
}
