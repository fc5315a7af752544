/**
 * What one log has to hold, as plain arrays. Knows nothing of files, segments or disks.
 *
 * Invariants: committed <= flushed <= end. What was flushed must be there after every crash; what was appended after it may be,
 * from its beginning on; nothing else may. Where a cleaning has been, a record may be missing if a later one has its key or if
 * it is a tombstone; all that is there is as it was appended.
 */
import { encodeRaftOnly } from '../../../broker/log/raft-only.ts';
import type { PlacedRaftOnlyEntry, RaftOnlyEntry } from '../../../broker/log/raft-only.ts';
import type { Random } from '../../../platform/random.ts';
import { check } from '../simulation-failure.ts';

export interface ModelRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string;
  /** Undefined for a tombstone. */
  readonly value: Buffer | undefined;
}

/** One batch, as it was appended. */
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
  /** -1 without one. */
  readonly producerId: number;
}

export interface RecordRange {
  readonly offset: number;
  readonly endOffset: number;
  /** Only what no cleaning can have taken. */
  readonly isCertain: boolean;
}

export interface AppendedBatch {
  /** What the log was given, with offset and term set by it. */
  readonly bytes: Buffer;
  readonly term: number;
  readonly producerId: number;
  readonly records: readonly Omit<ModelRecord, 'offset'>[];
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
  /** Operations that may move the start, so far. */
  startMoves = 0;
  /** Cleanings have been limited to what is below this. */
  cleanedMax = 0;
  /** Index files that were lost by injection: until somebody needs them they stay so. */
  readonly lostIndexes = new Set<string>();
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

  addData({ bytes, term, producerId, records }: AppendedBatch): void {
    const offset = this.endOffset;
    this.entries.push({
      index: this.endIndex,
      endIndex: this.endIndex + records.length,
      offset,
      endOffset: offset + records.length,
      term,
      bytes: Buffer.from(bytes),
      raftOnly: undefined,
      records: records.map((record, place) => ({ ...record, offset: offset + place })),
      producerId,
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
      producerId: -1,
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
    this.startMoves++;
    this.startOffsetMax = Math.max(this.startOffsetMax, offset);
  }

  /** A cleaning begins. */
  allowCleaning(endOffset: number): void {
    this.version++;
    this.cleanedMax = Math.max(this.cleanedMax, endOffset);
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

  /** The data batches that were appended of those that a read of [offset, endOffset) is made of. */
  batchesIn(offset: number, endOffset: number): ModelEntry[] {
    return this.entries.filter(
      (entry) => entry.records.length > 0 && entry.endOffset > offset && entry.endOffset <= endOffset,
    );
  }

  /** By producer id, the last offset of its last batch that ends at or below this: what a cleaning has to keep a trace of. */
  lastOffsetsOfProducers(endOffsetMax = Infinity): Map<number, number> {
    const last = new Map<number, number>();
    for (const { producerId, endOffset } of this.entries) {
      if (producerId >= 0 && endOffset <= endOffsetMax) last.set(producerId, endOffset - 1);
    }
    return last;
  }

  /** Last offset of each key among what may have been cleaned. */
  latestOfKeys(): ReadonlyMap<string, number> {
    const latest = new Map<string, number>();
    for (const { records } of this.entries) {
      for (const { key, offset } of records) if (offset < this.cleanedMax) latest.set(key, offset);
    }
    return latest;
  }

  /** The first record in the range that is this late. */
  firstAtOrAfter(timestamp: number, range: RecordRange): ModelRecord | undefined {
    return this.#recordsIn(range).find((record) => record.timestamp >= timestamp);
  }

  /** The first of the latest records in the range. */
  latest(range: RecordRange): ModelRecord | undefined {
    let latest: ModelRecord | undefined;
    for (const record of this.#recordsIn(range)) {
      if (record.timestamp > (latest?.timestamp ?? -1)) latest = record;
    }
    return latest;
  }

  #recordsIn({ offset, endOffset, isCertain }: RecordRange): ModelRecord[] {
    const latest = isCertain && this.cleanedMax > 0 ? this.latestOfKeys() : undefined;
    return this.entries
      .flatMap(({ records }) => records)
      .filter((record) => record.offset >= offset && record.offset < endOffset)
      .filter(
        (record) =>
          latest === undefined ||
          record.offset >= this.cleanedMax ||
          (record.value !== undefined && latest.get(record.key) === record.offset),
      );
  }
}
