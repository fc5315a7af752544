/** Makes a cleaned segment out of full ones by leaving out whole batches: what a swap needs, without a compaction. */
import { scanBatches } from '../../../broker/log/reading/batch-scan.ts';
import {
  CleanedCover,
  cleanedHeaderBytes,
  encodeCleanedHeader,
  isCleanedHeader,
} from '../../../broker/log/segments/cleaned-header.ts';
import type { CommitLog } from '../../../broker/log/commit-log.ts';
import type { CleanedSpan } from '../../../broker/log/log-types.ts';
import { isRaftOnly } from '../../../broker/log/raft-only.ts';
import { cleanedPath } from '../../../broker/log/segments/segment-swap.ts';
import { Segment } from '../../../broker/log/segments/segment.ts';
import { accountFor } from '../../../broker/log/segments/segment-files.ts';
import type { Disk } from '../../../platform/disk.ts';
import { batchField } from '../../../protocol/index.ts';

/** What the places of these full segments are; the log has others after them. */
export function spanOf(log: CommitLog, old: readonly Segment[]): CleanedSpan {
  const full = log.fullSegments();
  const first = old[0]!;
  const next = full[full.indexOf(old.at(-1)!) + 1];
  const endOffset = old.at(-1)!.endOffset;
  return {
    baseOffset: first.baseOffset,
    startIndex: first.startIndex,
    startTerm: log.termAt(first.startIndex - 1),
    endOffset,
    // Without entries of Raft's at the border, the active segment begins with its first record.
    endIndex: next?.startIndex ?? log.indexOfOffset(endOffset),
  };
}

/** Data batches stay where `keeps` says so of their base offset; Raft's entries always do. */
export async function writeCleaned(
  disk: Disk,
  log: CommitLog,
  old: readonly Segment[],
  keeps: (offset: number) => boolean,
): Promise<Segment> {
  const span = spanOf(log, old);
  const cleaned = new Segment(log.directory, span.baseOffset, 0);
  cleaned.addRaftOnly(cleanedHeaderBytes);
  const cover = new CleanedCover();
  const parts: Buffer[] = [];
  for (const segment of old) {
    const file = await disk.open(segment.path, 'read');
    await scanBatches(file, { from: 0, to: segment.appendedBytes, chunkBytes: 4096 }, (batch) => {
      const { buffer, at, sizeBytes } = batch;
      if (isCleanedHeader(buffer, at)) return undefined;
      if (!isRaftOnly(buffer, at) && !keeps(batchField.baseOffset(buffer, at))) return undefined;
      cover.add(buffer, at);
      accountFor(cleaned, batch, log.config.indexIntervalBytes);
      parts.push(Buffer.from(buffer.subarray(at, at + sizeBytes)));
      return undefined;
    });
    await file.close();
  }
  cleaned.completeTimeIndex();
  await write(disk, cleanedPath(log.directory, span.baseOffset, 'log'), [
    encodeCleanedHeader(span, cover),
    ...parts,
  ]);
  await write(disk, cleanedPath(log.directory, span.baseOffset, 'index'), [cleaned.offsetIndex.bytes()]);
  await write(disk, cleanedPath(log.directory, span.baseOffset, 'timeindex'), [cleaned.timeIndex.bytes()]);
  cleaned.offsetIndexFileBytes = cleaned.offsetIndex.sizeBytes;
  cleaned.timeIndexFileBytes = cleaned.timeIndex.sizeBytes;
  cleaned.indexCrc = cleaned.presentIndexCrc;
  return cleaned;
}

async function write(disk: Disk, path: string, parts: readonly Buffer[]): Promise<void> {
  const file = await disk.open(path, 'create');
  await file.write(parts, 0);
  await file.sync();
  await file.close();
}
