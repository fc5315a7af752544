/**
 * Removes the directory of a log that is closed: first its floor, then its name, then what is in it. A crash leaves the log as it
 * was, without a floor, or a directory whose name ends in `-delete`, which means nothing any more.
 */
import type { LogOptions } from './log-types.ts';

type RemovedLog = Pick<LogOptions, 'disk' | 'directory' | 'floor' | 'syncer' | 'clock'>;

/** Bytes in a file's name on the usual file systems. */
const nameBytesMax = 255;

/** Of a log that is closed, or was never opened. Rejects with a DiskError. */
export async function removeLogDirectory(options: RemovedLog): Promise<void> {
  const { disk, directory, floor, syncer } = options;
  await floor?.forget();
  const parent = directory.slice(0, Math.max(1, directory.lastIndexOf('/')));
  const doomed = await doomedName(options, parent);
  await disk.rename(directory, doomed);
  await disk.syncDirectory(parent);
  // After the new name is durable: a start between the two finds no file of the old name to write into.
  await syncer.discard(directory.slice(parent.length + 1));
  await disk.removeDirectory(doomed);
  await disk.syncDirectory(parent);
}

/** A free name. Of a long one the end is kept, where the partition stands. */
async function doomedName({ disk, directory, clock }: RemovedLog, parent: string): Promise<string> {
  const name = directory.slice(directory.lastIndexOf('/') + 1);
  for (let stamp = clock.wallMs(); ; stamp++) {
    const ending = `.${stamp.toString(36)}-delete`;
    const doomed = `${parent}/${name.slice(Math.max(0, name.length + ending.length - nameBytesMax))}${ending}`;
    if (!(await disk.exists(doomed))) return doomed;
  }
}
