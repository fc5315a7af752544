/** Opens what the logs of a data directory need before any of them is opened: its journal, and the Syncer that uses it. */
import type { Clock } from '../../../platform/clock.ts';
import type { Disk } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import { SyncJournal } from './sync-journal.ts';
import { replayJournal } from './sync-journal-replay.ts';
import { Syncer } from './syncer.ts';
import type { SyncerOptions } from './syncer.ts';

export interface OpenSyncerOptions extends SyncerOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** The data directory. */
  readonly directory: string;
  /** What the journal's file may take, made when it is first needed; 0: files are synced one by one always. */
  readonly journalBytes?: number;
  /** Makes what clients send unfit to pass for a frame of the journal. */
  readonly random?: Random;
  /** The journal has failed: syncs go on one by one, and what it holds is replayed at the next start. */
  readonly onJournalFailure?: (error: unknown) => void;
}

const journalBytesDefault = 32 * 1024 * 1024;

/** Replays the directory's journal into the segments; to be called before any log of the directory is opened. Rejects with a DiskError. */
export async function openSyncer(options: OpenSyncerOptions): Promise<Syncer> {
  const { disk, directory, journalBytes = journalBytesDefault, random, onJournalFailure } = options;
  const { journal: existing, replay } = await replayJournal(disk, directory);
  if (journalBytes === 0) {
    await existing?.file.close();
    return new Syncer(options, { replay });
  }
  const journal = new SyncJournal(
    {
      disk,
      directory,
      halfBytes: Math.floor(journalBytes / 2 / 4096) * 4096,
      salt: () => random?.uint32() ?? 0,
      onFailure: (error) => onJournalFailure?.(error),
    },
    existing,
  );
  return new Syncer(options, { journal, replay });
}
