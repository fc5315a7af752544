/**
 * What a commit log is made of, as one opening of its files gives it. When another log takes its place (log-replacement.ts), it
 * gets other parts: the log itself, its listeners and who holds it stay.
 */
import { Checkpoints } from './recovery/checkpoints.ts';
import type { LogBooks } from './log-books.ts';
import { LogReader } from './reading/log-reader.ts';
import { LogSearch } from './reading/log-search.ts';
import { commitReplacement } from './log-replacement.ts';
import type { LogReplacement } from './log-replacement.ts';
import type { LogFailure, LogOptions, LogRead, ReadRequest, RecoveryReport } from './log-types.ts';
import { LogUpkeep } from './log-upkeep.ts';
import { LogWriter } from './log-writer.ts';
import { recoverLog } from './recovery/recovery.ts';
import type { RecoveredLog } from './recovery/recovery.ts';
import { SegmentIndexes } from './segments/segment-files.ts';
import { SegmentList } from './segments/segment-list.ts';
import type { Segment } from './segments/segment.ts';
import type { LogTail } from './reading/tail-cache.ts';
import { TransactionIndexFiles } from './segments/transaction-index-files.ts';

export interface LogParts {
  readonly books: LogBooks;
  readonly segments: SegmentList;
  readonly indexes: SegmentIndexes;
  readonly reader: LogReader;
  readonly search: LogSearch;
  readonly writer: LogWriter;
  readonly checkpoints: Checkpoints;
  readonly upkeep: LogUpkeep;
  readonly transactions: TransactionIndexFiles;
}

/** What the parts tell the log. */
export interface LogPartsEvents {
  readonly onProgress: () => void;
  readonly onFailure: (failure: LogFailure) => void;
  /** Begins a segment at the end of the log. */
  readonly beginSegment: () => Segment;
  /** The log takes changes. */
  readonly isOpen: () => boolean;
}

const nothing: LogRead = { parts: [], sizeBytes: 0, release: () => undefined };

export function indexesOf({ disk, readPool, config }: LogOptions): SegmentIndexes {
  return new SegmentIndexes(disk, readPool, () => config().indexIntervalBytes);
}

export class LiveParts {
  readonly #options: LogOptions;
  readonly #events: LogPartsEvents;
  readonly tail: LogTail;
  /** To be read afresh after each `await`. */
  current: LogParts;
  /** Another log is being put in the place of this one: reads wait for its end. */
  #replacing: Promise<unknown> | undefined;

  constructor(options: LogOptions, indexes: SegmentIndexes, recovered: RecoveredLog, events: LogPartsEvents) {
    this.#options = options;
    this.#events = events;
    this.tail = options.tailCache.openTail();
    this.current = makeParts(options, indexes, recovered, events);
  }

  /** Reads files. What was read across a replacement may be of either log: it is read again. */
  async read(request: ReadRequest): Promise<LogRead> {
    for (;;) {
      await this.#replacing;
      const parts = this.current;
      const { logStartOffset, endOffset } = parts.books;
      if (request.offset < logStartOffset || request.offset >= endOffset) return nothing;
      const isUndisturbed = (): boolean => this.#replacing === undefined && this.current === parts;
      try {
        const read = await parts.reader.read(request);
        if (isUndisturbed()) return read;
        read.release();
      } catch (error) {
        if (isUndisturbed()) throw error;
      }
    }
  }

  /**
   * Commits the replacement, carries it out, and opens what is there then. Nothing may be appended. `isSound`: the log has not
   * failed. Rejects with a DiskError.
   */
  async replaceBy(replacement: LogReplacement, isSound: boolean): Promise<RecoveryReport> {
    const replaced = this.#replace(replacement, isSound);
    // Those who read only wait for it; its failure is the caller's.
    this.#replacing = replaced.catch(() => undefined);
    try {
      return await replaced;
    } finally {
      this.#replacing = undefined;
    }
  }

  /** Nothing of the log is held open or in memory any more; `isDoomed`: its files are to be removed. */
  async release(options: { readonly isDoomed?: boolean } = {}): Promise<void> {
    const { readPool } = this.#options;
    await this.current.writer.close(options);
    this.tail.clear();
    for (const segment of this.current.segments.all) {
      readPool.forget(segment);
      await readPool.files.forget(segment.path);
    }
  }

  async #replace(replacement: LogReplacement, isSound: boolean): Promise<RecoveryReport> {
    const { disk, directory, syncer } = this.#options;
    const { upkeep, writer, checkpoints, segments } = this.current;
    await upkeep.atRest();
    // Or the next start would write the journal's records of this log into the other's segments.
    if (isSound) await writer.settledForGood();
    else await syncer.forgetSettled(directory.slice(directory.lastIndexOf('/') + 1));
    await checkpoints.atRest();
    await commitReplacement(disk, directory, replacement);
    for (const segment of segments.all) segment.isDoomed = true;
    await upkeep.close();
    await this.release();
    const indexes = indexesOf(this.#options);
    const recovered = await recoverLog(this.#options, indexes);
    this.current = makeParts(this.#options, indexes, recovered, this.#events);
    return recovered.report;
  }
}

function makeParts(
  options: LogOptions,
  indexes: SegmentIndexes,
  recovered: RecoveredLog,
  events: LogPartsEvents,
): LogParts {
  const { disk, directory, config, syncer, readPool } = options;
  const { table, logStartOffset, cleanedEndOffset, endOffset, endIndex, point, file } = recovered;
  const segments = new SegmentList(recovered.segments);
  const books: LogBooks = { segments, table, logStartOffset, cleanedEndOffset, endOffset, endIndex };
  const transactions = new TransactionIndexFiles(disk, [...recovered.names]);
  const checkpoints = new Checkpoints({ options, indexes, books, point });
  const writer = new LogWriter(
    {
      disk,
      directory,
      config,
      syncer,
      roll: (from, to) => checkpoints.roll(from, to),
      onProgress: events.onProgress,
      onFailure: events.onFailure,
    },
    { segment: segments.active, file, endIndex, endOffset },
  );
  const { beginSegment, isOpen } = events;
  return {
    books,
    segments,
    indexes,
    reader: new LogReader(segments, indexes, readPool),
    search: new LogSearch(segments, indexes, readPool),
    writer,
    checkpoints,
    upkeep: new LogUpkeep({
      options,
      books,
      indexes,
      transactions,
      checkpoints,
      writer,
      beginSegment,
      isOpen,
    }),
    transactions,
  };
}
