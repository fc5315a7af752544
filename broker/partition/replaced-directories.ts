/**
 * Where replicas go whose data directory was replaced by an empty one. Pure but for looking at the disk.
 *
 * A replica that lies in none of the node's directories, while all of these can be read, is lost with the directory that had it. It
 * begins anew as another member of its group, which lets the lost one go. That is done only where it was replaced, which a directory
 * without any replica tells, and only for partitions that other nodes have as well: a directory that was only left out comes
 * back whole, and the only copy is there or nowhere.
 */
import type { Disk } from '../../platform/disk.ts';
import { chooseDirectory } from './directory-choice.ts';
import type { LogDirectory } from './log-directory.ts';
import { futurePath } from './moves/moved-files.ts';
import { readPartitionMetadata } from './partition-metadata.ts';
import type { DirectoryAssignment } from './partitions.ts';
import { directoryName } from './replica-places.ts';
import type { WantedReplica } from './replica-places.ts';

interface Directory extends Pick<LogDirectory, 'id' | 'path' | 'isOnline'> {
  readonly votes: Pick<LogDirectory['votes'], 'moveOf'>;
}

export interface Replacing {
  readonly disk: Disk;
  /** All of the node. */
  readonly directories: readonly Directory[];
  /** Names in them that belong to no replica of these. */
  readonly reserved: readonly string[];
}

/** `wanted`: the replicas that belong on this node, none of which is open yet. Rejects with a DiskError. */
export async function replacementsOf(
  wanted: readonly WantedReplica[],
  { disk, directories, reserved }: Replacing,
): Promise<DirectoryAssignment[]> {
  if (!directories.every(({ isOnline }) => isOnline)) return [];
  const ids = new Set(directories.map(({ id }) => id));
  const missing = wanted.filter((replica) => {
    const { directoryId, intended } = replica;
    if (directoryId === undefined || (intended?.members.length ?? 1) === 1) return false;
    // Its votes went with it where it was moved: it is as lost there as one that was made there.
    const movedTo = directories.find(({ id }) => id === directoryId)?.votes.moveOf(replica)?.movedTo;
    return !ids.has(movedTo ?? directoryId);
  });
  if (missing.length === 0) return [];
  const empty: Directory[] = [];
  for (const directory of directories) {
    const names = await disk.list(directory.path);
    // What is left of a replica counts as well.
    const isHeld = names.some((name) => /-\d+(\.|$)/.test(name) && !reserved.includes(name));
    if (!isHeld) empty.push(directory);
  }
  if (empty.length === 0) return [];
  const assignments: DirectoryAssignment[] = [];
  const loads = empty.map((directory) => ({
    directory,
    usableBytes: 0,
    replicas: wanted.filter(({ directoryId }) => directoryId === directory.id).length,
  }));
  for (const replica of missing) {
    if (await isFound(disk, directories, replica)) continue;
    const directoryId = chooseDirectory(loads).id;
    if (directoryId === undefined) continue;
    assignments.push({ topicId: replica.topicId, partition: replica.partition, directoryId });
  }
  return assignments;
}

/** It was moved there, by this node or by hand. */
async function isFound(
  disk: Disk,
  directories: readonly Directory[],
  replica: WantedReplica,
): Promise<boolean> {
  for (const directory of directories) {
    const path = `${directory.path}/${directoryName(replica)}`;
    // What a move has left behind does not count.
    if (directory.votes.moveOf(replica) !== undefined) continue;
    if ((await readPartitionMetadata(disk, path)) === replica.topicId) return true;
    if (await disk.exists(futurePath(directory, replica))) return true;
  }
  return false;
}
