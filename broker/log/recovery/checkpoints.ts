/**
 * Keeps a log's `replica-state` while it runs. Its recovery point moves forward every so many bytes, when the log rolls, and on
 * a clean stop, so that a start after a crash has little to check: a point is noted when its batch is appended and written once
 * that batch is durable and the index files hold what belongs before it. Changes of the log's start and of its full segments
 * are written with the last point.
 *
 * All of this happens in one line: the state on disk and the books change together, one change after the other.
 */
import type { DiskFile } from '../../../platform/disk.ts';
import type { LogBooks } from '../log-books.ts';
import type { LogOptions } from '../log-types.ts';
import type { LogStart } from '../segments/position-table.ts';
import { writeReplicaState } from './replica-state-file.ts';
import type { KnownSegment, RecoveryPoint } from './replica-state-file.ts';
import type { SegmentIndexes } from '../segments/segment-files.ts';
import { Segment } from '../segments/segment.ts';

/** Bytes between checkpoints: what a start after a crash reads at most, beyond what the disk had not taken yet. */
const intervalBytes = 64 * 1024 * 1024;

/** What is to be different from the books in a state that is about to be written. */
export interface BooksChange {
  readonly start?: LogStart;
  readonly logStartOffset?: number;
  readonly cleanedEndOffset?: number;
  readonly fullSegments?: readonly Segment[];
  readonly isClosed?: boolean;
}

/** Writes the state with a change; durable when it resolves. The books are for the caller to change, in the same turn. */
export type WriteState = (change: BooksChange) => Promise<void>;

export class Checkpoints {
  readonly #options: LogOptions;
  readonly #indexes: SegmentIndexes;
  readonly #books: LogBooks;
  /** As the state on disk has it, or would have it in a log that has none yet. */
  #point: RecoveryPoint;
  /** The newest point that has been planned or written, as a place in its segment. */
  #last: { segment: Segment; position: number };
  #planned: { readonly segment: Segment; readonly point: RecoveryPoint } | undefined;
  /** Writes of the state file, one after the other. */
  #line: Promise<void> = Promise.resolve();

  constructor(parts: {
    options: LogOptions;
    indexes: SegmentIndexes;
    books: LogBooks;
    point: RecoveryPoint;
  }) {
    this.#options = parts.options;
    this.#indexes = parts.indexes;
    this.#books = parts.books;
    this.#point = parts.point;
    const segment = parts.books.segments.active;
    this.#last = { segment, position: segment.appendedBytes };
  }

  /** Notes the present end as the next recovery point, if it is far enough from the last one. */
  maybePlan(segment: Segment, endIndex: number): void {
    const { segment: lastSegment, position } = this.#last;
    if (this.#planned !== undefined) return;
    if (segment !== lastSegment) this.#last = { segment, position: 0 };
    else if (segment.appendedBytes - position >= intervalBytes) {
      this.#last = { segment, position: segment.appendedBytes };
      this.#planned = { segment, point: pointAtEnd(segment, endIndex) };
    }
  }

  /** The log is durable up to here: writes the planned point if it is below. */
  flushed(flushedEndIndex: number, onError: (error: unknown) => void): void {
    const planned = this.#planned;
    if (planned === undefined || flushedEndIndex < planned.point.endIndex) return;
    this.#planned = undefined;
    const { segment, point } = planned;
    this.inLine(async (write) => {
      // A segment that has rolled meanwhile has a newer point.
      if (segment.isFull) return;
      await this.#indexes.write(segment, point.offsetIndexBytes, point.timeIndexBytes);
      this.#point = point;
      await write({});
    }).catch(onError);
  }

  /** Closes off a full segment whose bytes are durable and makes the file of the next one. */
  async roll(from: Segment, to: Segment): Promise<DiskFile> {
    const { disk, readPool } = this.#options;
    return this.inLine(async (write) => {
      await this.#indexes.complete(from);
      const file = await disk.open(to.path, 'create');
      // Not before there is a segment after it: a state that has it among the full ones has its point in that one.
      from.isFull = true;
      readPool.indexes.used(from);
      // The directory is synced by the replacement of the state file, after which the new segment counts.
      const begun = new Segment(to.directory, to.baseOffset, to.totals.createdMs);
      begun.startIndex = to.startIndex;
      this.#point = pointAtEnd(begun, to.startIndex);
      try {
        await write({});
      } catch (error) {
        // Nobody else knows of it; that it cannot be closed either says nothing more.
        await file.close().catch(() => undefined);
        throw error;
      }
      return file;
    });
  }

  /** A clean stop: nothing is left to check. */
  async close(): Promise<void> {
    const { segments, endIndex } = this.#books;
    await this.inLine(async (write) => {
      await this.#indexes.complete(segments.active);
      this.#point = pointAtEnd(segments.active, endIndex);
      await write({ isClosed: true });
    });
  }

  /** Runs an action that changes the books and the state when its turn has come; nothing else changes them meanwhile. */
  inLine<T>(action: (write: WriteState) => Promise<T>): Promise<T> {
    const done = this.#line.then(() => action((change) => this.#write(change)));
    this.#line = done.then(
      () => undefined,
      // Whoever asked for the action has the rejection; the next one must only not overlap it.
      () => undefined,
    );
    return done;
  }

  /** Resolves when nothing is in line. */
  async atRest(): Promise<void> {
    await this.#line;
  }

  /** In a truncation: the log goes on from here, once the state has been written. */
  restart(segment: Segment, point: RecoveryPoint): void {
    this.#planned = undefined;
    this.#last = { segment, position: segment.appendedBytes };
    this.#point = point;
  }

  async #write(change: BooksChange): Promise<void> {
    const { disk, directory } = this.#options;
    const { table, segments, logStartOffset, cleanedEndOffset } = this.#books;
    const begun = change.start === undefined ? table : table.from(change.start);
    const full = change.fullSegments ?? segments.full;
    await writeReplicaState(disk, directory, {
      table: begun.upTo(this.#point.endIndex),
      logStartOffset: change.logStartOffset ?? logStartOffset,
      cleanedEndOffset: change.cleanedEndOffset ?? cleanedEndOffset,
      segments: full.map(knownSegment),
      point: this.#point,
      isClosed: change.isClosed ?? false,
    });
  }
}

/** The recovery point at a segment's present end; its index files must hold all of its indexes. */
export function pointAtEnd(segment: Segment, endIndex: number): RecoveryPoint {
  return {
    segmentBaseOffset: segment.baseOffset,
    segmentStartIndex: segment.startIndex,
    position: segment.appendedBytes,
    endOffset: segment.endOffset,
    endIndex,
    totals: { ...segment.totals },
    offsetIndexBytes: segment.offsetIndex.sizeBytes,
    timeIndexBytes: segment.timeIndex.sizeBytes,
    indexCrc: segment.presentIndexCrc,
  };
}

export function knownSegment(segment: Segment): KnownSegment {
  return {
    baseOffset: segment.baseOffset,
    startIndex: segment.startIndex,
    sizeBytes: segment.appendedBytes,
    totals: segment.totals,
    offsetIndexBytes: segment.offsetIndexFileBytes,
    timeIndexBytes: segment.timeIndexFileBytes,
    indexCrc: segment.indexCrc,
    isCleaned: segment.isCleaned,
  };
}
