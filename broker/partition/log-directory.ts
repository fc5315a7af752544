/**
 * One data directory of a node: its identity, the votes and floors of the logs in it, and the syncs that they share.
 *
 * A voter is (node, directory), so all that a replica has promised lies in the directory that holds its log. A directory
 * that cannot be read at the start, or whose own files fail while the node runs, goes offline for good: until the node is
 * started again none of its replicas takes or gives anything, and the other directories go on. A full disk is no such
 * failure: what does not fit is refused where it was asked for, and nothing that was promised is lost.
 */
import type { Clock } from '../../platform/clock.ts';
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import type { Random } from '../../platform/random.ts';
import { DurableFloors } from '../log/sync/durable-floors.ts';
import { openSyncer } from '../log/sync/open-syncer.ts';
import type { Syncer } from '../log/sync/syncer.ts';
import type { WriteFiles } from '../log/write-files.ts';
import { VoteStore } from './vote-store.ts';

export interface LogDirectoryOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly path: string;
  /** From its meta.properties. */
  readonly id: string;
  /** Syncs of its files that run at one time. */
  readonly syncsMax: number;
  /** Bytes of the journal that syncs of many logs share; 0 for a disk in memory, where a sync costs nothing. */
  readonly journalBytes?: number;
  /** The node's bound on files that are open for writing. */
  readonly writeFiles: WriteFiles;
  readonly random: Random;
}

interface Files {
  readonly syncer: Syncer;
  readonly floors: DurableFloors;
  readonly votes: VoteStore;
}

export type OfflineListener = (directory: LogDirectory, cause: unknown) => void;

export class LogDirectory {
  readonly path: string;
  /** Undefined where it could not even be read. */
  readonly id: string | undefined;
  #files: Files | undefined;
  /** Set for good when it goes offline. */
  #failure: { readonly cause: unknown } | undefined;
  readonly #listeners: OfflineListener[] = [];

  private constructor(path: string, id: string | undefined) {
    this.path = path;
    this.id = id;
  }

  /** Rejects with a DiskError, or with DamagedVotes; the caller decides whether the node can do without it. */
  static async open(options: LogDirectoryOptions): Promise<LogDirectory> {
    const { disk, clock, path, id } = options;
    const directory = new LogDirectory(path, id);
    const votes = await VoteStore.open(disk, path, id);
    try {
      const syncer = await openSyncer({
        disk,
        clock,
        directory: path,
        concurrencyMax: options.syncsMax,
        writeFiles: options.writeFiles,
        random: options.random,
        ...(options.journalBytes === undefined ? {} : { journalBytes: options.journalBytes }),
        onJournalFailure: (error) => directory.failedBy(error),
      });
      const floors = await DurableFloors.open({
        disk,
        clock,
        directory: path,
        syncer,
        onFailure: (error) => directory.failedBy(error),
      });
      directory.#files = { syncer, floors, votes };
    } catch (error) {
      await votes.close();
      throw error;
    }
    return directory;
  }

  /** One that could not be opened: the node starts without it. */
  static unusable(path: string, id: string | undefined, cause: unknown): LogDirectory {
    const directory = new LogDirectory(path, id);
    directory.#failure = { cause };
    return directory;
  }

  get isOnline(): boolean {
    return this.#failure === undefined;
  }

  /** Why it is offline, as a clause; undefined while it is not. */
  get offlineReason(): string | undefined {
    if (this.#failure === undefined) return undefined;
    const { cause } = this.#failure;
    return cause instanceof Error ? cause.message : String(cause);
  }

  get syncer(): Syncer {
    return this.#opened.syncer;
  }

  get floors(): DurableFloors {
    return this.#opened.floors;
  }

  get votes(): VoteStore {
    return this.#opened.votes;
  }

  get syncCount(): number {
    return this.#files?.syncer.syncCount ?? 0;
  }

  /** Called once, when the directory goes offline after it has been opened. */
  onOffline(listener: OfflineListener): void {
    this.#listeners.push(listener);
  }

  /** One of the directory's own files has failed, or the directory cannot be read any more. */
  failedBy(cause: unknown): void {
    if (this.#failure !== undefined || isFull(cause)) return;
    this.#failure = { cause };
    for (const listener of this.#listeners) listener(this, cause);
  }

  /** The logs in it are closed. Rejects with the first error, when everything has been tried. */
  async close(): Promise<void> {
    if (this.#files === undefined) return;
    const { syncer, floors, votes } = this.#files;
    const ends = await Promise.allSettled([floors.close(), votes.close()]);
    ends.push(...(await Promise.allSettled([syncer.close()])));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  get #opened(): Files {
    if (this.#files === undefined) throw new Error(`the data directory ${this.path} is not open`);
    return this.#files;
  }
}

function isFull(cause: unknown): boolean {
  return cause instanceof DiskError && cause.code === 'no-space';
}
