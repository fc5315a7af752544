/**
 * Moves a log's recovery point forward while it runs: every so many bytes, when the log rolls, and on a clean stop. So a start
 * after a crash has little to check. A point is noted when its batch is appended and written to `replica-state` once that
 * batch is durable and the index files hold what belongs before it.
 */
import type { DiskFile } from '../../platform/disk.ts';
import type { LogOptions } from './log-types.ts';
import type { PositionTable } from './position-table.ts';
import { pointAtEnd } from './recovery.ts';
import { writeReplicaState } from './replica-state-file.ts';
import type { RecoveryPoint } from './replica-state-file.ts';
import type { SegmentIndexes } from './segment-files.ts';
import { Segment } from './segment.ts';

/** Bytes between checkpoints: what a start after a crash reads at most, beyond what the disk had not taken yet. */
const intervalBytes = 64 * 1024 * 1024;

export class Checkpoints {
  readonly #options: LogOptions;
  readonly #indexes: SegmentIndexes;
  /** The newest point that has been planned or written, as a place in its segment. */
  #last: { segment: Segment; position: number };
  #planned: { readonly segment: Segment; readonly point: RecoveryPoint } | undefined;
  /** Writes of the state file, one after the other. */
  #writing: Promise<void> = Promise.resolve();

  constructor(options: LogOptions, indexes: SegmentIndexes, segment: Segment) {
    this.#options = options;
    this.#indexes = indexes;
    this.#last = { segment, position: segment.appendedBytes };
  }

  /** Notes the present end as the next recovery point, if it is far enough from the last one. */
  maybePlan(segment: Segment, endIndex: number): void {
    const { segment: lastSegment, position } = this.#last;
    if (this.#planned !== undefined) return;
    if (segment !== lastSegment) this.#last = { segment, position: 0 };
    else if (segment.appendedBytes - position >= intervalBytes) this.#plan(segment, endIndex);
  }

  /** The log is durable up to here: writes the planned point if it is below. */
  flushed(flushedEndIndex: number, table: PositionTable, onError: (error: unknown) => void): void {
    const planned = this.#planned;
    if (planned === undefined || flushedEndIndex < planned.point.endIndex) return;
    this.#planned = undefined;
    const { segment, point } = planned;
    const covered = table.upTo(point.endIndex);
    this.#inLine(async () => {
      // A segment that has rolled meanwhile has a newer point.
      if (segment.isFull) return;
      await this.#indexes.write(segment, point.offsetIndexBytes, point.timeIndexBytes);
      await this.#write(covered, point);
    }).catch(onError);
  }

  /** Closes off a full segment whose bytes are durable and makes the file of the next one. */
  async roll(
    from: Segment,
    to: Segment,
    start: { readonly startIndex: number; readonly table: PositionTable },
  ): Promise<DiskFile> {
    const { disk } = this.#options;
    const table = start.table.upTo(start.startIndex);
    return this.#inLine(async () => {
      await this.#indexes.complete(from);
      from.isFull = true;
      this.#options.readPool.indexes.used(from);
      const file = await disk.open(to.path, 'create');
      // The directory is synced by the replacement of the state file, after which the new segment counts.
      const begun = new Segment(to.directory, to.baseOffset, to.totals.createdMs);
      await this.#write(table, pointAtEnd(begun, start.startIndex));
      return file;
    });
  }

  async close(table: PositionTable, segment: Segment, endIndex: number): Promise<void> {
    await this.#inLine(async () => {
      await this.#indexes.complete(segment);
      await this.#write(table, pointAtEnd(segment, endIndex));
    });
  }

  /** Resolves when no write of the state file is in line. */
  async atRest(): Promise<void> {
    await this.#writing;
  }

  /** After a truncation, which has written the state file itself. */
  restart(segment: Segment): void {
    this.#planned = undefined;
    this.#last = { segment, position: segment.appendedBytes };
  }

  #plan(segment: Segment, endIndex: number): void {
    this.#last = { segment, position: segment.appendedBytes };
    this.#planned = { segment, point: pointAtEnd(segment, endIndex) };
  }

  async #write(table: PositionTable, point: RecoveryPoint): Promise<void> {
    await writeReplicaState(this.#options.disk, this.#options.directory, { table, point });
  }

  #inLine<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#writing.then(action);
    this.#writing = done.then(
      () => undefined,
      // Whoever asked for the action has the rejection; the next one must only not overlap it.
      () => undefined,
    );
    return done;
  }
}
