/**
 * What one log has to hold, as plain arrays. Knows nothing of files, segments or disks.
 *
 * Invariants: committed <= flushed <= end. What was flushed must be there after every crash; what was appended after it may be,
 * from its beginning on; nothing else may.
 */
import type { Random } from '../../../platform/random.ts';
import { encodeRaftOnly } from '../../../broker/log/raft-only.ts';
import { check } from '../simulation-failure.ts';
import type { PlacedRaftOnlyEntry, RaftOnlyEntry } from '../../../broker/log/raft-only.ts';

export interface ModelRecord {
  readonly offset: number;
  readonly timestamp: number;
}

/** One batch, as it stands in the file. */
export interface ModelEntry {
  readonly index: number;
  readonly endIndex: number;
  readonly offset: number;
  /** Exclusive; equal to `offset` for a Raft-only entry. */
  readonly endOffset: number;
  readonly term: number;
  readonly bytes: Buffer;
  readonly raftOnly: PlacedRaftOnlyEntry | undefined;
  readonly records: readonly ModelRecord[];
}

export class LogModel {
  readonly name: string;
  entries: ModelEntry[] = [];
  /** Must survive. */
  flushedEndIndex = 1;
  /** May not be truncated. */
  committedEndIndex = 1;
  /** First offset that may be read: it is durable, and never goes back. */
  startOffset = 0;
  /** How far an operation that is under way, or was when the process died, may have moved it. */
  startOffsetMax = 0;
  /** Where a truncation that is under way leads. */
  truncatingTo: number | undefined;
  /** Counts what may change the answer to a look-up that is under way. */
  version = 0;

  constructor(name: string) {
    this.name = name;
  }

  get endIndex(): number {
    return this.entries.at(-1)?.endIndex ?? 1;
  }

  get endOffset(): number {
    return this.entries.at(-1)?.endOffset ?? 0;
  }

  get lastTerm(): number {
    return this.entries.at(-1)?.term ?? 0;
  }

  /** The high watermark. */
  get committedEndOffset(): number {
    return this.endOffsetAt(this.committedEndIndex);
  }

  /** `batch` is what the log was given, with offset and term set by it. */
  addData(batch: Buffer, term: number, timestamps: readonly number[]): void {
    const offset = this.endOffset;
    this.entries.push({
      index: this.endIndex,
      endIndex: this.endIndex + timestamps.length,
      offset,
      endOffset: offset + timestamps.length,
      term,
      bytes: Buffer.from(batch),
      raftOnly: undefined,
      records: timestamps.map((timestamp, place) => ({ offset: offset + place, timestamp })),
    });
  }

  addRaftOnly(entry: RaftOnlyEntry): void {
    const placed = { ...entry, index: this.endIndex, offset: this.endOffset };
    this.entries.push({
      index: placed.index,
      endIndex: placed.index + 1,
      offset: placed.offset,
      endOffset: placed.offset,
      term: entry.term,
      bytes: encodeRaftOnly(placed),
      raftOnly: placed,
      records: [],
    });
  }

  /** The log says that this much is flushed; while it is being cut, that does not count above the cut. */
  noteFlushed(endIndex: number): void {
    const limit = this.truncatingTo ?? Infinity;
    this.flushedEndIndex = Math.max(this.flushedEndIndex, Math.min(endIndex, limit));
  }

  /** The log says that it begins here. */
  noteStart(offset: number): void {
    check(
      offset >= this.startOffset && offset <= this.startOffsetMax,
      () => `${this.name}: starts at ${offset}, not in [${this.startOffset}, ${this.startOffsetMax}]`,
    );
    if (offset > this.startOffset) this.version++;
    this.startOffset = offset;
  }

  /** Something begins that may move the start as far as this. */
  allowStart(offset: number): void {
    this.startOffsetMax = Math.max(this.startOffsetMax, offset);
  }

  /** Some of what is flushed is committed now. */
  commit(random: Random): void {
    const ends = this.entries.map(({ endIndex }) => endIndex);
    const possible = ends.filter((end) => end > this.committedEndIndex && end <= this.flushedEndIndex);
    if (possible.length === 0) return;
    this.committedEndIndex = possible[random.below(possible.length)]!;
  }

  /** Where it may be cut: after an entry that is not below the committed end. */
  truncationTargets(): number[] {
    return [1, ...this.entries.map(({ endIndex }) => endIndex)].filter(
      (end) => end >= this.committedEndIndex,
    );
  }

  beginTruncation(endIndex: number): void {
    this.version++;
    this.truncatingTo = endIndex;
    this.flushedEndIndex = Math.min(this.flushedEndIndex, endIndex);
  }

  /** The log ends here now, which must be the end of an entry. */
  cutTo(endIndex: number): void {
    this.version++;
    this.truncatingTo = undefined;
    this.entries = this.entries.filter((entry) => entry.endIndex <= endIndex);
    this.flushedEndIndex = Math.min(this.flushedEndIndex, endIndex);
  }

  isBorder(endIndex: number): boolean {
    return endIndex === 1 || this.entries.some((entry) => entry.endIndex === endIndex);
  }

  endOffsetAt(endIndex: number): number {
    return this.entries.findLast((entry) => entry.endIndex <= endIndex)?.endOffset ?? 0;
  }

  /** The data batches that a read of [offset, endOffset) is made of. */
  batchesIn(offset: number, endOffset: number): ModelEntry[] {
    return this.entries.filter(
      (entry) => entry.raftOnly === undefined && entry.endOffset > offset && entry.endOffset <= endOffset,
    );
  }

  /** The first record in the range that is this late. */
  firstAtOrAfter(timestamp: number, offset: number, endOffset: number): ModelRecord | undefined {
    return this.#recordsIn(offset, endOffset).find((record) => record.timestamp >= timestamp);
  }

  /** The first of the latest records in the range. */
  latest(offset: number, endOffset: number): ModelRecord | undefined {
    let latest: ModelRecord | undefined;
    for (const record of this.#recordsIn(offset, endOffset)) {
      if (record.timestamp > (latest?.timestamp ?? -1)) latest = record;
    }
    return latest;
  }

  #recordsIn(offset: number, endOffset: number): ModelRecord[] {
    return this.entries
      .flatMap(({ records }) => records)
      .filter((record) => record.offset >= offset && record.offset < endOffset);
  }
}
