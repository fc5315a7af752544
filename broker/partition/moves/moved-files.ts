/**
 * What a move of a replica between data directories leaves on the disks at each step, and what it means:
 *
 *   1. `<topic id>-<partition>-future` in the new directory is a copy that may be anything. It counts for nothing.
 *   2. It is whole and synced, and the new directory has the member's term, vote and floor.
 *   3. The old directory's votes say that the member lives in the new one. From here on the copy is the replica, and what the old
 *      directory has of it counts no more: this one record decides.
 *   4. The new directory's votes say no more that the member lives elsewhere, where they did; the copy takes the partition's name.
 *   5. The files in the old directory are removed.
 *
 * Steps 4 and 5 are done by whoever looks for the replica: at once, or at the next start of the node. Invariant: the directory in which
 * a member lives never says that it lives elsewhere; one that it was moved away from always does, so that nothing takes that member's
 * name there without its votes.
 */
import type { Clock } from '../../../platform/clock.ts';
import type { Disk } from '../../../platform/disk.ts';
import { removeLogDirectory } from '../../log/log-removal.ts';
import type { HardState } from '../../raft/raft.ts';
import type { LogDirectory } from '../log-directory.ts';
import { readPartitionMetadata } from '../partition-metadata.ts';
import type { GroupId } from '../vote-records.ts';
import { readMemberFile } from './member-file.ts';

const futureSuffix = '-future';
const futurePattern = /^([A-Za-z0-9_-]{22})-(\d+)-future$/;

/** The copy's name while it is none that counts. */
export function futureName({ topicId, partition }: GroupId): string {
  return `${topicId}-${partition}${futureSuffix}`;
}

/** Of which replica it is a copy; undefined where the name is none of a copy. */
export function groupOfFuture(name: string): GroupId | undefined {
  const [, topicId, partition] = futurePattern.exec(name) ?? [];
  return topicId === undefined ? undefined : { topicId, partition: Number(partition) };
}

export function futurePath(directory: Pick<LogDirectory, 'path'>, group: GroupId): string {
  return `${directory.path}/${futureName(group)}`;
}

/** Step 4, where step 3 was reached: `directories` are those that can be used. Rejects with a DiskError. */
export async function finishMove(
  disk: Disk,
  directories: readonly LogDirectory[],
  { group, name }: { readonly group: GroupId; readonly name: string },
): Promise<void> {
  for (const directory of directories) {
    const future = futurePath(directory, group);
    const moves = directories.map(({ votes }) => votes.moveOf(group));
    const incoming = moves.filter((move) => move?.movedTo === directory.id);
    if (incoming.length === 0 || !(await disk.exists(future))) continue;
    const copy = await readMemberFile(disk, future, directory.id);
    // Records of earlier moves to this directory may still be there.
    if (!incoming.some((move) => move?.number === copy?.move)) continue;
    await livesHere(directory, group);
    await disk.rename(future, `${directory.path}/${name}`);
    await disk.syncDirectory(directory.path);
  }
}

async function livesHere(directory: LogDirectory, group: GroupId): Promise<void> {
  const move = directory.votes.moveOf(group);
  if (move !== undefined) await directory.votes.put([{ ...move, movedTo: undefined }]);
}

/** The copy is given up before step 3: nothing of it is left. Rejects with a DiskError. */
export async function discardFuture(disk: Disk, directory: LogDirectory, group: GroupId): Promise<void> {
  await disk.removeDirectory(futurePath(directory, group));
  await disk.syncDirectory(directory.path);
  await directory.floors.floor(group).forget();
}

export interface Leftover {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: LogDirectory;
  readonly group: GroupId;
  readonly name: string;
}

/** Step 5. Rejects with a DiskError. */
export async function removeLeftover({ disk, clock, directory, group, name }: Leftover): Promise<void> {
  const path = `${directory.path}/${name}`;
  if (directory.votes.moveOf(group) === undefined) return;
  if ((await readPartitionMetadata(disk, path)) !== group.topicId) return;
  const { syncer, floors } = directory;
  await removeLogDirectory({ disk, clock, syncer, floor: floors.floor(group), directory: path });
}

/**
 * The term and vote of a member that comes to a directory which may have some of the group, of another member or an earlier stay: no
 * vote that either has given may be given anew. Undefined where neither has any.
 */
export function arrivingState(
  moved: HardState | undefined,
  there: HardState | undefined,
): HardState | undefined {
  if (moved === undefined || there === undefined) return moved ?? there;
  if (moved.term > there.term || (moved.term === there.term && moved.votedFor === there.votedFor))
    return moved;
  return { term: Math.max(moved.term, there.term) + 1, votedFor: undefined };
}

/**
 * A replica that is nowhere to be found is to be made anew in its directory. If its member was moved away from there, it has been taken
 * out of its group since, and its files removed where it lay last: its term and vote come back from there. Where they were removed by hand, or
 * lost, there is a floor there, which comes back as well: it is what the member has acknowledged. Returns why that cannot be, undefined
 * where all is well. Rejects with a DiskError.
 */
export async function bringBack(
  leftover: Leftover,
  directories: readonly LogDirectory[],
): Promise<string | undefined> {
  const { directory, group } = leftover;
  const seen = new Set<string>();
  let last = directory;
  for (;;) {
    const next = last.votes.moveOf(group)?.movedTo;
    if (next === undefined) break;
    const found = directories.find(({ id, isOnline }) => isOnline && id === next);
    if (found === undefined || seen.has(next)) {
      const path = directories.find(({ id }) => id === next)?.path;
      return `it was moved to the data directory ${path ?? `with the id ${next}`}, which cannot be used`;
    }
    seen.add(next);
    last = found;
  }
  if (last === directory) return undefined;
  const state = arrivingState(last.votes.get(group), directory.votes.get(group));
  if (state !== undefined) await directory.votes.put([{ group, state }]);
  await removeLeftover(leftover);
  const lost = last.floors.floor(group).current();
  if (lost !== undefined) await directory.floors.floor(group).lower(lost);
  await livesHere(directory, group);
  if (lost !== undefined) await last.floors.floor(group).forget();
  return undefined;
}
