/**
 * What a log is at this moment, shared by its parts: its segments, its positions, where it starts and ends. CommitLog moves the
 * end; Checkpoints and LogUpkeep move the start, once that is durable.
 *
 * Invariants: first segment's base = table.start.offset <= logStartOffset <= endOffset; neither start nor end of what is
 * clean goes back, but for truncation.
 */
import type { PositionTable } from './segments/position-table.ts';
import type { SegmentList } from './segments/segment-list.ts';

export interface LogBooks {
  readonly segments: SegmentList;
  /** From the first segment's base on; the log start may be further on. */
  table: PositionTable;
  /** First offset that may be read. Durable. */
  logStartOffset: number;
  /** First offset that has not been cleaned; all full segments below it have. Durable. */
  cleanedEndOffset: number;
  /** Offset and Raft index that the next entry takes. */
  endOffset: number;
  endIndex: number;
}
