/**
 * One move of a replica to another data directory of its node. Its log is copied while it goes on; then it leaves its group for a moment,
 * as at a restart of the node, the rest is copied, and it is opened again from the copy, as the same member with all that it has promised.
 * What each step leaves on the disks, and which one decides, is in `moved-files.ts`.
 */
import type { Clock } from '../../../platform/clock.ts';
import type { Disk } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import { directoryOf, nodeOf } from '../../raft/member.ts';
import type { LogDirectory } from '../log-directory.ts';
import type { Partitions } from '../partitions.ts';
import { directoryName } from '../replica-places.ts';
import type { WantedReplica } from '../replica-places.ts';
import type { Replica } from '../replica.ts';
import { FutureCopy, MoveCalledOff } from './future-copy.ts';
import { writeMemberFile } from './member-file.ts';
import type { MovePace } from './move-pace.ts';
import { arrivingState, discardFuture, futurePath, removeLeftover } from './moved-files.ts';

export interface MoveTools {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly partitions: Pick<Partitions, 'reopen' | 'giveUp'>;
  readonly pace: MovePace;
  /** As the metadata has it now; undefined: it does not belong on this node any more. */
  readonly wanted: (replica: Replica) => WantedReplica | undefined;
  /** Resolves when nothing is done to the replica's log beside what requests ask for. */
  readonly release: (replica: Replica) => Promise<void>;
}

/** For whom the replica is moved. */
export interface MoveAsker {
  /** Asked again and again, until the replica is closed. */
  readonly isWanted: () => boolean;
  /** The node stops: what has been copied stays, as a sign that the move is to go on. */
  readonly isStopping: () => boolean;
}

/** What is left for when the replica is closed may be so much: some milliseconds' worth. */
const restBytesMax = 1024 * 1024;

export class ReplicaMove {
  readonly replica: Replica;
  readonly to: LogDirectory;
  readonly #tools: MoveTools;
  readonly #copy: FutureCopy;
  readonly #asker: MoveAsker;
  readonly #isWanted: () => boolean;
  readonly #wanted: WantedReplica | undefined;

  constructor(tools: MoveTools, replica: Replica, to: LogDirectory, asker: MoveAsker) {
    const { disk, clock, pace } = tools;
    this.#tools = tools;
    this.#asker = asker;
    this.replica = replica;
    this.to = to;
    this.#wanted = tools.wanted(replica);
    this.#isWanted = () =>
      asker.isWanted() && to.isOnline && !replica.closed && !replica.failed && !replica.hasDamage;
    this.#copy = new FutureCopy({
      disk,
      clock,
      log: replica.log,
      directory: futurePath(to, replica.identity),
      pace,
      isWanted: this.#isWanted,
    });
  }

  /** Of the copy, as far as it has come. */
  get sizeBytes(): number {
    return this.#copy.sizeBytes;
  }

  get lag(): number {
    return this.#copy.lag;
  }

  /** Resolves when the replica is opened from its new directory. Rejects with a MoveCalledOff, a DiskError or what a file says; the replica is where it was then, unless it is offline. */
  async run(): Promise<void> {
    const { disk } = this.#tools;
    try {
      await this.#copyOpen();
    } catch (error) {
      if (!this.#asker.isStopping()) await discardFuture(disk, this.to, this.replica.identity);
      throw error;
    }
    await this.#change();
  }

  async #copyOpen(): Promise<void> {
    const { disk, clock } = this.#tools;
    const { replica, to } = this;
    const { identity: group } = replica;
    await removeLeftover({ disk, clock, directory: to, group, name: directoryName(group) });
    await this.#copy.begin();
    await disk.syncDirectory(to.path);
    for (let bytes = Infinity; bytes > restBytesMax; bytes = await this.#copy.round()) {
      if (!this.#isWanted()) throw new MoveCalledOff();
    }
    await handOver(replica);
    await this.#tools.release(replica);
    if (!this.#isWanted()) throw new MoveCalledOff();
  }

  /** The replica is closed meanwhile. */
  async #change(): Promise<void> {
    const { disk, partitions } = this.#tools;
    const { replica, to } = this;
    const { identity: group, home } = replica;
    try {
      await replica.close();
    } catch (error) {
      partitions.giveUp(replica, messageOf(error));
      throw error;
    }
    // What it has told nobody of may be lost with it: the next start finds out.
    if (replica.failed) throw new MoveCalledOff('its log has failed');
    const number = 1 + this.#tools.random.below(2 ** 31 - 2);
    try {
      await this.#copy.finish();
      await this.#prepare(number);
    } catch (error) {
      await this.#reopen();
      await discardFuture(disk, to, group);
      throw error;
    }
    try {
      await home.votes.put([{ group, movedTo: to.id, number }]);
    } catch (error) {
      // Whether that has reached the disk only the next start can tell.
      home.failedBy(error);
      partitions.giveUp(replica, 'it is not known whether it has been moved to another data directory');
      throw error;
    }
    await this.#reopen();
  }

  /** All that makes the copy the member is durable, but for the word that it is. */
  async #prepare(move: number): Promise<void> {
    const { disk } = this.#tools;
    const { replica, to } = this;
    const { identity: group, home, member } = replica;
    const madeIn = directoryOf(member);
    await writeMemberFile(disk, futurePath(to, group), { madeIn, liesIn: to.id!, move });
    const state = arrivingState(home.votes.get(group), to.votes.get(group));
    if (state !== undefined) await to.votes.put([{ group, state }]);
    const floor = home.floors.floor(group).current();
    if (floor === undefined) await to.floors.floor(group).forget();
    else await to.floors.floor(group).lower(floor);
  }

  async #reopen(): Promise<void> {
    const { partitions, wanted } = this.#tools;
    const { identity, member } = this.replica;
    const known = wanted(this.replica) ?? this.#wanted ?? { ...identity, directoryId: directoryOf(member) };
    try {
      await partitions.reopen(this.replica, known);
    } catch (error) {
      partitions.giveUp(this.replica, messageOf(error));
      throw error;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Others lead meanwhile, where there are others: so nobody waits for an election. */
async function handOver(replica: Replica): Promise<void> {
  if (!replica.isLeader) return;
  const self = nodeOf(replica.member);
  const to = replica.acknowledgements
    .inSyncMembers()
    .map(nodeOf)
    .find((id) => id !== self);
  if (to !== undefined) await replica.transferLeadership(to);
}
