/**
 * The terms and votes of all groups of one log directory, in one small file that survives a crash at any byte.
 *
 * The file is a header and records of a fixed size, appended in rounds; the last record of a group counts (storage-format.md,
 * "votes"). A record that is cut off or fails its CRC in the last round is a torn append, which nobody was told of; one with
 * another round after it is damage, and then no vote in the file can be trusted: the directory's identity has to retire.
 * Opening rewrites the file when most of it is superseded, and one of the format before.
 *
 * One write and one sync at a time. Whatever is put in the same turn, or while they run, shares the next ones, so that an
 * election of thousands of groups costs a few.
 */
import type { Disk, DiskFile } from '../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../platform/whole-files.ts';
import type { HardState } from '../raft/raft.ts';
import { encodeRound, encodeRounds, keyOf, readVotes, voteRecordBytes, votesHeader } from './vote-records.ts';
import type { GroupId, ReadVotes, Vote, VoteRecord, VoterLeft, VoterMove } from './vote-records.ts';

export type { GroupId, Vote } from './vote-records.ts';

export class VoteStore {
  readonly #file: DiskFile;
  readonly #votes: Map<string, Vote>;
  /** Of members of this directory that live in another one now, by group. */
  readonly #moves: Map<string, VoterMove>;
  /** Of members of this directory that were taken out, by group. */
  readonly #departures: Map<string, VoterLeft>;
  #endPosition: number;
  /** Put, and not yet in a write. */
  #waiting: VoteRecord[] = [];
  /** The round that those will be in; undefined while none waits. */
  #next: Promise<void> | undefined;
  /** The rounds that have begun, which go one after the other. */
  #last: Promise<void> = Promise.resolve();
  /** A round has failed: what it has left beyond the end must not be read as newer than what comes to stand before it. */
  #isEndDirty = false;

  private constructor(
    file: DiskFile,
    known: Pick<ReadVotes, 'votes' | 'moves' | 'departures'>,
    endPosition: number,
  ) {
    this.#file = file;
    this.#votes = new Map(known.votes.map((vote) => [keyOf(vote.group), vote]));
    this.#moves = new Map(known.moves.map((move) => [keyOf(move.group), move]));
    this.#departures = new Map(known.departures.map((departure) => [keyOf(departure.group), departure]));
    this.#endPosition = endPosition;
  }

  /**
   * `directoryId` is the directory's own. Rejects with a DamagedVotes where a record inside the file is bad, the format is
   * unknown or the file is gone that others in the directory came after, and with a DiskError.
   */
  static async open(disk: Disk, directory: string, directoryId: string): Promise<VoteStore> {
    const path = `${directory}/votes`;
    const bytes = (await disk.exists(path)) ? await readWholeFile(disk, path) : Buffer.alloc(0);
    if (bytes.length < votesHeader.length && (await holdsReplicas(disk, directory))) {
      throw new DamagedVotes(path, 0);
    }
    const { faults, isOld, endPosition, ...known } = readVotes(bytes, directoryId);
    const [fault] = faults;
    if (fault !== undefined) throw new DamagedVotes(path, fault.position);
    const records = [...known.votes, ...known.moves, ...known.departures];
    const liveBytes = votesHeader.length + records.length * voteRecordBytes;
    const isNew = isOld || bytes.length < votesHeader.length || bytes.length > 4 * liveBytes + 4096;
    if (isNew) {
      const whole = Buffer.concat([votesHeader, encodeRounds(records)]);
      await replaceFile(disk, directory, 'votes', whole);
    }
    const end = isNew ? liveBytes : endPosition;
    const file = await disk.open(path, 'write');
    await file.truncate(end);
    // Where a process before this one failed to sync them, the pages count as clean, and the disk may lack what they show.
    if (!isNew) await file.write([bytes.subarray(0, end)], 0);
    await file.sync();
    return new VoteStore(file, known, end);
  }

  get(group: GroupId): HardState | undefined {
    return this.#votes.get(keyOf(group))?.state;
  }

  /** How the group's member of this directory came to live in another one; undefined: it lives here, if there is one. */
  moveOf(group: GroupId): VoterMove | undefined {
    return this.#moves.get(keyOf(group));
  }

  /** How far the log reached that this directory's member of the group had when it was last taken out. */
  departureOf(group: GroupId): VoterLeft['left'] | undefined {
    return this.#departures.get(keyOf(group))?.left;
  }

  /**
   * Makes all of these durable with one sync, which others may share, then resolves. A failure leaves none of them usable, and it is
   * not known then whether the next start will find them.
   */
  put(votes: readonly VoteRecord[]): Promise<void> {
    this.#waiting.push(...votes);
    if (this.#next === undefined) {
      const next = this.#last.then(() => this.#round());
      this.#next = next;
      this.#last = next.catch(() => {
        // The callers have the rejection; the next round must only not start before this one has ended.
      });
    }
    return this.#next;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
  }

  async #round(): Promise<void> {
    // What is put from here on goes into the round after this one.
    const votes = this.#waiting;
    this.#waiting = [];
    this.#next = undefined;
    const records = encodeRound(votes);
    try {
      if (this.#isEndDirty) await this.#file.truncate(this.#endPosition);
      await this.#file.write([records], this.#endPosition);
      await this.#file.sync();
    } catch (error) {
      this.#isEndDirty = true;
      throw error;
    }
    this.#isEndDirty = false;
    this.#endPosition += records.length;
    for (const record of votes) {
      const key = keyOf(record.group);
      if ('state' in record) this.#votes.set(key, record);
      else if ('left' in record) this.#departures.set(key, record);
      else if (record.movedTo === undefined) this.#moves.delete(key);
      else this.#moves.set(key, record);
    }
  }
}

/** Whether anything may have been voted for here: the file is there, durably, before the first replica is. */
async function holdsReplicas(disk: Disk, directory: string): Promise<boolean> {
  for (const name of await disk.list(directory)) {
    if (/-\d+$/.test(name) && (await disk.exists(`${directory}/${name}/replica-state`))) return true;
  }
  return false;
}

/** A vote that was given may be lost: this directory must not vote again under its identity. */
export class DamagedVotes extends Error {
  constructor(path: string, position: number) {
    super(
      `${path} is damaged at byte ${position}: votes that this directory gave cannot be known. ` +
        'Restore the file from a backup, or remove the data directory and let the node join as a new one.',
    );
    this.name = 'DamagedVotes';
  }
}
