/** What the Syncer asks of those whose files it syncs. */
import type { DiskFile } from '../../../platform/disk.ts';
import type { JournalRecord } from './sync-journal-format.ts';

/** One file's side of it. The target is asked for its file when its turn comes. */
export interface SyncTarget {
  /** The sync begins: what has been written until now is what it will have made durable. Undefined: there is nothing to sync. */
  syncBegins(): DiskFile | undefined;
  /** The sync has ended; with an error, that is final for the file. */
  syncEnded(error: Error | undefined): void;
}

/** A log: its unsynced bytes may go into the journal. */
export interface LogSyncTarget extends SyncTarget {
  /** Name of the log's directory. */
  readonly name: string;
  /** Bytes written and not durable. */
  readonly unsyncedBytes: number;
  /** All of them, where they are few and at hand. */
  unsynced(): Omit<JournalRecord, 'name'> | undefined;
  /** The bytes of `unsynced` go into the journal: they are what `syncEnded` will have made durable. */
  journalBegins(): void;
  /** Whether all that is written is durable in the log's own files. */
  readonly isSettled: boolean;
}

export function isLog(target: SyncTarget): target is LogSyncTarget {
  return 'unsynced' in target;
}
