/**
 * The first batch of a cleaned segment (storage-format.md, "Cleaned segments"): a control batch without records, like one of
 * Raft's own, that takes neither a Kafka offset nor a Raft index. It says which places the segment stands for, so that gaps
 * between its batches are legal, and covers what the batches' own CRCs do not: their base offsets and terms.
 *
 * It has one size: a cleaner writes that many zeros first, and the header once it knows what follows, before the sync.
 */
import { batchField, batchHeaderBytes, crc32c } from '../../../protocol/index.ts';
import type { CleanedSpan } from '../log-types.ts';
import { encodeControl, isRaftOnly, readControl, readInt64, writeInt64 } from '../raft-only.ts';

const kindNumber = 4;
/** After the payload's version, kind, term, index and offset: end offset, end index, count of batches, CRC. */
const contentBytes = 24;
export const cleanedHeaderBytes = batchHeaderBytes + 22 + contentBytes;
/** Of each batch: base offset, length, epoch and magic, which its own CRC leaves out. */
const coveredBytes = 17;

/** What the header says of the batches that follow it; carried along batch by batch. */
export class CleanedCover {
  batchCount = 0;
  crc = 0;

  /** Takes the next batch of the segment after the header, as it stands in the file. */
  add(buffer: Buffer, at: number): void {
    this.batchCount++;
    this.crc = crc32c(buffer.subarray(at, at + coveredBytes), this.crc);
  }
}

export interface CleanedHeader extends CleanedSpan {
  readonly batchCount: number;
  /** CRC-32C over the first 17 bytes of every following batch, in order. */
  readonly crc: number;
}

export function encodeCleanedHeader(
  span: CleanedSpan,
  cover: Pick<CleanedCover, 'batchCount' | 'crc'>,
): Buffer {
  const payload = Buffer.alloc(contentBytes);
  writeInt64(payload, span.endOffset, 0);
  writeInt64(payload, span.endIndex, 8);
  payload.writeInt32BE(cover.batchCount, 16);
  payload.writeUInt32BE(cover.crc, 20);
  const place = { term: span.startTerm, index: span.startIndex, offset: span.baseOffset };
  return encodeControl(kindNumber, { ...place, payload });
}

/** Whether the batch at `position`, of which the header and two more bytes must be there, is of this kind. */
export function isCleanedHeader(buffer: Buffer, position: number): boolean {
  return isRaftOnly(buffer, position) && buffer[position + batchHeaderBytes + 1] === kindNumber;
}

/** The header at `position`, whole and with its CRC checked; undefined where its inside contradicts itself. */
export function readCleanedHeader(buffer: Buffer, position: number): CleanedHeader | undefined {
  if (batchField.sizeBytes(buffer, position) !== cleanedHeaderBytes) return undefined;
  const control = readControl(buffer, position);
  if (control === undefined || !isCleanedHeader(buffer, position)) return undefined;
  const { payload } = control;
  const header = {
    baseOffset: control.offset,
    startIndex: control.index,
    startTerm: control.term,
    endOffset: readInt64(payload, 0),
    endIndex: readInt64(payload, 8),
    batchCount: payload.readInt32BE(16),
    crc: payload.readUInt32BE(20),
  };
  return header.endOffset > header.baseOffset &&
    header.endIndex - header.startIndex >= header.endOffset - header.baseOffset
    ? header
    : undefined;
}
