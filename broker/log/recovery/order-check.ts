/**
 * Whether batches stand in their right order: what their CRCs do not cover, base offsets and terms, follows from the batch
 * before, the last Raft-only entry, the header of a cleaned segment, and the log's own table where that is known.
 */
import { batchField } from '../../../protocol/index.ts';
import { CleanedCover, isCleanedHeader, readCleanedHeader } from '../segments/cleaned-header.ts';
import type { CleanedHeader } from '../segments/cleaned-header.ts';
import type { PositionTable } from '../segments/position-table.ts';
import { isRaftOnly, readRaftOnly } from '../raft-only.ts';
import type { PlacedRaftOnlyEntry } from '../raft-only.ts';
import type { SoundBatch } from './segment-check.ts';

export interface OrderRules {
  /**
   * Who wrote the segments. 'kappalog': no gaps but in cleaned segments, and a term begins with a Raft-only entry. 'kafka':
   * offsets ascend, with gaps where a compaction has been, and terms do not go back; up to the first Raft-only entry, behind
   * which everything is Kappalog's.
   */
  readonly writer: 'kappalog' | 'kafka';
  /** Where it is known: every batch is checked against it. */
  readonly table?: KnownPositions | undefined;
}

/** PositionTable and CommitLog are such. */
export type KnownPositions = Pick<PositionTable, 'epochAt' | 'termAt' | 'indexOfOffset' | 'offsetOfIndex'>;

export interface OrderStart {
  readonly offset: number;
  readonly index?: number;
  readonly term?: number;
}

/** Goes over one log, segment after segment, or over one segment. What a place should be that is not known yet, its first batch tells. */
export class OrderCheck {
  readonly #table: KnownPositions | undefined;
  #writer: OrderRules['writer'];
  #nextOffset: number;
  /** Undefined until it is known. */
  #nextIndex: number | undefined;
  #term: number | undefined;
  #isFirstOfSegment = false;
  /** While in a cleaned segment. */
  #cleaned: { readonly header: CleanedHeader; readonly cover: CleanedCover } | undefined;

  constructor(rules: OrderRules, start: OrderStart) {
    this.#table = rules.table;
    this.#writer = rules.writer;
    this.#nextOffset = start.offset;
    this.#nextIndex = start.index;
    this.#term = start.term;
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  get nextIndex(): number | undefined {
    return this.#nextIndex;
  }

  get term(): number | undefined {
    return this.#term;
  }

  /** A segment of this name begins. */
  beginSegment(baseOffset: number): string | undefined {
    this.#isFirstOfSegment = true;
    this.#cleaned = undefined;
    const fault = this.#offsetFault(baseOffset, 'the segment');
    // Offsets that a compaction of Kafka's took away between two segments took a Raft index each.
    if (this.#nextIndex !== undefined) this.#nextIndex += baseOffset - this.#nextOffset;
    this.#nextOffset = baseOffset;
    return fault;
  }

  /** All of the segment has been taken. */
  endSegment(): string | undefined {
    if (this.#cleaned === undefined) return undefined;
    const { header, cover } = this.#cleaned;
    this.#cleaned = undefined;
    this.#nextOffset = header.endOffset;
    this.#nextIndex = header.endIndex;
    if (cover.batchCount !== header.batchCount)
      return `the cleaned segment has ${cover.batchCount} batches, not ${header.batchCount}`;
    return cover.crc === header.crc
      ? undefined
      : 'base offsets or terms are not those that the segment was cleaned with';
  }

  /** A batch whose CRC fits; what is wrong with its place. A batch that is refused is not counted. */
  take(batch: SoundBatch): string | undefined {
    const { buffer, at } = batch;
    const isFirst = this.#isFirstOfSegment;
    this.#isFirstOfSegment = false;
    if (isCleanedHeader(buffer, at)) return this.#takeCleanedHeader(buffer, at, isFirst);
    this.#cleaned?.cover.add(buffer, at);
    if (isRaftOnly(buffer, at)) {
      const entry = readRaftOnly(buffer, at);
      if (entry === undefined)
        return 'the Raft-only entry contradicts its own header, or is of an unknown kind';
      return this.#takeRaftOnly(entry);
    }
    return this.#takeData(
      batchField.baseOffset(buffer, at),
      batchField.lastOffset(buffer, at),
      batchField.leaderEpoch(buffer, at),
    );
  }

  #takeCleanedHeader(buffer: Buffer, at: number, isFirst: boolean): string | undefined {
    const header = readCleanedHeader(buffer, at);
    if (header === undefined) return 'the header of the cleaned segment contradicts itself';
    if (!isFirst) return 'the header of a cleaned segment stands within a segment';
    if (header.baseOffset !== this.#nextOffset)
      return `the segment was cleaned from offset ${header.baseOffset} on, not from ${this.#nextOffset}`;
    if (this.#nextIndex !== undefined && header.startIndex !== this.#nextIndex)
      return `the segment was cleaned from index ${header.startIndex} on, not from ${this.#nextIndex}`;
    this.#nextIndex = header.startIndex;
    this.#cleaned = { header, cover: new CleanedCover() };
    return undefined;
  }

  #takeData(baseOffset: number, lastOffset: number, term: number): string | undefined {
    if (lastOffset < baseOffset) return 'the batch has no offsets';
    const fault = this.#offsetFault(baseOffset, 'the batch') ?? this.#termFault(term, baseOffset);
    if (fault !== undefined) return fault;
    const { header } = this.#cleaned ?? {};
    if (header !== undefined && lastOffset >= header.endOffset)
      return `the batch ends at offset ${lastOffset}, and the cleaned segment at ${header.endOffset - 1}`;
    if (this.#nextIndex !== undefined) this.#nextIndex += lastOffset + 1 - this.#nextOffset;
    this.#nextOffset = lastOffset + 1;
    return undefined;
  }

  #takeRaftOnly(entry: PlacedRaftOnlyEntry): string | undefined {
    const fault = this.#offsetFault(entry.offset, 'the Raft-only entry');
    if (fault !== undefined) return fault;
    const skipped = entry.offset - this.#nextOffset;
    if (this.#nextIndex !== undefined && entry.index !== this.#nextIndex + skipped)
      return `the Raft-only entry has index ${entry.index}, not ${this.#nextIndex + skipped}`;
    if (this.#term !== undefined && entry.term < this.#term)
      return `the term goes back from ${this.#term} to ${entry.term}`;
    if (this.#table !== undefined && !isKnown(this.#table, entry))
      return `the Raft-only entry ${entry.index} is not one that the log knows of`;
    this.#writer = 'kappalog';
    this.#nextOffset = entry.offset;
    this.#nextIndex = entry.index + 1;
    this.#term = entry.term;
    return undefined;
  }

  #offsetFault(baseOffset: number, what: string): string | undefined {
    if (baseOffset === this.#nextOffset) return undefined;
    const mayLeaveGap = this.#writer === 'kafka' || this.#cleaned !== undefined;
    if (mayLeaveGap && baseOffset > this.#nextOffset) return undefined;
    return `${what} begins at offset ${baseOffset}, not at ${this.#nextOffset}`;
  }

  #termFault(term: number, baseOffset: number): string | undefined {
    const due = this.#table?.epochAt(baseOffset) ?? this.#term;
    if ((this.#writer === 'kappalog' || this.#table !== undefined) && due !== undefined && term !== due)
      return `the batch's term is ${term}, not ${due}`;
    if (this.#term !== undefined && term < this.#term)
      return `the term goes back from ${this.#term} to ${term}`;
    this.#term = term;
    return undefined;
  }
}

function isKnown(table: KnownPositions, { index, offset, term }: PlacedRaftOnlyEntry): boolean {
  return (
    table.indexOfOffset(offset) > index &&
    table.offsetOfIndex(index) === offset &&
    table.termAt(index) === term
  );
}
