/** What the cleaner sees of a log, and what it is told by those who know the partition. CommitLog is such a log. */
import type { AbortedTransaction } from '../segments/aborted-transactions.ts';
import type { LogConfig, LogDamage } from '../log-types.ts';
import type { KnownPositions } from '../recovery/order-check.ts';
import type { Segment } from '../segments/segment.ts';

export interface CleanableLog extends KnownPositions {
  readonly directory: string;
  /** Live. */
  readonly config: LogConfig;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** What lies below it has been cleaned. */
  readonly cleanedEndOffset: number;
  /** Raft's entries that the log still knows of, oldest first. */
  raftOnlyEntries(): readonly { readonly index: number }[];
  /** Those that are not appended to any more, oldest first. */
  fullSegments(): readonly Segment[];
  /**
   * Puts a cleaned segment, whose synced files end in `.cleaned`, in the place of neighbouring full ones; durable when it
   * resolves, with the new cleaned end where one is given. False, and the files gone, where the log has changed meanwhile.
   */
  replaceSegments(old: readonly Segment[], cleaned: Segment, cleanedEndOffset?: number): Promise<boolean>;
  /** The aborted transactions with offsets in [startOffset, endOffset); a log without the method has no transactions. */
  abortedTransactions?(startOffset: number, endOffset: number): Promise<readonly AbortedTransaction[]>;
  /** Begins a new segment where the active one has been written to for long enough (`segment.ms`, `max.compaction.lag.ms`). */
  maybeRoll?(): Promise<unknown> | undefined;
  reportDamage?(damage: LogDamage): void;
}

export interface CleanerLimits {
  /** Exclusive: the lesser of high watermark and last stable offset. */
  readonly endOffset: number;
  /** Exclusive: what is committed, as a Raft index. What is cleaned cannot be cut any more; without it, all below `endOffset` is. */
  readonly endIndex?: number;
  /** By producer id, of active producers: the last offset of their last data batch, which is kept, without records if need be. */
  readonly lastOffsetsOfProducers: ReadonlyMap<number, number>;
  /** By producer id, of active producers of whom there are only markers: their epoch, which the markers of it are kept to tell. */
  readonly markerEpochsOfProducers?: ReadonlyMap<number, number>;
}
