/**
 * Whether an offset index that was read from a file is this segment's: entries that ascend within its bounds may still be those
 * of another one. A few of them are held against the log, which costs as many small reads; all of them are by scrubbing.
 */
import type { DiskFile } from '../../platform/disk.ts';
import { batchField, batchHeaderBytes } from '../../protocol/index.ts';
import type { OffsetIndex } from './segment-indexes.ts';

/** The first, the last, and one between them. Rejects with a DiskError. */
export async function agreesWithLog(index: OffsetIndex, log: DiskFile, baseOffset: number): Promise<boolean> {
  const { count } = index;
  if (count === 0) return true;
  const header = Buffer.alloc(batchHeaderBytes);
  for (const entry of new Set([0, count >> 1, count - 1])) {
    const offset = baseOffset + index.offsetAt(entry);
    const read = await log.read(header, index.positionAt(entry));
    if (read < batchHeaderBytes || batchField.magic(header) !== 2) return false;
    // What older Kafkas made, one entry for several batches, is made again once.
    if (batchField.lastOffset(header) !== offset) return false;
  }
  return true;
}
