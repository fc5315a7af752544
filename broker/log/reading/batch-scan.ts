/** Walks over the batches of a segment file, one after the other, in large reads. Looks at nothing but their framing. */
import type { DiskFile } from '../../../platform/disk.ts';
import { batchField, batchHeaderBytes } from '../../../protocol/index.ts';

/** A whole batch. The object and its buffer are used again for the next one: keep copies, not references. */
export interface ScannedBatch {
  buffer: Buffer;
  /** Where the batch begins in the buffer... */
  at: number;
  /** ...and in the file. */
  position: number;
  sizeBytes: number;
}

export interface ScanRange {
  readonly from: number;
  /** Exclusive: where the file, or what is to be seen of it, ends. */
  readonly to: number;
  /** Bytes of a read; larger for long ranges. */
  readonly chunkBytes: number;
}

export interface ScanEnd {
  /** After the last batch that was visited and not refused. */
  readonly position: number;
  /** Why no batch follows; undefined at the range's end, or where `visit` stopped the scan without a reason. */
  readonly fault: string | undefined;
}

/** What a visit says: undefined to go on, 'stop' to stop before this batch, other text to refuse it for that reason. */
export type Visit = (batch: ScannedBatch) => string | undefined;

/** Rejects with a DiskError; what is wrong with the bytes is part of the result. */
export async function scanBatches(file: DiskFile, range: ScanRange, visit: Visit): Promise<ScanEnd> {
  let buffer: Buffer = Buffer.allocUnsafeSlow(
    Math.max(batchHeaderBytes, Math.min(range.chunkBytes, range.to - range.from)),
  );
  let filled = 0;
  let position = range.from;
  const batch: ScannedBatch = { buffer, at: 0, position, sizeBytes: 0 };
  while (position < range.to) {
    const wanted = Math.min(buffer.length - filled, range.to - position - filled);
    const read = await file.read(buffer.subarray(filled, filled + wanted), position + filled);
    filled += read;
    const isLast = read < wanted || position + filled === range.to;
    let at = 0;
    while (filled - at >= batchHeaderBytes) {
      const sizeBytes = batchField.sizeBytes(buffer, at);
      const fault = framingFault(buffer, at, sizeBytes, range.to - position);
      if (fault !== undefined) return { position, fault };
      if (sizeBytes > filled - at) break;
      batch.buffer = buffer;
      batch.at = at;
      batch.position = position;
      batch.sizeBytes = sizeBytes;
      const verdict = visit(batch);
      if (verdict !== undefined) return { position, fault: verdict === 'stop' ? undefined : verdict };
      at += sizeBytes;
      position += sizeBytes;
    }
    if (isLast) return { position, fault: position === range.to ? undefined : 'the last batch is cut off' };
    buffer = roomForNext(buffer, at, filled);
    filled -= at;
  }
  return { position, fault: undefined };
}

function framingFault(
  buffer: Buffer,
  at: number,
  sizeBytes: number,
  remainingBytes: number,
): string | undefined {
  if (sizeBytes < batchHeaderBytes) return 'no batch has this length';
  if (batchField.magic(buffer, at) !== 2) return 'not a record batch of format 2';
  return sizeBytes > remainingBytes ? 'the last batch is cut off' : undefined;
}

/** Moves the started batch at `at` to the front, into a larger buffer where it does not fit the present one. */
function roomForNext(buffer: Buffer, at: number, filled: number): Buffer {
  const rest = filled - at;
  const needed = rest >= batchHeaderBytes ? batchField.sizeBytes(buffer, at) : batchHeaderBytes;
  const target = needed > buffer.length ? Buffer.allocUnsafeSlow(needed) : buffer;
  buffer.copy(target, 0, at, filled);
  return target;
}
