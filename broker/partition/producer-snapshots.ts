/**
 * The files that hold producers' states at an offset (`<20-digit offset>.snapshot`, Kafka's format): written when a segment
 * begins and on a clean stop, so that opening replays only the batches after the newest one.
 */
import type { Disk } from '../../platform/disk.ts';

const ending = '.snapshot';
/** The newest, and one behind it in case that one is damaged. */
const keptCount = 2;

export interface ProducerSnapshot {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** Snapshots at or below `offsetMax`, newest first. */
export async function listSnapshots(disk: Disk, directory: string, offsetMax: number): Promise<number[]> {
  const offsets: number[] = [];
  for (const name of await disk.list(directory)) {
    if (!/^\d{20}\.snapshot$/.test(name)) continue;
    const offset = Number(name.slice(0, 20));
    if (offset <= offsetMax) offsets.push(offset);
  }
  return offsets.reverse();
}

export async function readSnapshot(disk: Disk, directory: string, offset: number): Promise<ProducerSnapshot> {
  const file = await disk.open(pathOf(directory, offset), 'read');
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, 0);
  await file.close();
  return { offset, bytes };
}

/** Durable when it resolves; older ones beyond those kept are removed. */
export async function writeSnapshot(
  disk: Disk,
  directory: string,
  snapshot: ProducerSnapshot,
): Promise<void> {
  const temporary = `${pathOf(directory, snapshot.offset)}.tmp`;
  const file = await disk.open(temporary, 'create');
  await file.truncate(0);
  await file.write([snapshot.bytes], 0);
  await file.sync();
  await file.close();
  await disk.rename(temporary, pathOf(directory, snapshot.offset));
  await disk.syncDirectory(directory);
  const offsets = await listSnapshots(disk, directory, snapshot.offset);
  for (const offset of offsets.slice(keptCount)) await disk.remove(pathOf(directory, offset));
}

/** Removes those above the log's end: what they describe is not there. */
export async function removeSnapshotsAbove(
  disk: Disk,
  directory: string,
  logEndOffset: number,
): Promise<void> {
  const kept = new Set(await listSnapshots(disk, directory, logEndOffset));
  for (const offset of await listSnapshots(disk, directory, Number.MAX_SAFE_INTEGER)) {
    if (!kept.has(offset)) await disk.remove(pathOf(directory, offset));
  }
}

function pathOf(directory: string, offset: number): string {
  return `${directory}/${String(offset).padStart(20, '0')}${ending}`;
}
