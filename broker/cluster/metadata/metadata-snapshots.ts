/**
 * When the image is kept as a snapshot, and how it comes back: on top of the store of the log's directory
 * (`consensus/catch-up/snapshot-store.ts`). A snapshot is taken when the log has grown by as much as the last one was large, and by
 * a few MiB at least, so that writing them costs at most as much as the log itself.
 */
import type { StoredSnapshot } from '../../partition/consensus/catch-up/snapshot-store.ts';
import type { CommittedRecords } from './metadata-log.ts';

/** What this needs of a SnapshotStore. */
export interface SnapshotFiles {
  readonly newest: StoredSnapshot | undefined;
  reload(): Promise<void>;
  records(snapshot: StoredSnapshot): Promise<readonly Buffer[]>;
}

export interface MetadataSnapshotsOptions {
  readonly store: SnapshotFiles;
  /** Keeps what these records make as the state at this offset, and lets the log lose what is before it. */
  readonly take: (endOffset: number, records: readonly Buffer[]) => Promise<void>;
  /** A snapshot could not be written, or not be read: the log keeps what it has, and the next one is tried later. */
  readonly onFailure: (error: unknown) => void;
  readonly logBytesMin?: number;
}

const logBytesMinDefault = 4 * 1024 * 1024;

export class MetadataSnapshots {
  readonly #options: MetadataSnapshotsOptions;
  readonly #logBytesMin: number;
  /** Of the log, since the last snapshot was begun. */
  #bytesSince = 0;
  #taking: Promise<void> | undefined;

  constructor(options: MetadataSnapshotsOptions) {
    this.#options = options;
    this.#logBytesMin = options.logBytesMin ?? logBytesMinDefault;
  }

  /** The newest one that can be read; undefined without one. */
  async load(): Promise<CommittedRecords | undefined> {
    const { store, onFailure } = this.#options;
    // One that is being written would not be seen, and then be forgotten.
    await this.#taking;
    await store.reload();
    for (let attempt = 0; attempt < 2; attempt++) {
      const { newest } = store;
      if (newest === undefined) return undefined;
      try {
        return { records: await store.records(newest), endOffset: newest.endOffset };
      } catch (error) {
        onFailure(error);
        // The one that is damaged is set aside, and the one behind it is the newest.
        await store.reload();
      }
    }
    return undefined;
  }

  /** So much of the log has been applied, up to this offset; `records` gives the image as it is now. */
  applied(sizeBytes: number, endOffset: number, records: () => readonly Buffer[]): void {
    this.#bytesSince += sizeBytes;
    const { store, take, onFailure } = this.#options;
    const limit = Math.max(this.#logBytesMin, store.newest?.sizeBytes ?? 0);
    if (this.#bytesSince < limit || this.#taking !== undefined) return;
    this.#bytesSince = 0;
    this.#taking = take(endOffset, records())
      .catch(onFailure)
      .finally(() => {
        this.#taking = undefined;
      });
  }

  /** None is being taken any more. */
  async settled(): Promise<void> {
    await this.#taking;
  }
}
