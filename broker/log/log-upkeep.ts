/**
 * What is done to a log beside appending and reading: its start moves, retention takes segments, the cleaner's segments replace
 * old ones. One operation at a time, and none while the log is being cut or closed.
 *
 * Whatever goes is first taken out of `replica-state`, durably; only then out of the list of segments, and last from the
 * directory. An operation that finds no space before that point is given up, and the log goes on as it was; any other failure
 * of the disk is final for the log, as with an append.
 */
import { assert } from '../../platform/assert.ts';
import { DiskError } from '../../platform/disk.ts';
import type { Checkpoints } from './recovery/checkpoints.ts';
import { cleanedHeaderBytes, readCleanedHeader } from './segments/cleaned-header.ts';
import type { LogBooks } from './log-books.ts';
import type { CleanedSpan, DeletedSegments, LogOptions } from './log-types.ts';
import type { LogWriter } from './log-writer.ts';
import { isDueToRoll, pastRetention } from './retention.ts';
import { SegmentDeletion } from './segments/segment-deletion.ts';
import type { SegmentIndexes } from './segments/segment-files.ts';
import { abandonSwap, beginSwap, cleanedPath, finishSwap } from './segments/segment-swap.ts';
import type { Segment } from './segments/segment.ts';
import type { TransactionIndexFiles } from './segments/transaction-index-files.ts';

export interface UpkeepParts {
  readonly options: LogOptions;
  readonly books: LogBooks;
  readonly indexes: SegmentIndexes;
  readonly transactions: TransactionIndexFiles;
  readonly checkpoints: Checkpoints;
  readonly writer: Pick<LogWriter, 'flushedEndIndex' | 'flushed' | 'roll' | 'fail'>;
  /** Begins a segment though no batch needs it. */
  readonly beginSegment: () => Segment;
  /** The log takes changes: it is neither being cut nor closed, and has not failed. */
  readonly isOpen: () => boolean;
}

export class LogUpkeep {
  readonly #parts: UpkeepParts;
  readonly #deletion: SegmentDeletion;
  #turn: Promise<void> = Promise.resolve();

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
    const { disk, clock, directory, config, onUpkeepError } = parts.options;
    this.#deletion = new SegmentDeletion({
      disk,
      clock,
      directory,
      delayMs: () => config().fileDeleteDelayMs,
      onError: (error) => onUpkeepError?.(error),
    });
  }

  /** Resolves when no operation is under way; those that begin later find the log not open. */
  async atRest(): Promise<void> {
    await this.#turn;
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#deletion.close();
  }

  advanceLogStart(offset: number): Promise<void> {
    return this.#inTurn(undefined, async () => {
      const { books, writer } = this.#parts;
      if (offset <= books.logStartOffset) return;
      assert(offset <= books.endOffset, 'a log starts within itself');
      // A log that ended below its start after a crash would be damaged.
      if (writer.flushedEndIndex < books.table.indexOfOffset(offset)) await writer.flushed();
      await this.#moveStart(offset, this.#limitIndex(offset));
    });
  }

  deleteOldSegments(limitOffset: number): Promise<DeletedSegments[]> {
    return this.#inTurn([], async () => {
      const { books, options } = this.#parts;
      const { segments } = books;
      const nowMs = options.clock.wallMs();
      await this.#rollIfDue(nowMs);
      const view = {
        segments: segments.all,
        logStartOffset: books.logStartOffset,
        endOffset: books.endOffset,
        limitOffset,
        limitIndex: this.#limitIndex(limitOffset),
        endIndex: books.endIndex,
      };
      const past = pastRetention(view, options.config(), nowMs);
      let count = 0;
      for (const { segments: more } of past) count += more;
      if (count === 0) return [];
      const last = segments.at(count - 1)!;
      if (last === segments.active) await this.#roll();
      // One that has been begun but not closed off goes the next time.
      const next = segments.at(count);
      if (next === undefined || !last.isFull) return [];
      await this.#moveStart(Math.max(books.logStartOffset, next.baseOffset), view.limitIndex);
      return past;
    });
  }

  /** Rolls the active segment when it is older than `segment.ms` by the wall clock; says whether it did. */
  maybeRoll(): Promise<boolean> {
    return this.#inTurn(false, () => this.#rollIfDue(this.#parts.options.clock.wallMs()));
  }

  /** See CommitLog. A failure of the disk leaves the log as it was: indexes are made again whenever they are wanted. */
  remakeIndexes(segment: Segment): Promise<boolean> {
    return this.#inTurn(false, async () => {
      if (!segment.isCurrent || !segment.isFull) return false;
      await this.#parts.indexes.remake(segment);
      return true;
    });
  }

  /** See CommitLog. */
  replaceSegments(
    old: readonly Segment[],
    cleaned: Segment,
    cleanedEndOffset: number | undefined,
  ): Promise<boolean> {
    return this.#inTurn(false, async () => {
      const { books, options, checkpoints } = this.#parts;
      if (!books.segments.holdsRun(old)) {
        await abandonSwap(options.disk, cleaned);
        return false;
      }
      await this.#checkCleaned(old, cleaned);
      // Or a start after the swap would write the journal's records of the old segments into the new one.
      await options.syncer.forgetSettled(options.directory.slice(options.directory.lastIndexOf('/') + 1));
      await checkpoints.inLine((write) => {
        const change = {
          fullSegments: books.segments.full.flatMap((segment) => {
            if (segment === old[0]) return [cleaned];
            return old.includes(segment) ? [] : [segment];
          }),
          ...(cleanedEndOffset === undefined ? {} : { cleanedEndOffset }),
        };
        return this.#swap(old, cleaned, () => write(change));
      });
      books.cleanedEndOffset = Math.max(books.cleanedEndOffset, cleanedEndOffset ?? 0);
      return true;
    });
  }

  async #rollIfDue(nowMs: number): Promise<boolean> {
    const { books, options } = this.#parts;
    if (!isDueToRoll(books.segments.active, options.config(), nowMs)) return false;
    await this.#roll();
    return true;
  }

  /** Resolves when the segment that was appended to is full. */
  async #roll(): Promise<void> {
    await this.#parts.writer.roll(this.#parts.beginSegment());
  }

  /**
   * The records below this offset are committed, and with them all entries before the last of them. A Raft-only entry that stands
   * right at the offset need not be: the segment that ends with it may not go yet, as Raft may have to cut it off.
   */
  #limitIndex(committedEndOffset: number): number {
    return this.#parts.books.table.indexOfOffset(committedEndOffset - 1) + 1;
  }

  /** Raises the log start, and deletes the full segments that are then wholly below it and, as entries go, below `limitIndex`. */
  async #moveStart(logStartOffset: number, limitIndex: number): Promise<void> {
    const { books, checkpoints } = this.#parts;
    const removed = await checkpoints.inLine(async (write) => {
      const { all } = books.segments;
      let count = 0;
      for (let next = all[1]; next !== undefined; next = all[count + 1]) {
        const isBelow = next.baseOffset <= logStartOffset && next.startIndex <= limitIndex;
        if (!isBelow || !all[count]!.isFull) break;
        count++;
      }
      const first = all[count]!;
      const start = books.table.startAt(first.baseOffset, first.startIndex);
      await this.#orGiveUp(() =>
        write({ start, logStartOffset, fullSegments: books.segments.full.slice(count) }),
      );
      books.logStartOffset = logStartOffset;
      if (count === 0) return [];
      books.table = books.table.from(start);
      return books.segments.removeFirst(count);
    });
    if (removed.length > 0) await this.#delete(removed);
  }

  /** The log does without these for good. Files that keep their names for lack of space go when the log is opened. */
  async #delete(removed: readonly Segment[]): Promise<void> {
    const { indexes, options, transactions } = this.#parts;
    for (const { baseOffset } of removed) transactions.forget(baseOffset, false);
    try {
      await this.#forget(removed);
      await indexes.settled(removed);
      await this.#deletion.rename(removed);
      await this.#forgetFiles(removed);
    } catch (error) {
      if (!this.#isLackOfSpace(error)) {
        this.#fail(error);
        throw error;
      }
      options.onUpkeepError?.(error);
    }
  }

  /** The cleaner's word is checked before old segments go for it. */
  async #checkCleaned(old: readonly Segment[], cleaned: Segment): Promise<void> {
    const { disk, directory } = this.#parts.options;
    const file = await disk.open(cleanedPath(directory, cleaned.baseOffset, 'log'), 'read');
    const bytes = Buffer.alloc(cleanedHeaderBytes);
    try {
      assert(
        (await file.size()) === cleaned.appendedBytes,
        'a cleaned segment has the size that its books say',
      );
      await file.read(bytes, 0);
    } finally {
      await file.close();
    }
    const header = readCleanedHeader(bytes, 0);
    const span = this.#spanOf(old);
    assert(
      header?.baseOffset === span.baseOffset &&
        header.startIndex === span.startIndex &&
        header.startTerm === span.startTerm &&
        header.endOffset === span.endOffset &&
        header.endIndex === span.endIndex,
      'a cleaned segment stands for the places of those that it replaces',
    );
    cleaned.startIndex = span.startIndex;
    cleaned.endOffset = span.endOffset;
    cleaned.writtenBytes = cleaned.appendedBytes;
    cleaned.flushedBytes = cleaned.appendedBytes;
    cleaned.isFull = true;
    cleaned.isCleaned = true;
  }

  /**
   * Until the list has the new segment, readers find the old ones there, and must find their bytes: their files are held open
   * under their paths and their indexes in memory. Who has read across the change finds `isRemoved` and starts over.
   */
  async #swap(old: readonly Segment[], cleaned: Segment, writeState: () => Promise<void>): Promise<void> {
    const { books, options, indexes, transactions } = this.#parts;
    const { disk, readPool } = options;
    const releases = await this.#pin(old);
    try {
      await this.#begin(cleaned, writeState);
      for (const segment of old) segment.isDoomed = true;
      await this.#orFail(async () => {
        await this.#deletion.rename(old);
        await finishSwap(disk, cleaned);
      });
      const hasTransactions = await disk.exists(cleaned.transactionIndexPath);
      books.segments.replaceRun(old, cleaned);
      if (cleaned.hasIndexes) readPool.indexes.used(cleaned);
      for (const { baseOffset } of old) transactions.forget(baseOffset, false);
      transactions.forget(cleaned.baseOffset, hasTransactions);
    } finally {
      for (const release of releases) release();
      indexes.unpin(old);
    }
    await this.#forget(old);
  }

  /** Steps 1 and 2 of a swap; what fails there for lack of space is taken back. */
  async #begin(cleaned: Segment, writeState: () => Promise<void>): Promise<void> {
    const { disk } = this.#parts.options;
    try {
      await beginSwap(disk, cleaned);
      await writeState();
    } catch (error) {
      if (this.#isLackOfSpace(error)) await this.#orFail(() => abandonSwap(disk, cleaned));
      else this.#fail(error);
      throw error;
    }
  }

  /** What the header of a cleaned segment in the place of these has to say. */
  #spanOf(old: readonly Segment[]): CleanedSpan {
    const { segments, table } = this.#parts.books;
    const first = old[0]!;
    const next = segments.at(segments.all.indexOf(old.at(-1)!) + 1);
    assert(next !== undefined && segments.holdsRun(old), 'full segments are followed by another');
    return {
      baseOffset: first.baseOffset,
      startIndex: first.startIndex,
      startTerm: table.termAt(first.startIndex - 1),
      endOffset: next.baseOffset,
      endIndex: next.startIndex,
    };
  }

  async #pin(old: readonly Segment[]): Promise<(() => void)[]> {
    const { readPool } = this.#parts.options;
    const releases: (() => void)[] = [];
    try {
      for (const segment of old) {
        const lease = await readPool.files.lease(segment.path);
        releases.push(() => lease.release());
        await this.#parts.indexes.pin(segment);
        // Its entries stay in memory until they are forgotten, after the change.
        await this.#parts.transactions.of(segment);
      }
    } catch (error) {
      for (const release of releases) release();
      this.#parts.indexes.unpin(old);
      throw error;
    }
    return releases;
  }

  async #forget(removed: readonly Segment[]): Promise<void> {
    for (const segment of removed) this.#parts.options.readPool.forget(segment);
    await this.#forgetFiles(removed);
  }

  async #forgetFiles(removed: readonly Segment[]): Promise<void> {
    for (const { path } of removed) await this.#parts.options.readPool.files.forget(path);
  }

  /** A state that could not be written for lack of space leaves the one before it. */
  async #orGiveUp(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!this.#isLackOfSpace(error)) this.#fail(error);
      throw error;
    }
  }

  async #orFail(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  #fail(error: unknown): void {
    this.#parts.writer.fail('write', error);
  }

  #inTurn<T>(otherwise: T, action: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(() => (this.#parts.isOpen() ? action() : otherwise));
    this.#turn = done.then(
      () => undefined,
      // Whoever asked has the rejection; the next operation must only not overlap this one.
      () => undefined,
    );
    return done;
  }

  /** Nothing has happened: a file could not be made or written. A failed sync of the directory says no such thing. */
  #isLackOfSpace(error: unknown): boolean {
    return (
      error instanceof DiskError &&
      error.path !== this.#parts.options.directory &&
      (error.code === 'no-space' || error.code === 'too-many-open-files')
    );
  }
}
