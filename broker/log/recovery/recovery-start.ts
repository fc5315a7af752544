/** Where a log begins whose `replica-state` is lost: what its first entries say of their places. */
import type { Disk } from '../../../platform/disk.ts';
import { batchField, verifyBatchCrc } from '../../../protocol/index.ts';
import { scanBatches } from '../reading/batch-scan.ts';
import { isCleanedHeader, readCleanedHeader } from '../segments/cleaned-header.ts';
import type { LogStart } from '../segments/position-table.ts';
import { isRaftOnly, readRaftOnly } from '../raft-only.ts';
import type { Segment } from '../segments/segment.ts';

const chunkBytes = 1024 * 1024;

/**
 * Up to the first Raft-only entry, or the first header of a cleaned segment, each offset took one index: so this entry's own
 * position gives that of the log's beginning. A log of Kafka's has none, and begins as it would have with Raft's indexes.
 * Rejects with a DiskError.
 */
export async function findLogStart(
  disk: Disk,
  segments: readonly { readonly segment: Segment; readonly sizeBytes: number }[],
  isAdopted: boolean,
): Promise<LogStart> {
  const offset = segments[0]!.segment.baseOffset;
  let firstTerm: number | undefined;
  let start: LogStart | undefined;
  for (const { segment, sizeBytes } of segments) {
    const file = await disk.open(segment.path, 'read');
    try {
      await scanBatches(file, { from: 0, to: sizeBytes, chunkBytes }, ({ buffer, at }) => {
        // Of a torn batch nothing counts, not its term either: the log may turn out to be empty.
        if (!verifyBatchCrc(buffer, at)) return 'the CRC does not fit the batch';
        if (!isRaftOnly(buffer, at)) {
          firstTerm ??= batchField.leaderEpoch(buffer, at);
          return undefined;
        }
        const placed = placeOf(buffer, at);
        if (placed === undefined) return 'an entry of Raft that is damaged';
        const term = firstTerm ?? placed.termBefore;
        start = { offset, index: placed.index - (placed.offset - offset), term: isAdopted ? 0 : term };
        return 'stop';
      });
    } finally {
      await file.close();
    }
    if (start !== undefined) return start;
  }
  return { offset, index: offset + 1, term: isAdopted ? 0 : (firstTerm ?? 0) };
}

function placeOf(
  buffer: Buffer,
  at: number,
): { index: number; offset: number; termBefore: number } | undefined {
  if (isCleanedHeader(buffer, at)) {
    const header = readCleanedHeader(buffer, at);
    return header && { index: header.startIndex, offset: header.baseOffset, termBefore: header.startTerm };
  }
  const entry = readRaftOnly(buffer, at);
  return entry && { index: entry.index, offset: entry.offset, termBefore: 0 };
}
