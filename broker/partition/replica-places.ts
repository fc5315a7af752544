/**
 * Where the replicas of this node lie: finds each one's directory, chooses one for a new replica, and sets aside what
 * belongs to nobody.
 *
 * A replica's files are in `<topic>-<partition>` of one data directory, with the topic's id in `partition.metadata`. What
 * holds another topic's id, a second copy, or no topic that the cluster knows, is renamed to a name that ends in `-stray`,
 * never deleted. A replica that may lie in a directory that is offline is not made anew elsewhere: it would come back empty (what
 * lay in one that was replaced is given a new place first, `replaced-directories.ts`). Where one was moved between directories,
 * `moves/moved-files.ts` says which has it.
 */
import type { Clock } from '../../platform/clock.ts';
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import type { Ids } from '../../platform/ids.ts';
import { noteDeparture } from './departed-replicas.ts';
import { removeLogDirectory } from '../log/log-removal.ts';
import { chooseDirectory } from './directory-choice.ts';
import type { DirectoryLoad } from './directory-choice.ts';
import type { LogDirectory } from './log-directory.ts';
import { readMemberFile } from './moves/member-file.ts';
import { bringBack, finishMove, futurePath, removeLeftover } from './moves/moved-files.ts';
import type { Leftover } from './moves/moved-files.ts';
import { NewDirectory } from './new-directory.ts';
import { readPartitionMetadata, writePartitionMetadata } from './partition-metadata.ts';
import type { IntendedMembers, ReplicaIdentity } from './replica-types.ts';

export interface WantedReplica extends ReplicaIdentity {
  /** The data directory that the metadata names for it on this node; undefined where it names none. */
  readonly directoryId?: string | undefined;
  /** Undefined: this node alone. */
  readonly intended?: IntendedMembers | undefined;
}

export interface ReplicaPlacesOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly directories: readonly LogDirectory[];
  readonly onSetAside: (directory: string, renamedTo: string, reason: string) => void;
}

/** Whether a replica is known to belong on this node no more: its topic was deleted, or others hold it. */
export type IsGone = (replica: ReplicaIdentity) => boolean;

export interface FoundPlace {
  readonly kind: 'here';
  readonly directory: LogDirectory;
  /** The data directory that it was moved from, at first, and goes by in its group. */
  readonly madeIn?: string | undefined;
  /** Where the replica's own directory was not there before. To be settled before the replica is started. */
  readonly made?: NewDirectory | undefined;
}

export type Place = FoundPlace | { readonly kind: 'offline'; readonly reason: string };

/** Free space and replicas of each online directory, as a round of placements began. */
export type Loads = readonly DirectoryLoad<LogDirectory>[];

/** Bytes in a file's name on the usual file systems. */
const fileNameMax = 255;

export function directoryName(identity: ReplicaIdentity): string {
  return `${identity.topic}-${identity.partition}`;
}

export class ReplicaPlaces {
  readonly #options: ReplicaPlacesOptions;

  constructor(options: ReplicaPlacesOptions) {
    this.#options = options;
  }

  /** For a round of placements; `replicasIn` counts what a directory holds. */
  async loads(replicasIn: (directory: LogDirectory) => number): Promise<Loads> {
    const online = this.#online;
    // With one directory there is nothing to choose.
    if (online.length === 1) return [{ directory: online[0]!, usableBytes: 0, replicas: 0 }];
    return Promise.all(
      online.map(async (directory) => ({
        directory,
        usableBytes: await this.#usableBytes(directory),
        replicas: replicasIn(directory),
      })),
    );
  }

  /**
   * The directory of a replica, made where it is missing. `isNew`: the replica came to be in this run of the node, so that
   * it cannot lie in a directory that was offline from the start. Rejects with a DiskError.
   */
  async find(wanted: WantedReplica, isNew: boolean, loads: Loads): Promise<Place> {
    const { disk } = this.#options;
    const name = directoryName(wanted);
    const isMovable = this.#options.directories.length > 1;
    if (isMovable) await finishMove(disk, this.#online, { group: wanted, name });
    const copies: LogDirectory[] = [];
    for (const directory of this.#online) {
      const topicId = await readPartitionMetadata(this.#options.disk, pathOf(directory, wanted));
      if (topicId === wanted.topicId && directory.votes.moveOf(wanted) === undefined) copies.push(directory);
      else if (topicId !== undefined && topicId !== wanted.topicId) {
        const reason = `it belongs to an earlier topic of that name, with the id ${topicId}`;
        await this.#setAside(directory, name, reason);
      }
    }
    const found = copies.length > 1 ? await this.#keepOne(wanted, copies) : copies[0];
    if (found !== undefined) return this.#found(wanted, found);
    const named = this.#online.find(({ id }) => id !== undefined && id === wanted.directoryId);
    const missing = isNew || named !== undefined ? undefined : this.#missing(wanted);
    if (missing !== undefined) return { kind: 'offline', reason: missing };
    const directory = named ?? chooseDirectory(loads);
    const elsewhere = await this.#elsewhere(wanted, directory, isNew);
    if (elsewhere !== undefined) return { kind: 'offline', reason: elsewhere };
    const path = pathOf(directory, wanted);
    try {
      const made = (await disk.makeDirectory(path)) ? new NewDirectory(disk, path) : undefined;
      await writePartitionMetadata(made ?? disk, path, wanted.topicId);
      return { kind: 'here', directory, made };
    } catch (error) {
      // Else it would be chosen again and again: it may still look like the one with the most room.
      if (isBroken(error)) directory.failedBy(error);
      throw error;
    }
  }

  async #found(wanted: WantedReplica, directory: LogDirectory): Promise<Place> {
    const { disk, directories } = this.#options;
    for (const other of directories.length > 1 ? this.#online : []) {
      if (other !== directory) await removeLeftover(this.#leftover(wanted, other));
    }
    const member = await readMemberFile(disk, pathOf(directory, wanted), directory.id);
    return { kind: 'here', directory, madeIn: member?.madeIn };
  }

  #leftover(group: WantedReplica, directory: LogDirectory): Leftover {
    const { disk, clock } = this.#options;
    return { disk, clock, directory, group, name: directoryName(group) };
  }

  /** Why a replica that was not found may not be made in this directory: what it had there was moved to where nobody can look now. */
  async #elsewhere(
    wanted: WantedReplica,
    directory: LogDirectory,
    isNew: boolean,
  ): Promise<string | undefined> {
    const { disk, directories } = this.#options;
    for (const online of isNew && directories.length === 1 ? [] : this.#online) {
      if (!(await disk.exists(futurePath(online, wanted)))) continue;
      return `it was being moved to ${online.path} from a data directory that cannot be used`;
    }
    return bringBack(this.#leftover(wanted, directory), directories);
  }

  /**
   * Sets aside directories of no topic that the cluster knows, and ends deletions that a crash cut short. What the cluster is
   * known to have deleted, or moved elsewhere, while this node was away is removed.
   */
  async setAsideStrays(known: ReadonlySet<string>, isGone: IsGone): Promise<void> {
    const { disk } = this.#options;
    for (const directory of this.#online) {
      for (const name of await disk.list(directory.path)) {
        if (known.has(name)) continue;
        const [, topic, partition] = /^(.+)-(\d+)$/.exec(name) ?? [];
        if (name.endsWith('-delete')) await disk.removeDirectory(`${directory.path}/${name}`);
        else if (topic !== undefined) await this.#judge(directory, topic, Number(partition), isGone);
      }
    }
  }

  async #judge(directory: LogDirectory, topic: string, partition: number, isGone: IsGone): Promise<void> {
    const name = `${topic}-${partition}`;
    const topicId = await readPartitionMetadata(this.#options.disk, `${directory.path}/${name}`);
    if (topicId === undefined || !isGone({ topic, topicId, partition })) {
      await this.#setAside(directory, name, 'the cluster knows no such partition');
      return;
    }
    const { disk, clock } = this.#options;
    const floor = directory.floors.floor({ topicId, partition });
    const { syncer } = directory;
    const { term: lastTerm, endIndex } = floor.current() ?? { term: 0, endIndex: 1 };
    const identity = { topic, topicId, partition };
    // The log itself, which is not opened for this, may reach a tenth of a second further.
    const log = { directory: `${directory.path}/${name}`, lastTerm, endIndex };
    await noteDeparture({ disk, home: directory, identity }, log);
    await removeLogDirectory({ disk, clock, syncer, floor, directory: log.directory });
  }

  get #online(): LogDirectory[] {
    return this.#options.directories.filter(({ isOnline }) => isOnline);
  }

  /** Why a replica that no online directory has may lie where this node cannot look; undefined where it cannot. */
  #missing(wanted: WantedReplica): string | undefined {
    const offline = this.#options.directories.filter(({ isOnline }) => !isOnline);
    const named = offline.find(({ id }) => id !== undefined && id === wanted.directoryId);
    if (named !== undefined) return `its data directory ${named.path} is offline`;
    if (offline.length > 0) {
      return `it may lie in ${offline.map(({ path }) => path).join(' or ')}, which cannot be read`;
    }
    if (wanted.directoryId === undefined) return undefined;
    return `its data directory, with the id ${wanted.directoryId}, is not among those that this node was given`;
  }

  /** Of several copies the one that the metadata names, else the one that was durable furthest; the others are set aside. */
  async #keepOne(wanted: WantedReplica, copies: readonly LogDirectory[]): Promise<LogDirectory> {
    const named = copies.find(({ id }) => id === wanted.directoryId);
    const kept = named ?? copies.reduce((best, copy) => (isAhead(copy, best, wanted) ? copy : best));
    for (const copy of copies) {
      if (copy === kept) continue;
      await this.#setAside(copy, directoryName(wanted), `${kept.path} has the copy that counts`);
      await copy.floors.floor(wanted).forget();
    }
    return kept;
  }

  async #setAside(directory: LogDirectory, name: string, reason: string): Promise<void> {
    const { disk, ids, onSetAside } = this.#options;
    const renamedTo = `${name.slice(0, fileNameMax - 29)}.${ids.uuid()}-stray`;
    await disk.rename(`${directory.path}/${name}`, `${directory.path}/${renamedTo}`);
    await disk.syncDirectory(directory.path);
    onSetAside(`${directory.path}/${name}`, renamedTo, reason);
  }

  /** A directory that cannot be measured is taken for a full one. */
  async #usableBytes(directory: LogDirectory): Promise<number> {
    try {
      return (await this.#options.disk.space(directory.path)).usableBytes;
    } catch (error) {
      directory.failedBy(error);
      return 0;
    }
  }
}

/** Nothing can be made there, and that is not for lack of something that may come back. */
function isBroken(error: unknown): boolean {
  return error instanceof DiskError && (error.code === 'io' || error.code === 'read-only');
}

function isAhead(copy: LogDirectory, than: LogDirectory, wanted: WantedReplica): boolean {
  const floor = copy.floors.floor(wanted).current();
  const other = than.floors.floor(wanted).current();
  if (floor === undefined || other === undefined) return floor !== undefined;
  return floor.term === other.term ? floor.endIndex > other.endIndex : floor.term > other.term;
}

function pathOf(directory: LogDirectory, identity: ReplicaIdentity): string {
  return `${directory.path}/${directoryName(identity)}`;
}
