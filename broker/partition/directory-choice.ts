/**
 * Which data directory a new replica goes to: the one with the most free space for each replica that it would hold. So disks
 * fill in proportion to their room, and directories of one disk (or equal ones) get equally many replicas.
 */
import { assert } from '../../platform/assert.ts';

export interface DirectoryLoad<Directory> {
  readonly directory: Directory;
  readonly usableBytes: number;
  /** Replicas in it, and those of this round that were sent there. */
  replicas: number;
}

/** Counts the replica as placed. There is at least one directory; of equal ones the one with fewer replicas, then the first. */
export function chooseDirectory<Directory>(loads: readonly DirectoryLoad<Directory>[]): Directory {
  let best: DirectoryLoad<Directory> | undefined;
  for (const load of loads) {
    if (best === undefined || isBetter(load, best)) best = load;
  }
  assert(best !== undefined, 'a directory is online');
  best.replicas++;
  return best.directory;
}

function isBetter(load: DirectoryLoad<unknown>, than: DirectoryLoad<unknown>): boolean {
  const difference = load.usableBytes / (load.replicas + 1) - than.usableBytes / (than.replicas + 1);
  return difference === 0 ? load.replicas < than.replicas : difference > 0;
}
