/**
 * The producers' states that go with one log in a group of several: moved by every batch that is appended, whoever leads, kept in
 * snapshots as segments begin, and made anew when the log's end is cut, as they cover what was appended there.
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

export class LogProducers {
  readonly #options: LogProducersOptions;
  readonly #log: CommitLog;
  #states: ProducerStates;
  /** Snapshots are written one after the other. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(options: LogProducersOptions, log: CommitLog, states: ProducerStates) {
    this.#options = options;
    this.#log = log;
    this.#states = states;
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

  /** A batch of data stands in the log. */
  appended(header: BatchHeader): void {
    if (header.producerId >= 0) this.#states.append(header, header.baseOffset);
  }

  /** The end of the log is gone; nothing is appended until this resolves. Rejects with a DiskError. */
  async truncated(): Promise<void> {
    // One that is being written may be of what is gone.
    await this.#writing;
    this.#states = await restore(this.#options, this.#log);
  }

  /** No snapshot is being written. */
  settled(): Promise<void> {
    return this.#writing;
  }

  #write(offset: number): void {
    const bytes = this.#states.snapshot();
    const { disk, onSnapshotFailure } = this.#options;
    this.#writing = this.#writing.then(() =>
      writeSnapshot(disk, this.#log.directory, { offset, bytes }).catch(onSnapshotFailure),
    );
  }
}

async function restore(options: LogProducersOptions, log: CommitLog): Promise<ProducerStates> {
  const snapshots = await removeSnapshotsAbove(options.disk, log.directory, log.logEndOffset);
  return restoreProducers(options, log, snapshots);
}
