/**
 * Puts a cleaned segment in the place of the ones that it was made from (storage-format.md, "Swapping a cleaned segment in").
 * Its files go from `.cleaned` to `.swap` to their final names, the `.log` always last:
 *
 *   1. `.cleaned` -> `.swap`, the indexes, then a sync of the directory, then the `.log`, then another. From here on a recovery
 *      finishes the swap; before, it removes what is there of the new segment.
 *   2. `replica-state` names the new segment in place of the old ones.
 *   3. The old segments' files become `.deleted`; the directory is synced, as no old file may be left under its name once
 *   4. `.swap` becomes the final name, the `.log` last and only after a sync, as `.log.swap` is what says that a swap is under way.
 */
import type { Disk } from '../../../platform/disk.ts';
import { segmentFiles, segmentPath } from './segment.ts';
import type { Segment, SegmentFile } from './segment.ts';

export const cleanedSuffix = '.cleaned';
export const swapSuffix = '.swap';

/** Where the cleaner puts a file of the segment that it makes; written and synced before `replaceSegments` is called. */
export function cleanedPath(directory: string, baseOffset: number, kind: SegmentFile): string {
  return segmentPath(directory, baseOffset, kind) + cleanedSuffix;
}

/** Step 1. Rejects with a DiskError, after which `abandonSwap` has to succeed or the log has failed. */
export async function beginSwap(disk: Disk, segment: Segment): Promise<void> {
  await renameAll(disk, segment, cleanedSuffix, swapSuffix);
}

/** Step 4, also for a recovery that finds `.log.swap`. Rejects with a DiskError. */
export async function finishSwap(
  disk: Disk,
  segment: Pick<Segment, 'directory' | 'baseOffset'>,
): Promise<void> {
  await renameAll(disk, segment, swapSuffix, '');
}

/** Takes step 1 back: removes the new segment's files, under either name, the `.log.swap` first. */
export async function abandonSwap(disk: Disk, { directory, baseOffset }: Segment): Promise<void> {
  for (const kind of segmentFiles.toReversed()) {
    for (const suffix of [swapSuffix, cleanedSuffix]) {
      const path = segmentPath(directory, baseOffset, kind) + suffix;
      if (await disk.exists(path)) await disk.remove(path);
    }
    if (kind === 'log') await disk.syncDirectory(directory);
  }
}

async function renameAll(
  disk: Disk,
  { directory, baseOffset }: Pick<Segment, 'directory' | 'baseOffset'>,
  from: string,
  to: string,
): Promise<void> {
  for (const kind of segmentFiles) {
    if (kind === 'log') await disk.syncDirectory(directory);
    const path = segmentPath(directory, baseOffset, kind);
    if (kind === 'log' || (await disk.exists(path + from))) await disk.rename(path + from, path + to);
  }
  await disk.syncDirectory(directory);
}
