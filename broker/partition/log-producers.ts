/**
 * The producers' states that go with one log: moved by every batch that is appended, whoever leads, kept in snapshots as segments
 * begin and on a clean stop, and made anew when the log's end is cut, as they cover what was appended there.
 */
import type { BatchHeader } from '../../protocol/index.ts';
import type { CommitLog } from '../log/commit-log.ts';
import { restoreProducers } from './producer-restore.ts';
import type { RestoreOptions } from './producer-restore.ts';
import { removeSnapshotsAbove, writeSnapshot } from './producer-snapshots.ts';
import type { ProducerStates } from './producer-state.ts';

export interface LogProducersOptions extends RestoreOptions {
  /** A snapshot could not be written: the next start replays more, nothing is lost. */
  readonly onSnapshotFailure: (error: unknown) => void;
}

interface Restored {
  readonly states: ProducerStates;
  readonly snapshotOffset: number;
}

export class LogProducers {
  readonly #options: LogProducersOptions;
  readonly #log: CommitLog;
  #states: ProducerStates;
  /** Of the newest snapshot on disk; -1 without one. */
  #snapshotOffset: number;
  /** Snapshots are written one after the other. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(options: LogProducersOptions, log: CommitLog, restored: Restored) {
    this.#options = options;
    this.#log = log;
    this.#states = restored.states;
    this.#snapshotOffset = restored.snapshotOffset;
    log.onRoll((baseOffset) => this.#write(baseOffset));
  }

  /** Rejects with a DiskError. */
  static async open(options: LogProducersOptions, log: CommitLog): Promise<LogProducers> {
    return new LogProducers(options, log, await restore(options, log));
  }

  /** Another object after a truncation. */
  get states(): ProducerStates {
    return this.#states;
  }

  /** A batch of data stands in the log from `baseOffset` on. */
  appended(header: BatchHeader, baseOffset = header.baseOffset): void {
    if (header.producerId >= 0) this.#states.append(header, baseOffset);
  }

  /** The end of the log is gone; nothing is appended until this resolves. Rejects with a DiskError. */
  async truncated(): Promise<void> {
    // One that is being written may be of what is gone.
    await this.#writing;
    const { states, snapshotOffset } = await restore(this.#options, this.#log);
    this.#states = states;
    this.#snapshotOffset = snapshotOffset;
  }

  /** No snapshot is being written. */
  settled(): Promise<void> {
    return this.#writing;
  }

  /** The log is whole and closed: resolves when the states are kept at its end. */
  async keep(): Promise<void> {
    const { logEndOffset, logStartOffset } = this.#log;
    // Not where the log holds nothing, or all is kept: most of many idle partitions.
    const isEmpty = logEndOffset === logStartOffset && this.#states.count === 0;
    if (isEmpty || this.#snapshotOffset === logEndOffset) return;
    this.#write(logEndOffset);
    await this.#writing;
  }

  #write(offset: number): void {
    const bytes = this.#states.snapshot();
    const { disk, onSnapshotFailure } = this.#options;
    this.#writing = this.#writing.then(async () => {
      try {
        await writeSnapshot(disk, this.#log.directory, { offset, bytes });
        this.#snapshotOffset = offset;
      } catch (error) {
        onSnapshotFailure(error);
      }
    });
  }
}

async function restore(options: LogProducersOptions, log: CommitLog): Promise<Restored> {
  const snapshots = await removeSnapshotsAbove(options.disk, log.directory, log.logEndOffset);
  const states = await restoreProducers(options, log, snapshots);
  return { states, snapshotOffset: snapshots[0] ?? -1 };
}
