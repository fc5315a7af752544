/**
 * Checks a log's batches one after the other, from a place where its positions are known: CRC, and, as that does not cover them,
 * base offset and term against the batch before and the last Raft-only entry, or against the header of a cleaned segment.
 * Pure: who reads the bytes says what to do about a fault.
 *
 * Gaps between offsets are legal in cleaned segments, and in what Apache Kafka wrote (`isAdopted`): there, up to the first entry
 * of Raft's, terms may rise with any batch, too.
 */
import { batchField, verifyBatchCrc } from '../../../protocol/index.ts';
import type { ScannedBatch } from '../reading/batch-scan.ts';
import { CleanedCover, isCleanedHeader, readCleanedHeader } from '../segments/cleaned-header.ts';
import type { CleanedHeader } from '../segments/cleaned-header.ts';
import type { PositionTable } from '../segments/position-table.ts';
import { isRaftOnly, noPayload, readRaftOnly } from '../raft-only.ts';
import type { Segment } from '../segments/segment.ts';

export class LogChecker {
  /** Grows by what is checked. */
  readonly table: PositionTable;
  readonly #isAdopted: boolean;
  endOffset: number;
  endIndex: number;
  #header: CleanedHeader | undefined;
  #cover = new CleanedCover();

  /** `table` ends where the checks begin. */
  constructor(
    table: PositionTable,
    from: { readonly endOffset: number; readonly endIndex: number },
    isAdopted: boolean,
  ) {
    this.table = table;
    this.endOffset = from.endOffset;
    this.endIndex = from.endIndex;
    this.#isAdopted = isAdopted;
  }

  /** A segment begins here; tells what is wrong with that. */
  begin(segment: Segment): string | undefined {
    this.#header = undefined;
    this.#cover = new CleanedCover();
    if (this.#mayGap && segment.baseOffset > this.endOffset) this.#passTo(segment.baseOffset);
    if (segment.baseOffset !== this.endOffset)
      return `the segment begins at offset ${segment.baseOffset}, not at ${this.endOffset}`;
    segment.startIndex = this.endIndex;
    return undefined;
  }

  /** Takes the next batch; otherwise tells what is wrong with it. */
  take(segment: Segment, batch: ScannedBatch): string | undefined {
    const { buffer, at, position } = batch;
    if (!verifyBatchCrc(buffer, at)) return 'the CRC does not fit the batch';
    if (isCleanedHeader(buffer, at)) {
      return position === 0 ? this.#takeHeader(segment, batch) : 'a header stands within the segment';
    }
    const fault =
      this.#passGap(batch) ?? (isRaftOnly(buffer, at) ? this.#takeEntry(batch) : this.#takeData(batch));
    if (fault === undefined && this.#header !== undefined) this.#cover.add(buffer, at);
    return fault;
  }

  /** The segment ends here, whole; tells what is wrong with that. */
  end(segment: Segment): string | undefined {
    const header = this.#header;
    if (header === undefined) return undefined;
    if (this.#cover.batchCount !== header.batchCount || this.#cover.crc !== header.crc)
      return 'the header of the cleaned segment does not fit its batches';
    this.#passTo(header.endOffset);
    if (this.endIndex !== header.endIndex)
      return `the cleaned segment ends at Raft index ${this.endIndex}, not at ${header.endIndex}`;
    segment.endOffset = header.endOffset;
    return undefined;
  }

  #takeHeader(segment: Segment, { buffer, at }: ScannedBatch): string | undefined {
    const header = readCleanedHeader(buffer, at);
    if (header === undefined) return 'the header of the cleaned segment contradicts itself';
    if (header.baseOffset !== this.endOffset || header.startIndex !== this.endIndex)
      return `the cleaned segment does not begin at offset ${this.endOffset}`;
    if (header.startTerm !== this.table.lastTerm)
      return `the cleaned segment does not follow on term ${this.table.lastTerm}`;
    segment.isCleaned = true;
    this.#header = header;
    return undefined;
  }

  #passGap({ buffer, at }: ScannedBatch): string | undefined {
    const baseOffset = batchField.baseOffset(buffer, at);
    if (this.#mayGap && baseOffset > this.endOffset) this.#passTo(baseOffset);
    if (baseOffset !== this.endOffset) return `the batch does not begin at offset ${this.endOffset}`;
    return undefined;
  }

  #takeEntry({ buffer, at }: ScannedBatch): string | undefined {
    const entry = readRaftOnly(buffer, at);
    if (entry === undefined || entry.index !== this.endIndex)
      return `the Raft-only entry is not number ${this.endIndex}`;
    if (entry.term < this.table.lastTerm) return 'the term goes back';
    this.table.add(entry);
    this.endIndex++;
    return undefined;
  }

  #takeData({ buffer, at }: ScannedBatch): string | undefined {
    const term = batchField.leaderEpoch(buffer, at);
    const offsets = batchField.lastOffsetDelta(buffer, at) + 1;
    if (offsets < 1) return 'the batch has no offsets';
    const { lastTerm } = this.table;
    const beginsEpoch = this.#isBeforeRaft && (term > lastTerm || this.table.entries.length === 0);
    if (beginsEpoch && term >= lastTerm) {
      const place = { index: this.endIndex, offset: this.endOffset };
      this.table.add({ kind: 'epoch', term, ...place, payload: noPayload });
    } else if (term !== lastTerm) return `the batch's term is ${term}, not ${lastTerm}`;
    this.endOffset += offsets;
    this.endIndex += offsets;
    if (this.#header !== undefined && this.endOffset > this.#header.endOffset)
      return `the batch ends after offset ${this.#header.endOffset}, where the cleaned segment ends`;
    return undefined;
  }

  get #isBeforeRaft(): boolean {
    return this.#isAdopted && !this.table.endsWithRaftOnly;
  }

  get #mayGap(): boolean {
    return this.#header !== undefined || this.#isBeforeRaft;
  }

  /** Offsets that are missing took a Raft index each, as all Raft-only entries are kept. */
  #passTo(offset: number): void {
    this.endIndex += offset - this.endOffset;
    this.endOffset = offset;
  }
}
