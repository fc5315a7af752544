/**
 * The files that hold producers' states at an offset (`<20-digit offset>.snapshot`, Kafka's format): written when a segment
 * begins and on a clean stop, so that opening replays only the batches after the newest one.
 */
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../platform/whole-files.ts';

const ending = '.snapshot';
/** The newest, and one behind it in case that one is damaged. */
const keptCount = 2;

export interface ProducerSnapshot {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** The offsets of a directory's snapshots, newest first. */
export async function listSnapshots(disk: Disk, directory: string): Promise<number[]> {
  const offsets: number[] = [];
  for (const name of await disk.list(directory)) {
    if (/^\d{20}\.snapshot$/.test(name)) offsets.push(Number(name.slice(0, 20)));
  }
  return offsets.reverse();
}

export async function readSnapshot(disk: Disk, directory: string, offset: number): Promise<ProducerSnapshot> {
  const bytes = await readWholeFile(disk, pathOf(directory, offset));
  return { offset, bytes };
}

/** Durable when it resolves; older ones beyond those kept are removed. */
export async function writeSnapshot(
  disk: Disk,
  directory: string,
  snapshot: ProducerSnapshot,
): Promise<void> {
  await replaceFile(disk, directory, nameOf(snapshot.offset), snapshot.bytes);
  const offsets = await listSnapshots(disk, directory);
  const older = offsets.filter((offset) => offset <= snapshot.offset);
  for (const offset of older.slice(keptCount)) await disk.remove(pathOf(directory, offset));
}

/**
 * Removes those above the log's end, as what they describe is not there; resolves with the others, newest first. Durably: one
 * that came back when the log is longer again would speak of other records.
 */
export async function removeSnapshotsAbove(
  disk: Disk,
  directory: string,
  logEndOffset: number,
): Promise<number[]> {
  const offsets = await listSnapshots(disk, directory);
  const kept = offsets.filter((offset) => offset <= logEndOffset);
  const removed = offsets.slice(0, offsets.length - kept.length);
  for (const offset of removed) await disk.remove(pathOf(directory, offset));
  if (removed.length > 0) await disk.syncDirectory(directory);
  return kept;
}

function pathOf(directory: string, offset: number): string {
  return `${directory}/${nameOf(offset)}`;
}

function nameOf(offset: number): string {
  return `${String(offset).padStart(20, '0')}${ending}`;
}
