/**
 * Where Raft's entries stand among Kafka's offsets: the epoch table and the index-delta table in one, as every term begins
 * with a Raft-only entry.
 *
 * index = offset + 1 + the Raft-only entries before it, in a log that has not lost its beginning; the entries are never
 * counted, though: each says both its index and its offset, so that a beginning that retention has removed does not matter.
 * Invariant: entries ascend by index; offsets and terms do not descend.
 */
import { assert } from '../../../platform/assert.ts';
import type { PlacedRaftOnlyEntry } from '../raft-only.ts';

/** Where the log begins, and the term of what stands before it (0: nothing does). */
export interface LogStart {
  readonly offset: number;
  readonly index: number;
  readonly term: number;
}

/** A log's first entry ever has index 1, as in the Raft papers, and stands before offset 0. */
export const firstLogStart: LogStart = { offset: 0, index: 1, term: 0 };

/**
 * In logs that Apache Kafka wrote, epochs begin without an entry of Raft's. Such a beginning is in the table alone, never in the
 * log: it takes neither an index nor an offset, and stands at those of the epoch's first batch.
 */
export interface AdoptedEpoch {
  readonly kind: 'epoch';
  readonly term: number;
  readonly index: number;
  readonly offset: number;
  readonly payload: Buffer;
}

export type TableEntry = PlacedRaftOnlyEntry | AdoptedEpoch;

interface EpochStart {
  readonly epoch: number;
  readonly offset: number;
}

export class PositionTable {
  readonly start: LogStart;
  readonly #entries: TableEntry[];
  readonly #epochs: EpochStart[] = [];

  constructor(start: LogStart, entries: readonly TableEntry[] = []) {
    this.start = start;
    this.#entries = [];
    if (start.term > 0) this.#epochs.push({ epoch: start.term, offset: start.offset });
    for (const entry of entries) this.add(entry);
  }

  get entries(): readonly TableEntry[] {
    return this.#entries;
  }

  /** Those that stand in the log. */
  get raftOnlyEntries(): readonly PlacedRaftOnlyEntry[] {
    return this.#entries.filter((entry) => entry.kind !== 'epoch');
  }

  /** Whether the newest entry stands in the log: all of Kafka's epochs come before Raft's entries. */
  get endsWithRaftOnly(): boolean {
    return this.lastRaftOnly !== undefined;
  }

  get lastRaftOnly(): PlacedRaftOnlyEntry | undefined {
    const last = this.#entries.at(-1);
    return last?.kind === 'epoch' ? undefined : last;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.start.term;
  }

  add(entry: TableEntry): void {
    const last = this.#entries.at(-1) ?? { ...this.start, index: this.start.index - 1 };
    assert(entry.index > last.index, 'Raft-only entries ascend by index');
    assert(
      entry.offset >= last.offset && entry.term >= last.term,
      'offsets and terms of Raft-only entries do not descend',
    );
    this.#entries.push(entry);
    if (entry.term > (this.#epochs.at(-1)?.epoch ?? -1)) {
      this.#epochs.push({ epoch: entry.term, offset: entry.offset });
    }
  }

  /** A copy without the entries at or above `endIndex`. */
  upTo(endIndex: number): PositionTable {
    return new PositionTable(
      this.start,
      this.#entries.filter((entry) => entry.index < endIndex),
    );
  }

  /** A copy that begins here, at the beginning of a segment: what stands before is gone. */
  from(start: LogStart): PositionTable {
    return new PositionTable(
      start,
      this.#entries.filter((entry) => entry.index >= start.index),
    );
  }

  /** The copy's start for `from`, at a segment with this base offset and index of its first entry. */
  startAt(offset: number, index: number): LogStart {
    return { offset, index, term: this.termAt(index - 1) };
  }

  /** The Kafka offset of the record at `index`; for a Raft-only entry, the one that the next record takes. */
  offsetOfIndex(index: number): number {
    const before = this.#lastBefore((entry) => entry.index < index);
    if (before === undefined) return this.start.offset + index - this.start.index;
    return before.offset + index - before.index - indexesOf(before);
  }

  indexOfOffset(offset: number): number {
    const before = this.#lastBefore((entry) => entry.offset <= offset);
    if (before === undefined) return this.start.index + offset - this.start.offset;
    return before.index + indexesOf(before) + offset - before.offset;
  }

  termAt(index: number): number {
    return this.#lastBefore((entry) => entry.index <= index)?.term ?? this.start.term;
  }

  /** The leader epoch of the record at `offset`; at the log's end, the last one. */
  epochAt(offset: number): number {
    return this.#lastBefore((entry) => entry.offset <= offset)?.term ?? this.start.term;
  }

  /**
   * As Kafka answers OffsetForLeaderEpoch: the largest epoch at or below the one asked, and where the next one begins; a
   * known start for an epoch older than all; undefined for one newer than the last.
   */
  endOffsetForEpoch(epoch: number, logEndOffset: number): { epoch: number; endOffset: number } | undefined {
    const last = this.#epochs.at(-1);
    if (last === undefined || epoch > last.epoch) return undefined;
    if (epoch === last.epoch) return { epoch, endOffset: logEndOffset };
    const next = this.#epochs.findIndex((entry) => entry.epoch > epoch);
    const floor = this.#epochs[next - 1];
    return { epoch: floor?.epoch ?? epoch, endOffset: this.#epochs[next]!.offset };
  }

  /** The last entry for which `holds`, where those for which it does stand before all others. */
  #lastBefore(holds: (entry: TableEntry) => boolean): TableEntry | undefined {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(this.#entries[middle]!)) low = middle + 1;
      else high = middle;
    }
    return this.#entries[low - 1];
  }
}

function indexesOf(entry: TableEntry): number {
  return entry.kind === 'epoch' ? 0 : 1;
}
