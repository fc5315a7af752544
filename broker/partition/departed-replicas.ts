/**
 * How far the log of a replica reached that its group does without, and whose files go. Should it be made a member again it begins
 * empty; a member that does not know that it was taken out counts it among the voters still, and could be elected by it without
 * what was committed then. So it votes, until it holds as much again, as one that has lost what it acknowledged (`repair-floor.ts`).
 */
import type { Disk } from '../../platform/disk.ts';
import type { LogDirectory } from './log-directory.ts';
import { isAsHigh, readRepairFloor } from './repair-floor.ts';
import type { ReachedLog } from './repair-floor.ts';
import type { GroupId } from './vote-records.ts';

export interface Departing {
  readonly disk: Disk;
  readonly home: LogDirectory;
  readonly identity: GroupId;
}

/**
 * Before the log is removed; resolves when it is durable. Nothing is written of a log that never held anything. Rejects with a
 * DamagedRepairFloor or a DiskError.
 */
export async function noteDeparture({ disk, home, identity }: Departing, log: ReachedLog): Promise<void> {
  const held = { term: log.lastTerm, index: log.endIndex - 1 };
  // What it had lost, and had not made up for.
  const lost = await readRepairFloor(disk, log.directory);
  const left = lost !== undefined && isAsHigh(lost, held) ? lost : held;
  const { topicId, partition } = identity;
  if (left.index > 0) await home.votes.put([{ group: { topicId, partition }, left }]);
}
