/**
 * Brings appended batches to the disk: one write in flight at a time, each taking all that has queued meanwhile (up to a
 * limit) in one call, then a sync of the file through the directory's Syncer when one has been asked for.
 *
 * A segment is begun only when the one before it is written, synced and closed off with its indexes. So whatever a crash
 * leaves, only the newest segment can be torn. Invariant: flushed <= written <= queued end; asserted where they move.
 * Any failure is final: the queue is dropped and nothing moves any more.
 */
import { assert } from '../../platform/assert.ts';
import type { DiskFile } from '../../platform/disk.ts';
import type { LogFailure } from './log-types.ts';
import type { Segment } from './segment.ts';
import type { SyncTarget, Syncer } from './syncer.ts';

/** What one write takes at most: beyond it, others' progress would wait for too long. */
const roundBytesMax = 8 * 1024 * 1024;
const roundPartsMax = 1024;

export interface WriterOptions {
  readonly directory: string;
  readonly syncer: Syncer;
  /** Closes off a full segment and makes the next one; resolves with the new file. */
  readonly roll: (from: Segment, to: Segment, startIndex: number) => Promise<DiskFile>;
  /** The written or the flushed end has moved. Never called from within `append`. */
  readonly onProgress: () => void;
  readonly onFailure: (failure: LogFailure) => void;
}

/** Where a log ends, in three measures. */
export interface WriterStart {
  readonly segment: Segment;
  readonly file: DiskFile;
  readonly endIndex: number;
  readonly endOffset: number;
}

/** Batches in line for one segment. */
interface Run {
  readonly segment: Segment;
  /** The Raft index of the segment's first entry where this run begins the segment. */
  readonly startIndex: number;
  parts: Buffer[];
  endIndexes: number[];
  endOffsets: number[];
}

interface Waiter {
  readonly endIndex: number;
  readonly position: 'written' | 'flushed';
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Roll {
  readonly to: Segment;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class LogWriter implements SyncTarget {
  readonly #options: WriterOptions;
  #runs: Run[] = [];
  #segment: Segment;
  #file: DiskFile;
  /** Files of full segments that a sync was still using when they were left. */
  readonly #retired: DiskFile[] = [];
  #isPumping = false;
  #isSyncing = false;
  #isClosed = false;
  #failure: LogFailure | undefined;
  #waiters: Waiter[] = [];
  /** Who waits for a segment that was begun without a batch. */
  #rolls: Roll[] = [];
  #queuedBytes = 0;
  #queuedEndIndex: number;
  #writtenEndIndex: number;
  #writtenEndOffset: number;
  #flushedEndIndex: number;
  /** A sync has been asked for up to here. */
  #wantedEndIndex: number;
  /** What the sync that is running will have made durable. */
  #syncing = { endIndex: 0, bytes: 0 };

  constructor(options: WriterOptions, start: WriterStart) {
    this.#options = options;
    this.#segment = start.segment;
    this.#file = start.file;
    this.#queuedEndIndex = start.endIndex;
    this.#writtenEndIndex = start.endIndex;
    this.#writtenEndOffset = start.endOffset;
    this.#flushedEndIndex = start.endIndex;
    this.#wantedEndIndex = start.endIndex;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get writtenEndIndex(): number {
    return this.#writtenEndIndex;
  }

  get writtenEndOffset(): number {
    return this.#writtenEndOffset;
  }

  get flushedEndIndex(): number {
    return this.#flushedEndIndex;
  }

  /** Puts a batch in line. It must not change until it is written. `endIndex` and `endOffset` are the log's ends after it. */
  append(segment: Segment, batch: Buffer, endIndex: number, endOffset: number): void {
    let run = this.#runs.at(-1);
    if (run?.segment !== segment) {
      run = { segment, startIndex: this.#queuedEndIndex, parts: [], endIndexes: [], endOffsets: [] };
      this.#runs.push(run);
    }
    run.parts.push(batch);
    run.endIndexes.push(endIndex);
    run.endOffsets.push(endOffset);
    this.#queuedBytes += batch.length;
    this.#queuedEndIndex = endIndex;
    this.#startPump();
  }

  /** Goes over to a new segment though nothing is in line for it: resolves when it has its file. Rejects with the cause of a failure. */
  roll(to: Segment): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(toError(this.#failure.cause));
    this.#runs.push({
      segment: to,
      startIndex: this.#queuedEndIndex,
      parts: [],
      endIndexes: [],
      endOffsets: [],
    });
    const rolled = new Promise<void>((resolve, reject) => {
      this.#rolls.push({ to, resolve, reject });
    });
    this.#startPump();
    return rolled;
  }

  #startPump(): void {
    if (this.#isPumping || this.#failure !== undefined) return;
    this.#isPumping = true;
    // What is appended in the same turn goes into the same write.
    queueMicrotask(() => void this.#pump());
  }

  /** Asks for all that is appended now to be made durable. */
  requestSync(): void {
    this.#wantedEndIndex = this.#queuedEndIndex;
    this.#maybeSync();
  }

  /** Resolves when all that is appended now is written; rejects with the cause of a failure. */
  written(): Promise<void> {
    return this.#reached('written', this.#queuedEndIndex);
  }

  /** Resolves when all that is appended now is durable; rejects with the cause of a failure. */
  flushed(): Promise<void> {
    const reached = this.#reached('flushed', this.#queuedEndIndex);
    this.requestSync();
    return reached;
  }

  /** After a truncation, with nothing in line: the log goes on from here. */
  restart(start: WriterStart): void {
    assert(this.#runs.length === 0 && !this.#isPumping && !this.#isSyncing, 'a log is cut at rest');
    if (start.file !== this.#file) this.#retire(this.#file);
    this.#segment = start.segment;
    this.#file = start.file;
    this.#queuedEndIndex = start.endIndex;
    this.#writtenEndIndex = start.endIndex;
    this.#writtenEndOffset = start.endOffset;
    this.#flushedEndIndex = start.endIndex;
    this.#wantedEndIndex = start.endIndex;
  }

  /** The newest segment's file. */
  get file(): DiskFile {
    return this.#file;
  }

  /** Resolves when neither a write nor a sync is in flight. Only to be called when nothing is appended any more. */
  async atRest(): Promise<void> {
    this.#options.syncer.cancel(this);
    while (this.#isPumping || this.#isSyncing) {
      await new Promise<void>((resolve) => {
        this.#restWaiters.push(resolve);
      });
    }
  }

  #restWaiters: (() => void)[] = [];

  /** Closes the file; what is in line is dropped, and those who wait for it are told so. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#runs = [];
    this.#queuedBytes = 0;
    // A roll that waits for a sync is one of them: nothing asks for that sync any more.
    const closed = new Error(`The log in ${this.#options.directory} was closed.`);
    for (const waiter of [...this.#waiters.splice(0), ...this.#rolls.splice(0)]) waiter.reject(closed);
    await this.atRest();
    await this.#file.close();
  }

  syncBegins(): DiskFile {
    this.#isSyncing = true;
    this.#syncing = { endIndex: this.#writtenEndIndex, bytes: this.#segment.writtenBytes };
    this.#syncingSegment = this.#segment;
    return this.#file;
  }

  #syncingSegment: Segment | undefined;

  syncEnded(error: Error | undefined): void {
    this.#isSyncing = false;
    for (const file of this.#retired.splice(0)) this.#closeRetired(file);
    if (error !== undefined) {
      this.#fail('sync', error);
    } else if (this.#failure === undefined) {
      const { endIndex, bytes } = this.#syncing;
      if (this.#syncingSegment !== undefined) {
        this.#syncingSegment.flushedBytes = Math.max(this.#syncingSegment.flushedBytes, bytes);
      }
      this.#moveFlushed(endIndex);
      this.#maybeSync();
    }
    this.#maybeRest();
  }

  #maybeSync(): void {
    if (this.#failure !== undefined || this.#isClosed) return;
    const isWanted = this.#wantedEndIndex > this.#flushedEndIndex;
    if (isWanted && this.#writtenEndIndex > this.#flushedEndIndex) this.#options.syncer.request(this);
  }

  async #pump(): Promise<void> {
    try {
      for (let run = this.#takeRound(); run !== undefined; run = this.#takeRound()) {
        if (run.segment !== this.#segment) await this.#switchTo(run);
        if (this.#failure === undefined && run.parts.length > 0) await this.#write(run);
      }
    } finally {
      this.#isPumping = false;
      this.#maybeRest();
    }
  }

  async #write(run: Run): Promise<void> {
    const { segment, parts } = run;
    let sizeBytes = 0;
    for (const part of parts) sizeBytes += part.length;
    try {
      await this.#file.write(parts, segment.writtenBytes);
    } catch (error) {
      this.#fail('write', error);
      return;
    }
    this.#queuedBytes = Math.max(0, this.#queuedBytes - sizeBytes);
    segment.writtenBytes += sizeBytes;
    assert(segment.writtenBytes <= segment.appendedBytes, 'written <= appended');
    const endIndex = run.endIndexes.at(-1)!;
    assert(endIndex > this.#writtenEndIndex, 'the written end moves forward');
    this.#writtenEndIndex = endIndex;
    this.#writtenEndOffset = run.endOffsets.at(-1)!;
    this.#maybeSync();
    this.#settle();
    this.#options.onProgress();
  }

  /** The next write's batches: from one segment, as many as have queued, within limits. */
  #takeRound(): Run | undefined {
    const run = this.#runs[0];
    if (run === undefined || this.#failure !== undefined || this.#isClosed) return undefined;
    let sizeBytes = 0;
    let count = 0;
    while (count < run.parts.length && count < roundPartsMax && sizeBytes < roundBytesMax) {
      sizeBytes += run.parts[count]!.length;
      count++;
    }
    if (count === run.parts.length) {
      this.#runs.shift();
      return run;
    }
    const { segment, startIndex, parts, endIndexes, endOffsets } = run;
    run.parts = parts.slice(count);
    run.endIndexes = endIndexes.slice(count);
    run.endOffsets = endOffsets.slice(count);
    return {
      segment,
      startIndex,
      parts: parts.slice(0, count),
      endIndexes: endIndexes.slice(0, count),
      endOffsets: endOffsets.slice(0, count),
    };
  }

  async #switchTo(run: Run): Promise<void> {
    try {
      this.#wantedEndIndex = Math.max(this.#wantedEndIndex, this.#writtenEndIndex);
      this.#maybeSync();
      await this.#reached('flushed', this.#writtenEndIndex);
      const file = await this.#options.roll(this.#segment, run.segment, run.startIndex);
      this.#retire(this.#file);
      this.#file = file;
      this.#segment = run.segment;
      const rolled = this.#rolls.filter(({ to }) => to === run.segment);
      this.#rolls = this.#rolls.filter(({ to }) => to !== run.segment);
      for (const { resolve } of rolled) resolve();
    } catch (error) {
      this.#fail('roll', error);
    }
  }

  #moveFlushed(endIndex: number): void {
    if (endIndex <= this.#flushedEndIndex) return;
    assert(endIndex <= this.#writtenEndIndex, 'flushed <= written');
    this.#flushedEndIndex = endIndex;
    this.#settle();
    this.#options.onProgress();
  }

  #reached(position: 'written' | 'flushed', endIndex: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(toError(this.#failure.cause));
    if (this.#endOf(position) >= endIndex) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ endIndex, position, resolve, reject });
    });
  }

  #settle(): void {
    if (this.#waiters.length === 0) return;
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (this.#endOf(waiter.position) >= waiter.endIndex) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }

  #endOf(position: 'written' | 'flushed'): number {
    return position === 'written' ? this.#writtenEndIndex : this.#flushedEndIndex;
  }

  /** Ends everything: a part of the log that the writer does not see has failed. */
  fail(kind: LogFailure['kind'], cause: unknown): void {
    this.#fail(kind, cause);
  }

  #fail(kind: LogFailure['kind'], cause: unknown): void {
    if (this.#failure !== undefined || this.#isClosed) return;
    this.#failure = { kind, directory: this.#options.directory, cause };
    this.#runs = [];
    this.#queuedBytes = 0;
    for (const waiter of [...this.#waiters.splice(0), ...this.#rolls.splice(0)])
      waiter.reject(toError(cause));
    this.#options.onFailure(this.#failure);
  }

  #retire(file: DiskFile): void {
    if (this.#isSyncing) this.#retired.push(file);
    else this.#closeRetired(file);
  }

  #closeRetired(file: DiskFile): void {
    file.close().catch((error: unknown) => this.#fail('roll', error));
  }

  #maybeRest(): void {
    if (this.#isPumping || this.#isSyncing) return;
    for (const resolve of this.#restWaiters.splice(0)) resolve();
  }
}

function toError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}
