/**
 * Brings appended batches to the disk: one write in flight at a time, each taking all that has queued meanwhile (up to a
 * limit) in one call, then a sync through the directory's Syncer when one has been asked for.
 *
 * A segment is begun only when the one before it is written, synced in its own file and closed off with its indexes. So
 * whatever a crash leaves, only the newest segment can be torn. Flushed means durable: in the segment's file, or in the
 * directory's journal, from which it is restored before a log is opened. Settled means durable in the file.
 * Invariant: flushed <= written <= queued end; asserted where they move. The file is open while the log is written to; an
 * idle log's is closed when others need the descriptor. Any failure is final: the queue is dropped and nothing moves any more.
 */
import { assert } from '../../platform/assert.ts';
import { DiskError } from '../../platform/disk.ts';
import type { Disk, DiskFile } from '../../platform/disk.ts';
import { toError } from '../../platform/to-error.ts';
import type { LogConfig, LogFailure } from './log-types.ts';
import type { Segment } from './segments/segment.ts';
import type { LogSyncTarget } from './sync/sync-target.ts';
import type { Syncer } from './sync/syncer.ts';
import { EndWaiters } from './end-waiters.ts';
import { UnsyncedBytes } from './sync/unsynced-bytes.ts';
import type { WriteFileOwner } from './write-files.ts';
import { WriteLine } from './write-line.ts';
import type { Run } from './write-line.ts';

/** `flush.ms` of a log whose writing back is left to the operating system. */
const flushMsNever = 2 ** 31;

export interface WriterOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly config: () => LogConfig;
  readonly syncer: Syncer;
  /** Closes off a full segment and makes the next one; resolves with the new file. */
  readonly roll: (from: Segment, to: Segment) => Promise<DiskFile>;
  /** The written or the flushed end has moved. Never called from within `append`. */
  readonly onProgress: () => void;
  readonly onFailure: (failure: LogFailure) => void;
}

/** Where a log ends, in three measures. */
export interface WriterStart {
  readonly segment: Segment;
  /** The segment's file, where it is open already; the log's from here on. */
  readonly file?: DiskFile | undefined;
  readonly endIndex: number;
  readonly endOffset: number;
}

export class LogWriter implements LogSyncTarget, WriteFileOwner {
  readonly name: string;
  readonly #options: WriterOptions;
  readonly #line = new WriteLine();
  #segment: Segment;
  /** Undefined: closed, and all that is written is settled. */
  #file: DiskFile | undefined;
  /** Files of full segments that a sync was still using when they were left. */
  readonly #retired: DiskFile[] = [];
  #isPumping = false;
  #isSyncing = false;
  #isClosed = false;
  /** The segment's file has zeros beyond its end. */
  #isPreallocated = false;
  #failure: LogFailure | undefined;
  readonly #untilWritten = new EndWaiters();
  readonly #untilFlushed = new EndWaiters();
  /** Who waits for a segment that was begun without a batch. */
  readonly #rolls = new Map<Segment, PromiseWithResolvers<void>>();
  #restWaiters: (() => void)[] = [];
  #queuedBytes = 0;
  #queuedEndIndex = 0;
  #writtenEndIndex = 0;
  #writtenEndOffset = 0;
  #flushedEndIndex = 0;
  #ackableEndIndex = 0;
  /** A sync has been asked for up to here. */
  #wantedEndIndex = 0;
  /** What the sync that is running will have made durable. */
  #syncing = { endIndex: 0, bytes: 0, changes: 0 };
  #syncingSegment: Segment | undefined;
  /** Counts what is done to the file: settled when all of it has been synced. */
  #changes = 0;
  #settledChanges = 0;
  readonly #unsynced = new UnsyncedBytes();

  constructor(options: WriterOptions, start: WriterStart) {
    this.#options = options;
    this.name = options.directory.slice(options.directory.lastIndexOf('/') + 1);
    this.#segment = start.segment;
    this.#standAt(start);
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

  /**
   * What may be acknowledged: the flushed end; under `write.caching`, the written end. Never goes back, not even when that is
   * switched off.
   */
  get ackableEndIndex(): number {
    const end = this.#options.config().writeCaching ? this.#writtenEndIndex : this.#flushedEndIndex;
    if (end > this.#ackableEndIndex) this.#ackableEndIndex = end;
    return this.#ackableEndIndex;
  }

  /** Puts a batch in line. It must not change until it is written. `endIndex` and `endOffset` are the log's ends after it. */
  append(segment: Segment, batch: Buffer, endIndex: number, endOffset: number): void {
    this.#line.add(segment, batch, { endIndex, endOffset });
    this.#queuedBytes += batch.length;
    this.#queuedEndIndex = endIndex;
    this.#startPump();
  }

  /** Goes over to a new segment though nothing is in line for it: resolves when it has its file. Rejects with the cause of a failure. */
  roll(to: Segment): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(toError(this.#failure.cause));
    this.#line.addSegment(to);
    const rolled = Promise.withResolvers<void>();
    this.#rolls.set(to, rolled);
    this.#startPump();
    return rolled.promise;
  }

  #startPump(): void {
    if (this.#isPumping || this.#failure !== undefined) return;
    this.#isPumping = true;
    // What is appended in the same turn goes into the same write.
    queueMicrotask(() => void this.#pump());
  }

  /**
   * Asks for all that is appended now to be made durable: at once, as an acknowledgement waits for it. Under `write.caching`
   * none does, and `flush.messages` and `flush.ms` decide.
   */
  requestSync(): void {
    const { writeCaching, flushMessages, flushMs } = this.#options.config();
    if (!writeCaching) {
      this.#requestNow();
    } else if (this.#queuedEndIndex - this.#flushedEndIndex >= flushMessages) {
      // One sync when all of it is written, not another one before.
      this.#wantedEndIndex = this.#queuedEndIndex;
      if (this.#writtenEndIndex === this.#queuedEndIndex) this.#maybeSync();
    } else if (flushMs < flushMsNever) this.#options.syncer.requestLater(this, flushMs);
  }

  #requestNow(): void {
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
    this.#requestNow();
    return reached;
  }

  /** Resolves when all that is appended now is durable in the log's own files, which end where the log ends. */
  async settled(): Promise<void> {
    await this.flushed();
    await this.#trim();
    await this.#options.syncer.settle(this);
  }

  /**
   * Before files of the log are cut, removed or replaced: resolves when neither a write nor a sync is in flight, and no start
   * would write into them what they hold now. Nothing may be appended from then on.
   */
  async settledForGood(): Promise<void> {
    await this.settled();
    await this.#options.syncer.forget(this);
    await this.atRest();
  }

  /** After a truncation, with nothing in line: the log goes on from here. Its files are synced as they are. */
  restart(start: WriterStart): void {
    assert(this.#line.isEmpty && !this.#isPumping && !this.#isSyncing, 'a log is cut at rest');
    assert(this.#file === undefined, 'a file that is cut is not open here');
    this.#segment = start.segment;
    this.#isPreallocated = false;
    this.#unsynced.clear();
    this.#standAt(start);
  }

  /** Everything up to here is durable, and nothing is in line. */
  #standAt(start: WriterStart): void {
    this.#queuedEndIndex = start.endIndex;
    this.#writtenEndIndex = start.endIndex;
    this.#writtenEndOffset = start.endOffset;
    this.#flushedEndIndex = start.endIndex;
    this.#ackableEndIndex = start.endIndex;
    this.#wantedEndIndex = start.endIndex;
    if (start.file !== undefined) this.#adopt(start.file);
  }

  /** The newest segment's file, which is the caller's from here on. The log is at rest, and settled. */
  async takeFile(): Promise<DiskFile> {
    assert(this.isSettled && !this.#isPumping && !this.#isSyncing, 'a file is taken at rest');
    const file = await this.#openFile();
    this.#leaveFile();
    return file;
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

  /**
   * Closes the file; what is in line is dropped, and those who wait for it are told so. A log that is to be removed is not
   * synced for it, unless the journal has records of it: a half of that is free when all of its logs have been synced.
   */
  async close(options: { readonly isDoomed?: boolean } = {}): Promise<void> {
    this.#isClosed = true;
    this.#line.clear();
    this.#queuedBytes = 0;
    // A roll that waits for a sync is one of them: nothing asks for that sync any more.
    const closed = new Error(`The log in ${this.#options.directory} was closed.`);
    this.#rejectWaiting(closed);
    await this.atRest();
    if (options.isDoomed !== true || this.#options.syncer.covers(this.name)) {
      // Of a log that has failed: what the journal made durable must be so in the file before the journal forgets it. Where
      // that fails the Syncer keeps the journal's records for the next start, and the log has told of its failure.
      await this.#options.syncer.settle(this).catch(() => undefined);
    }
    await this.atRest();
    const file = this.#file;
    if (file === undefined) return;
    this.#leaveFile();
    await file.close();
  }

  get isSettled(): boolean {
    return this.#settledChanges === this.#changes;
  }

  get unsyncedBytes(): number {
    return this.#segment.writtenBytes - this.#segment.flushedBytes;
  }

  unsynced(): ReturnType<UnsyncedBytes['range']> {
    if (this.#failure !== undefined) return undefined;
    return this.#unsynced.range(this.#segment);
  }

  journalBegins(): void {
    this.#beginSync();
  }

  syncBegins(): DiskFile | undefined {
    if (this.isSettled) return undefined;
    if (this.#file === undefined) {
      throw new Error(`${this.#segment.path} was closed before all of it was synced.`);
    }
    this.#beginSync();
    this.#syncing.changes = this.#changes;
    return this.#file;
  }

  #beginSync(): void {
    this.#isSyncing = true;
    const bytes = this.#segment.writtenBytes;
    this.#syncing = { endIndex: this.#writtenEndIndex, bytes, changes: this.#settledChanges };
    this.#syncingSegment = this.#segment;
  }

  syncEnded(error: Error | undefined): void {
    this.#isSyncing = false;
    for (const file of this.#retired.splice(0)) this.#closeRetired(file);
    if (error !== undefined) {
      this.#fail('sync', error);
    } else {
      const { endIndex, bytes, changes } = this.#syncing;
      this.#settledChanges = Math.max(this.#settledChanges, changes);
      const segment = this.#syncingSegment;
      if (segment !== undefined) {
        segment.flushedBytes = Math.max(segment.flushedBytes, bytes);
        if (segment === this.#segment) this.#unsynced.flushedTo(bytes);
      }
      if (this.#failure === undefined) this.#moveFlushed(endIndex);
      this.#maybeSync();
    }
    this.#maybeRest();
  }

  get isFileIdle(): boolean {
    return !this.#isPumping && !this.#isSyncing && !this.#isClosed && this.#file !== undefined;
  }

  async closeFile(): Promise<boolean> {
    try {
      await this.#options.syncer.settle(this);
    } catch (error) {
      this.#fail('sync', error);
    }
    const file = this.#file;
    if (file === undefined) return true;
    const isIdle = this.isFileIdle && (this.isSettled || this.#failure !== undefined);
    if (!isIdle) return false;
    this.#leaveFile();
    await file.close().catch((error: unknown) => this.#fail('write', error));
    return true;
  }

  #maybeSync(): void {
    if (this.#failure !== undefined || this.#isClosed) return;
    const isWanted = this.#wantedEndIndex > this.#flushedEndIndex;
    if (isWanted && this.#writtenEndIndex > this.#flushedEndIndex) this.#options.syncer.request(this);
  }

  async #pump(): Promise<void> {
    try {
      for (let run = this.#next(); run !== undefined; run = this.#next()) {
        if (run.segment !== this.#segment) await this.#switchTo(run);
        if (this.#failure === undefined && run.parts.length > 0) await this.#write(run);
      }
    } finally {
      this.#isPumping = false;
      this.#maybeRest();
    }
  }

  #next(): Run | undefined {
    return this.#failure === undefined && !this.#isClosed ? this.#line.take() : undefined;
  }

  async #write(run: Run): Promise<void> {
    const { segment, parts } = run;
    const { syncer } = this.#options;
    const sizeBytes = parts.reduce((sum, { length }) => sum + length, 0);
    const position = segment.writtenBytes;
    try {
      const file = this.#file ?? (await this.#openFile());
      if (this.#isClosed) return;
      syncer.writeFiles.used(this);
      if (position === 0) await this.#maybePreallocate(file);
      await file.write(parts, position);
      // Afterwards: a sync that began during the write does not cover it.
      this.#changes++;
    } catch (error) {
      this.#fail('write', error);
      return;
    }
    // The batches' memory is theirs only until the log is told that they are written.
    if (syncer.wantsBytes) {
      const coveredBytes = this.#isSyncing ? this.#syncing.bytes : segment.flushedBytes;
      this.#unsynced.add(parts, { position, sizeBytes, coveredBytes });
    }
    this.#queuedBytes = Math.max(0, this.#queuedBytes - sizeBytes);
    segment.writtenBytes += sizeBytes;
    assert(segment.writtenBytes <= segment.appendedBytes, 'written <= appended');
    const endIndex = run.endIndexes.at(-1)!;
    assert(endIndex > this.#writtenEndIndex, 'the written end moves forward');
    this.#writtenEndIndex = endIndex;
    this.#writtenEndOffset = run.endOffsets.at(-1)!;
    this.#maybeSync();
    this.#untilWritten.reached(endIndex);
    this.#options.onProgress();
  }

  async #switchTo(run: Run): Promise<void> {
    try {
      this.#wantedEndIndex = Math.max(this.#wantedEndIndex, this.#writtenEndIndex);
      this.#maybeSync();
      await this.#reached('flushed', this.#writtenEndIndex);
      await this.#trim();
      await this.#options.syncer.settle(this);
      const file = await this.#options.roll(this.#segment, run.segment);
      if (this.#file !== undefined) this.#retire(this.#file);
      this.#leaveFile();
      this.#adopt(file);
      this.#segment = run.segment;
      this.#unsynced.clear();
      this.#rolls.get(run.segment)?.resolve();
      this.#rolls.delete(run.segment);
    } catch (error) {
      this.#fail('roll', error);
    }
  }

  /** Waits for its turn where too many files are open. */
  async #openFile(): Promise<DiskFile> {
    if (this.#file !== undefined) return this.#file;
    const { disk, syncer } = this.#options;
    await syncer.writeFiles.enter();
    try {
      this.#file = await disk.open(this.#segment.path, 'write');
    } catch (error) {
      syncer.writeFiles.left(this);
      throw error;
    }
    syncer.writeFiles.used(this);
    return this.#file;
  }

  /** A file that somebody else has opened: it takes its place among the open ones without waiting for it. */
  #adopt(file: DiskFile): void {
    this.#file = file;
    this.#options.syncer.writeFiles.adopted(this);
  }

  #leaveFile(): void {
    if (this.#file === undefined) return;
    this.#file = undefined;
    this.#options.syncer.writeFiles.left(this);
  }

  /** `preallocate`: a new segment's file has its full size at once, as in Kafka. */
  async #maybePreallocate(file: DiskFile): Promise<void> {
    const { preallocate, segmentBytes } = this.#options.config();
    if (!preallocate) return;
    await file.truncate(segmentBytes);
    this.#changes++;
    this.#isPreallocated = true;
  }

  /** All is written and nothing is in flight: the zeros after the end go. */
  async #trim(): Promise<void> {
    if (!this.#isPreallocated) return;
    const file = await this.#openFile();
    await file.truncate(this.#segment.writtenBytes);
    this.#changes++;
    this.#isPreallocated = false;
  }

  #moveFlushed(endIndex: number): void {
    if (endIndex <= this.#flushedEndIndex) return;
    assert(endIndex <= this.#writtenEndIndex, 'flushed <= written');
    this.#flushedEndIndex = endIndex;
    this.#untilFlushed.reached(endIndex);
    this.#options.onProgress();
  }

  #reached(position: 'written' | 'flushed', endIndex: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(toError(this.#failure.cause));
    const isWritten = position === 'written';
    const reachedIndex = isWritten ? this.#writtenEndIndex : this.#flushedEndIndex;
    if (reachedIndex >= endIndex) return Promise.resolve();
    return (isWritten ? this.#untilWritten : this.#untilFlushed).until(endIndex);
  }

  #rejectWaiting(error: Error): void {
    this.#untilWritten.reject(error);
    this.#untilFlushed.reject(error);
    for (const roll of this.#rolls.values()) roll.reject(error);
    this.#rolls.clear();
  }

  /** Ends everything: a part of the log that the writer does not see has failed. */
  fail(kind: LogFailure['kind'], cause: unknown): void {
    this.#fail(kind, cause);
  }

  #fail(kind: LogFailure['kind'], cause: unknown): void {
    if (this.#failure !== undefined || this.#isClosed) return;
    const code = cause instanceof DiskError ? cause.code : 'unknown';
    this.#failure = { kind, code, directory: this.#options.directory, cause };
    this.#line.clear();
    this.#queuedBytes = 0;
    this.#rejectWaiting(toError(cause));
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
    this.#options.syncer.writeFiles.idle();
  }
}
