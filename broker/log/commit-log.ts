/**
 * One partition's log: segments in Kafka's file layout with Raft's own entries among the batches. Knows nothing of Raft but
 * positions. The only owner of the partition's `.log`, `.index`, `.timeindex` and `replica-state` files.
 *
 * A Raft index and a Kafka offset name the same place: each offset takes one index, each Raft-only batch takes an index and no
 * offset; PositionTable converts. Ends are exclusive. Every term begins with a Raft-only entry, which so is a log's first.
 * Invariants: flushed <= written <= end; a record's bytes never change once appended; segments before the newest are synced.
 *
 * Single-threaded. To be called by broker/partition only: it validates batches, decides terms and keeps reads within what is
 * committed. Failures of the disk are final for a log: positions stand still, `onFailure` tells, and it has to be opened again.
 */
import { assert } from '../../platform/assert.ts';
import { unpooled } from '../../platform/buffer-pool.ts';
import type { Lease } from '../../platform/buffer-pool.ts';
import { batchField, setBaseOffset, setPartitionLeaderEpoch } from '../../protocol/index.ts';
import type { AbortedTransaction } from './aborted-transactions.ts';
import { LogReader } from './log-reader.ts';
import { LogSearch } from './log-search.ts';
import type { HeaderVisitor } from './log-search.ts';
import type {
  Appended,
  DeletedSegments,
  FoundRecord,
  LogConfig,
  LogDamage,
  LogFailure,
  LogOptions,
  LogRead,
  ReadRequest,
  RecoveryReport,
  SegmentInfo,
} from './log-types.ts';
import { LogWriter } from './log-writer.ts';
import type { PlacedRaftOnlyEntry, RaftOnlyEntry } from './raft-only.ts';
import { encodeRaftOnly } from './raft-only.ts';
import { recoverLog } from './recovery.ts';
import type { RecoveredLog } from './recovery.ts';
import { Checkpoints } from './checkpoints.ts';
import type { LogBooks } from './log-books.ts';
import { removeLogDirectory } from './log-removal.ts';
import { LogUpkeep } from './log-upkeep.ts';
import { mustRoll } from './retention.ts';
import { SegmentIndexes } from './segment-files.ts';
import { SegmentList } from './segment-list.ts';
import { Segment } from './segment.ts';
import type { LogTail } from './tail-cache.ts';
import { TransactionIndexFiles } from './transaction-index-files.ts';
import { truncateLog } from './truncation.ts';

export type * from './log-types.ts';
export type { PlacedRaftOnlyEntry, RaftOnlyEntry, RaftOnlyKind } from './raft-only.ts';

const empty: LogRead = { parts: [], sizeBytes: 0, release: () => undefined };

export class CommitLog {
  readonly #options: LogOptions;
  readonly #books: LogBooks;
  readonly #segments: SegmentList;
  readonly #indexes: SegmentIndexes;
  readonly #reader: LogReader;
  readonly #search: LogSearch;
  readonly #writer: LogWriter;
  readonly #checkpoints: Checkpoints;
  readonly #upkeep: LogUpkeep;
  readonly #transactions: TransactionIndexFiles;
  readonly #tail: LogTail;
  readonly #damage: LogDamage[] = [];
  #failure: LogFailure | undefined;
  #state: 'open' | 'cutting' | 'closed' = 'open';
  #onProgress: (() => void) | undefined;
  #onFailure: ((failure: LogFailure) => void) | undefined;
  #onRoll: ((newBaseOffset: number) => void) | undefined;

  private constructor(options: LogOptions, indexes: SegmentIndexes, recovered: RecoveredLog) {
    this.#options = options;
    this.#indexes = indexes;
    this.#segments = new SegmentList(recovered.segments);
    const { table, logStartOffset, cleanedEndOffset, endOffset, endIndex, point } = recovered;
    this.#books = { segments: this.#segments, table, logStartOffset, cleanedEndOffset, endOffset, endIndex };
    this.#transactions = new TransactionIndexFiles(options.disk, [...recovered.names]);
    this.#tail = options.tailCache.openTail();
    this.#reader = new LogReader(this.#segments, indexes, options.readPool);
    this.#search = new LogSearch(this.#segments, indexes, options.readPool);
    this.#checkpoints = new Checkpoints({ options, indexes, books: this.#books, point });
    this.#writer = new LogWriter(
      {
        disk: options.disk,
        directory: options.directory,
        config: options.config,
        syncer: options.syncer,
        roll: (from, to) => this.#checkpoints.roll(from, to),
        onProgress: () => this.#progressed(),
        onFailure: (failure) => this.#fail(failure),
      },
      {
        segment: this.#segments.active,
        file: recovered.file,
        endIndex,
        endOffset,
      },
    );
    this.#upkeep = new LogUpkeep({
      options,
      books: this.#books,
      indexes,
      transactions: this.#transactions,
      checkpoints: this.#checkpoints,
      writer: this.#writer,
      beginSegment: () => this.#roll(),
      isOpen: () => this.#state === 'open' && this.#failure === undefined,
    });
    const { damage } = recovered.report;
    if (damage === undefined) return;
    this.#damage.push(damage);
    this.#failure = { kind: 'damage', code: 'corrupt', directory: options.directory, cause: damage };
  }

  /**
   * Recovers the log; what it holds is synced before this resolves. Rejects with a DiskError only: what is wrong with the
   * bytes is in the report. A damaged log opens for reading up to the damage, and takes no appends.
   */
  static async open(options: LogOptions): Promise<{ log: CommitLog; recovery: RecoveryReport }> {
    const { disk, readPool, config } = options;
    const indexes = new SegmentIndexes(disk, readPool, () => config().indexIntervalBytes);
    const recovered = await recoverLog(options, indexes);
    return { log: new CommitLog(options, indexes, recovered), recovery: recovered.report };
  }

  get directory(): string {
    return this.#options.directory;
  }

  /** Live. */
  get config(): LogConfig {
    return this.#options.config();
  }

  /** First offset that may be read: at or above the first segment's base. Never goes back, and durable before anything is deleted. */
  get logStartOffset(): number {
    return this.#books.logStartOffset;
  }

  /** First dirty offset: all full segments below it have been cleaned. Durable; steps back in a truncation only. */
  get cleanedEndOffset(): number {
    return this.#books.cleanedEndOffset;
  }

  /** What is known to be damaged, by recovery (then the log takes no appends) or by scrubbing. */
  get damage(): readonly LogDamage[] {
    return this.#damage;
  }

  /** Notes what scrubbing has found: the place is reported, reads of others and appends go on. Said again it does nothing. */
  reportDamage(damage: LogDamage): void {
    const { file, position } = damage;
    const isKnown = this.#damage.some((known) => known.file === file && known.position === position);
    if (!isKnown) this.#damage.push(damage);
  }

  /** Makes the index files of a full segment again, for scrubbing; false where the log or the segment has gone. Rejects with a DiskError. */
  remakeIndexes(segment: Segment): Promise<boolean> {
    return this.#upkeep.remakeIndexes(segment);
  }

  get logEndOffset(): number {
    return this.#books.endOffset;
  }

  /** The Raft index that the next entry takes; 1 in an empty log. */
  get endIndex(): number {
    return this.#books.endIndex;
  }

  /** Leader epoch of the last entry; 0 in an empty log. */
  get lastTerm(): number {
    return this.#books.table.lastTerm;
  }

  /** What has been handed to the operating system. */
  get writtenEndIndex(): number {
    return this.#writer.writtenEndIndex;
  }

  /** What has been synced. */
  get flushedEndIndex(): number {
    return this.#writer.flushedEndIndex;
  }

  /** What may be acknowledged, as far as this log goes: what is flushed, or under `write.caching` what is written. */
  get ackableEndIndex(): number {
    return this.#writer.ackableEndIndex;
  }

  /** Bytes appended and not yet written: what back-pressure goes by. */
  get queuedBytes(): number {
    return this.#writer.queuedBytes;
  }

  get sizeBytes(): number {
    return this.#segments.sizeBytes;
  }

  get segmentCount(): number {
    return this.#segments.count;
  }

  /** Set once the log takes no appends any more. */
  get failure(): LogFailure | undefined {
    return this.#failure;
  }

  /** Closed ones, oldest first; never the one that is appended to. */
  fullSegments(): readonly Segment[] {
    return this.#segments.full;
  }

  segments(): SegmentInfo[] {
    return this.#segments.infos();
  }

  /** Raft's entries that the log still knows of, oldest first. */
  raftOnlyEntries(): readonly PlacedRaftOnlyEntry[] {
    return this.#books.table.raftOnlyEntries;
  }

  /**
   * Takes one validated data batch, which belongs to the log from here on: its base offset and leader epoch are set in place.
   * Returns at once; the batch is written with all else that is in line. `term` is that of the last Raft-only entry. Ignored,
   * but for its place, in a log that has failed: its positions will not move.
   */
  append(batch: Buffer, term: number, lease: Lease = unpooled): Appended {
    assert(this.#state === 'open' && this.#failure?.kind !== 'damage', 'a log that takes appends');
    assert(term === this.lastTerm && term > 0, 'a term begins with a Raft-only entry');
    const offsets = batchField.lastOffsetDelta(batch) + 1;
    assert(offsets >= 1 && batchField.sizeBytes(batch) === batch.length, 'one batch with offsets');
    const baseOffset = this.#books.endOffset;
    const lastOffset = baseOffset + offsets - 1;
    const maxTimestamp = batchField.maxTimestamp(batch);
    setBaseOffset(batch, 0, baseOffset);
    setPartitionLeaderEpoch(batch, 0, term);
    this.#maybeRollFor({ sizeBytes: batch.length, maxTimestamp, lastOffset });
    const segment = this.#segments.active;
    const span = { sizeBytes: batch.length, lastOffset, maxTimestamp };
    segment.addBatch(span, this.config.indexIntervalBytes);
    this.#tail.add({ buffer: batch, lease, baseOffset, lastOffset });
    this.#books.endOffset += offsets;
    return this.#appended(segment, batch, baseOffset, offsets);
  }

  /** Appends an entry of Raft's own; a 'term-start' raises the term, the others keep it. */
  appendRaftOnly(entry: RaftOnlyEntry): Appended {
    assert(this.#state === 'open' && this.#failure?.kind !== 'damage', 'a log that takes appends');
    const isInOrder = entry.kind === 'term-start' ? entry.term > this.lastTerm : entry.term === this.lastTerm;
    assert(isInOrder, 'a term begins with a term-start, and has one');
    const placed: PlacedRaftOnlyEntry = {
      ...entry,
      index: this.#books.endIndex,
      offset: this.#books.endOffset,
    };
    const batch = encodeRaftOnly(placed);
    this.#maybeRollFor({ sizeBytes: batch.length, maxTimestamp: -1, lastOffset: this.#books.endOffset });
    const segment = this.#segments.active;
    segment.addRaftOnly(batch.length);
    this.#books.table.add(placed);
    return this.#appended(segment, batch, this.#books.endOffset, 1);
  }

  /** The one listener is called, never from within `append`, when the written or the flushed end has moved. */
  onProgress(listener: () => void): void {
    this.#onProgress = listener;
  }

  /** Asks for a sync that covers all that is appended now: at once, or as `flush.messages` and `flush.ms` say under `write.caching`. */
  requestSync(): void {
    this.#writer.requestSync();
  }

  /** The one listener is called once, when the log has failed; soon, where it had failed before. */
  onFailure(listener: (failure: LogFailure) => void): void {
    this.#onFailure = listener;
    const failure = this.#failure;
    if (failure !== undefined) queueMicrotask(() => listener(failure));
  }

  /** The one listener is called from within `append`, before the batch that begins a segment is taken. */
  onRoll(listener: (newBaseOffset: number) => void): void {
    this.#onRoll = listener;
  }

  /** Batches from the one that holds `offset` on; at once where they are recent. Rejects with a DiskError. */
  read(request: ReadRequest): LogRead | Promise<LogRead> {
    assert(
      request.offset >= this.logStartOffset && request.endOffset <= this.#books.endOffset,
      'a read within the log',
    );
    if (request.offset >= request.endOffset) return empty;
    return this.#tail.read(request) ?? this.#reader.read(request);
  }

  /** The first record below `endOffset` with this timestamp or a later one. Rejects with a DiskError. */
  async offsetForTimestamp(timestamp: number, endOffset: number): Promise<FoundRecord | undefined> {
    await this.#writer.written();
    return this.#search.offsetForTimestamp(timestamp, this.logStartOffset, endOffset);
  }

  /** The first record below `endOffset` among those with the largest timestamp. Rejects with a DiskError. */
  async maxTimestamp(endOffset: number): Promise<FoundRecord | undefined> {
    await this.#writer.written();
    return this.#search.maxTimestamp(this.logStartOffset, endOffset);
  }

  /** For OffsetForLeaderEpoch; see PositionTable. */
  endOffsetForEpoch(epoch: number): { epoch: number; endOffset: number } | undefined {
    return this.#books.table.endOffsetForEpoch(epoch, this.#books.endOffset);
  }

  epochAt(offset: number): number {
    return this.#books.table.epochAt(offset);
  }

  termAt(index: number): number {
    return this.#books.table.termAt(index);
  }

  /** For the end index, the log end offset. */
  offsetOfIndex(index: number): number {
    return this.#books.table.offsetOfIndex(index);
  }

  indexOfOffset(offset: number): number {
    return this.#books.table.indexOfOffset(offset);
  }

  /** Aborted transactions with offsets in [fetchOffset, endOffset), ascending by marker. Rejects with a DamagedTransactionIndex or a DiskError. */
  async abortedTransactions(fetchOffset: number, endOffset: number): Promise<AbortedTransaction[]> {
    const segments = () => this.#segments.all.slice(this.#segments.placeOf(fetchOffset));
    return this.#search.undisturbed(() => this.#transactions.collect(segments(), fetchOffset, endOffset));
  }

  /** Visits the header of every batch with an offset at or above this one, control batches too, Raft-only ones not. */
  async scanHeaders(fromOffset: number, visit: HeaderVisitor): Promise<void> {
    await this.#writer.written();
    await this.#search.scanHeaders(fromOffset, visit);
  }

  /**
   * Raises the log start, durably when it resolves: no read may begin below it any more. Full segments wholly below it are
   * taken out, and their files removed after `file.delete.delay.ms`. An offset at or below the present start does nothing. The
   * caller answers for not going above the high watermark. A log that is being cut or closed, or has failed, stays as it
   * is. Rejects with a DiskError; where that is for lack of space, the log goes on as it was.
   */
  advanceLogStart(offset: number): Promise<void> {
    return this.#upkeep.advanceLogStart(offset);
  }

  /**
   * Kafka's retention, by time and size, and what is below the log start: deletes full segments that end at or below
   * `limitOffset`, the high watermark. First rolls the active segment where `segment.ms` has passed on the wall clock, or where
   * all of it is past retention. As `advanceLogStart` otherwise.
   */
  deleteOldSegments(limitOffset: number): Promise<readonly DeletedSegments[]> {
    return this.#upkeep.deleteOldSegments(limitOffset);
  }

  /** Rolls the active segment where `segment.ms` (when compacted, `max.compaction.lag.ms` if less) has passed on the wall clock; says whether it did. */
  maybeRoll(): Promise<boolean> {
    return this.#upkeep.maybeRoll();
  }

  /**
   * For the cleaner: takes these full neighbours out, and one cleaned segment in, whose books are filled and whose files (see
   * `cleanedPath`) are complete and synced; its first batch is the header that says which places they stand for. A crash leaves the old ones or the
   * new one. False where the segments have changed meanwhile, by retention or truncation, or the log has ended: the files
   * are removed then. `cleanedEndOffset` is written with it. Rejects with a DiskError; where that is for lack of space, the
   * log goes on with the old segments.
   */
  replaceSegments(old: readonly Segment[], cleaned: Segment, cleanedEndOffset?: number): Promise<boolean> {
    return this.#upkeep.replaceSegments(old, cleaned, cleanedEndOffset);
  }

  /**
   * Removes all entries at or above `endIndex`, which begins a batch. Durable when it resolves; nothing may be appended before.
   * The caller answers for not cutting what is committed.
   */
  async truncateTo(endIndex: number): Promise<void> {
    assert(this.#state === 'open' && this.#failure === undefined, 'a log that can be cut');
    const { table, endIndex: end } = this.#books;
    assert(endIndex >= table.start.index && endIndex <= end, 'a cut within the log');
    if (endIndex === end) return;
    this.#state = 'cutting';
    try {
      await this.#cut(endIndex);
    } catch (error) {
      this.#writer.fail('write', error);
      throw error;
    }
    this.#state = 'open';
  }

  async #cut(endIndex: number): Promise<void> {
    await this.#upkeep.atRest();
    await this.#writer.settledForGood();
    await this.#checkpoints.atRest();
    const place = await this.#search.placeOfIndex(endIndex, this.#books.table);
    this.#reader.forget();
    this.#tail.clear();
    const file = await truncateLog({
      options: this.#options,
      books: this.#books,
      indexes: this.#indexes,
      transactions: this.#transactions,
      checkpoints: this.#checkpoints,
      file: await this.#writer.takeFile(),
      to: { ...place, endIndex },
    });
    const { endOffset } = this.#books;
    this.#writer.restart({ segment: this.#segments.active, file, endIndex, endOffset });
  }

  /** A clean stop: all is written and synced, and the next opening has nothing to check. Rejects with a DiskError where that fails. A log that has failed before is only closed. */
  async flushAndClose(): Promise<void> {
    assert(this.#state === 'open', 'a log is closed once');
    this.#state = 'closed';
    try {
      await this.#upkeep.close();
      if (this.#failure === undefined) {
        await this.#writer.settled();
        await this.#checkpoints.atRest();
        await this.#checkpoints.close();
      }
    } finally {
      await this.#release();
    }
  }

  /** Removes the log: its directory gets a name that ends in `-delete`, then goes. A crash leaves one or the other. */
  async delete(): Promise<void> {
    if (this.#state !== 'closed') {
      this.#state = 'closed';
      await this.#upkeep.close();
      await this.#checkpoints.atRest();
      await this.#release({ isDoomed: true });
    }
    await removeLogDirectory(this.#options);
  }

  #appended(segment: Segment, batch: Buffer, baseOffset: number, entries: number): Appended {
    const baseIndex = this.#books.endIndex;
    this.#books.endIndex += entries;
    this.#writer.append(segment, batch, this.#books.endIndex, this.#books.endOffset);
    this.#checkpoints.maybePlan(segment, this.#books.endIndex);
    return {
      baseOffset,
      lastOffset: this.#books.endOffset - 1,
      baseIndex,
      endIndex: this.#books.endIndex,
      logStartOffset: this.logStartOffset,
    };
  }

  #maybeRollFor(batch: Parameters<typeof mustRoll>[1]): void {
    if (mustRoll(this.#segments.active, batch, this.config, this.#options.clock.wallMs())) this.#roll();
  }

  #roll(): Segment {
    const { endOffset, endIndex } = this.#books;
    const segment = new Segment(this.#options.directory, endOffset, this.#options.clock.wallMs());
    segment.startIndex = endIndex;
    this.#segments.add(segment);
    this.#onRoll?.(endOffset);
    return segment;
  }

  #progressed(): void {
    this.#tail.written(this.#writer.writtenEndOffset);
    const { flushedEndIndex } = this.#writer;
    if (flushedEndIndex > this.#books.table.start.index) {
      const term = this.#books.table.termAt(flushedEndIndex - 1);
      this.#options.floor?.raise({ term, endIndex: flushedEndIndex });
    }
    this.#checkpoints.flushed(flushedEndIndex, (error) => this.#writer.fail('write', error));
    this.#onProgress?.();
  }

  #fail(failure: LogFailure): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#onFailure?.(failure);
  }

  async #release(options: { readonly isDoomed?: boolean } = {}): Promise<void> {
    await this.#writer.close(options);
    this.#tail.clear();
    for (const segment of this.#segments.all) {
      this.#options.readPool.forget(segment);
      await this.#options.readPool.files.forget(segment.path);
    }
  }
}
