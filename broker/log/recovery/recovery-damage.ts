/**
 * Sets damaged segments aside, so that nothing of what a repair may want is lost and what is valid stays in place
 * (storage-format.md, "Damage"): files get names that end in `.damaged`, and the valid beginning of the first of them, copied,
 * takes its name. May be interrupted anywhere: the next opening finds the damage again, or the files set aside.
 */
import { DiskError } from '../../../platform/disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import { validSuffix } from './recovery-leftovers.ts';
import { segmentFiles, segmentPath } from '../segments/segment.ts';
import type { Segment } from '../segments/segment.ts';

const chunkBytes = 1024 * 1024;

export interface DamagedPart {
  /** The segment with the bad bytes, and how much of it is valid; undefined where the damage lies between two segments. */
  readonly cut: { readonly segment: Segment; readonly validBytes: number } | undefined;
  /** All segments after the damage. */
  readonly later: readonly Segment[];
}

/** False where there is no space for a copy: then nothing has been changed. Rejects with a DiskError. */
export async function setAside(disk: Disk, directory: string, { cut, later }: DamagedPart): Promise<boolean> {
  if (cut !== undefined) {
    const copy = cut.segment.path + validSuffix;
    try {
      await copyBeginning(disk, { from: cut.segment.path, to: copy, sizeBytes: cut.validBytes });
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== 'no-space') throw error;
      await disk.remove(copy);
      return false;
    }
    await disk.syncDirectory(directory);
  }
  for (const segment of later.toReversed()) await renameAway(disk, segment);
  await disk.syncDirectory(directory);
  if (cut !== undefined) {
    await renameAway(disk, cut.segment);
    await disk.syncDirectory(directory);
    await disk.rename(cut.segment.path + validSuffix, cut.segment.path);
    await disk.syncDirectory(directory);
  }
  return true;
}

async function renameAway(disk: Disk, { directory, baseOffset }: Segment): Promise<void> {
  for (const kind of segmentFiles) {
    const path = segmentPath(directory, baseOffset, kind);
    if (await disk.exists(path)) await disk.rename(path, await freeName(disk, `${path}.damaged`));
  }
}

/** A segment may be damaged again after it has been set aside once. */
async function freeName(disk: Disk, path: string): Promise<string> {
  let name = path;
  for (let number = 2; await disk.exists(name); number++) name = `${path}.${number}`;
  return name;
}

async function copyBeginning(
  disk: Disk,
  copy: { readonly from: string; readonly to: string; readonly sizeBytes: number },
): Promise<void> {
  const from = await disk.open(copy.from, 'read');
  try {
    const to = await disk.open(copy.to, 'create');
    try {
      await to.truncate(0);
      const chunk = Buffer.allocUnsafeSlow(Math.max(1, Math.min(chunkBytes, copy.sizeBytes)));
      for (let position = 0; position < copy.sizeBytes; position += chunk.length) {
        const read = await from.read(chunk.subarray(0, copy.sizeBytes - position), position);
        await to.write([chunk.subarray(0, read)], position);
      }
      await to.sync();
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}
