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
import { DiskError } from '../../platform/disk.ts';
import { batchField, setBaseOffset, setPartitionLeaderEpoch } from '../../protocol/index.ts';
import type { AbortedTransaction } from './segments/aborted-transactions.ts';
import type { HeaderVisitor } from './reading/log-search.ts';
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
import { LiveParts, indexesOf } from './log-parts.ts';
import type { LogParts } from './log-parts.ts';
import type { PlacedRaftOnlyEntry, RaftOnlyEntry } from './raft-only.ts';
import { encodeRaftOnly } from './raft-only.ts';
import { recoverLog } from './recovery/recovery.ts';
import type { RecoveredLog } from './recovery/recovery.ts';
import { copyOf } from './log-copy.ts';
import type { LogCopy } from './log-copy.ts';
import { removeLogDirectory } from './log-removal.ts';
import { isNotCommitted, stagingDirectory } from './log-replacement.ts';
import type { LogReplacement } from './log-replacement.ts';
import { mustRoll } from './retention.ts';
import type { SegmentIndexes } from './segments/segment-files.ts';
import { Segment } from './segments/segment.ts';
import { truncateLog } from './truncation.ts';

export type * from './log-types.ts';
export type { PlacedRaftOnlyEntry, RaftOnlyEntry, RaftOnlyKind } from './raft-only.ts';

const empty: LogRead = { parts: [], sizeBytes: 0, release: () => undefined };

export class CommitLog {
  readonly #options: LogOptions;
  readonly #live: LiveParts;
  #damage: LogDamage[] = [];
  #failure: LogFailure | undefined;
  #state: 'open' | 'cutting' | 'closed' = 'open';
  #onProgress: (() => void) | undefined;
  #onFailure: ((failure: LogFailure) => void) | undefined;
  #onRoll: ((newBaseOffset: number) => void) | undefined;

  private constructor(options: LogOptions, indexes: SegmentIndexes, recovered: RecoveredLog) {
    this.#options = options;
    this.#live = new LiveParts(options, indexes, recovered, {
      onProgress: () => this.#progressed(),
      onFailure: (failure) => this.#fail(failure),
      beginSegment: () => this.#roll(),
      isOpen: () => this.#state === 'open' && this.#failure === undefined,
    });
    this.#take(recovered.report);
  }

  /**
   * Recovers the log; what it holds is synced before this resolves. Rejects with a DiskError only: what is wrong with the
   * bytes is in the report. A damaged log opens for reading up to the damage, and takes no appends. `doubtedOffset`: see recoverLog.
   */
  static async open(
    options: LogOptions,
    doubtedOffset?: number,
  ): Promise<{ log: CommitLog; recovery: RecoveryReport }> {
    const indexes = indexesOf(options);
    const recovered = await recoverLog(options, indexes, doubtedOffset);
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
    return this.#parts.books.logStartOffset;
  }

  /** First dirty offset: all full segments below it have been cleaned. Durable; steps back in a truncation only. */
  get cleanedEndOffset(): number {
    return this.#parts.books.cleanedEndOffset;
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
    return this.#parts.upkeep.remakeIndexes(segment);
  }

  get logEndOffset(): number {
    return this.#parts.books.endOffset;
  }

  /** The Raft index that the next entry takes; 1 in an empty log. */
  get endIndex(): number {
    return this.#parts.books.endIndex;
  }

  /** Leader epoch of the last entry; 0 in an empty log. */
  get lastTerm(): number {
    return this.#parts.books.table.lastTerm;
  }

  /** What has been handed to the operating system. */
  get writtenEndIndex(): number {
    return this.#parts.writer.writtenEndIndex;
  }

  /** What has been synced. */
  get flushedEndIndex(): number {
    return this.#parts.writer.flushedEndIndex;
  }

  /** What may be acknowledged, as far as this log goes: what is flushed, or under `write.caching` what is written. */
  get ackableEndIndex(): number {
    return this.#parts.writer.ackableEndIndex;
  }

  /** Bytes appended and not yet written: what back-pressure goes by. */
  get queuedBytes(): number {
    return this.#parts.writer.queuedBytes;
  }

  get sizeBytes(): number {
    return this.#parts.segments.sizeBytes;
  }

  get segmentCount(): number {
    return this.#parts.segments.count;
  }

  /** Set once the log takes no appends any more. */
  get failure(): LogFailure | undefined {
    return this.#failure;
  }

  /** Closed ones, oldest first; never the one that is appended to. */
  fullSegments(): readonly Segment[] {
    return this.#parts.segments.full;
  }

  /** All, oldest first; the last is appended to. */
  allSegments(): readonly Segment[] {
    return this.#parts.segments.all;
  }

  segments(): SegmentInfo[] {
    return this.#parts.segments.infos();
  }

  /** Raft's entries that the log still knows of, oldest first. */
  raftOnlyEntries(): readonly PlacedRaftOnlyEntry[] {
    return this.#parts.books.table.raftOnlyEntries;
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
    const baseOffset = this.#parts.books.endOffset;
    const lastOffset = baseOffset + offsets - 1;
    const maxTimestamp = batchField.maxTimestamp(batch);
    setBaseOffset(batch, 0, baseOffset);
    setPartitionLeaderEpoch(batch, 0, term);
    this.#maybeRollFor({ sizeBytes: batch.length, maxTimestamp, lastOffset });
    const segment = this.#parts.segments.active;
    const span = { sizeBytes: batch.length, lastOffset, maxTimestamp };
    segment.addBatch(span, this.config.indexIntervalBytes);
    this.#live.tail.add({ buffer: batch, lease, baseOffset, lastOffset });
    this.#parts.books.endOffset += offsets;
    return this.#appended(segment, batch, baseOffset, offsets);
  }

  /** Appends an entry of Raft's own; a 'term-start' raises the term, the others keep it. */
  appendRaftOnly(entry: RaftOnlyEntry): Appended {
    assert(this.#state === 'open' && this.#failure?.kind !== 'damage', 'a log that takes appends');
    const isInOrder = entry.kind === 'term-start' ? entry.term > this.lastTerm : entry.term === this.lastTerm;
    assert(isInOrder, 'a term begins with a term-start, and has one');
    const placed: PlacedRaftOnlyEntry = {
      ...entry,
      index: this.#parts.books.endIndex,
      offset: this.#parts.books.endOffset,
    };
    const batch = encodeRaftOnly(placed);
    this.#maybeRollFor({ sizeBytes: batch.length, maxTimestamp: -1, lastOffset: placed.offset });
    const segment = this.#parts.segments.active;
    segment.addRaftOnly(batch.length);
    this.#parts.books.table.add(placed);
    return this.#appended(segment, batch, this.#parts.books.endOffset, 1);
  }

  /** The one listener is called, never from within `append`, when the written or the flushed end has moved. */
  onProgress(listener: () => void): void {
    this.#onProgress = listener;
  }

  /** Asks for a sync that covers all that is appended now: at once, or as `flush.messages` and `flush.ms` say under `write.caching`. */
  requestSync(): void {
    this.#parts.writer.requestSync();
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
      request.offset >= this.logStartOffset && request.endOffset <= this.#parts.books.endOffset,
      'a read within the log',
    );
    if (request.offset >= request.endOffset) return empty;
    return this.#live.tail.read(request) ?? this.#live.read(request);
  }

  /** The first record below `endOffset` with this timestamp or a later one. Rejects with a DiskError. */
  async offsetForTimestamp(timestamp: number, endOffset: number): Promise<FoundRecord | undefined> {
    await this.#parts.writer.written();
    return this.#parts.search.offsetForTimestamp(timestamp, this.logStartOffset, endOffset);
  }

  /** The first record below `endOffset` among those with the largest timestamp. Rejects with a DiskError. */
  async maxTimestamp(endOffset: number): Promise<FoundRecord | undefined> {
    await this.#parts.writer.written();
    return this.#parts.search.maxTimestamp(this.logStartOffset, endOffset);
  }

  /** For OffsetForLeaderEpoch; see PositionTable. */
  endOffsetForEpoch(epoch: number): { epoch: number; endOffset: number } | undefined {
    return this.#parts.books.table.endOffsetForEpoch(epoch, this.#parts.books.endOffset);
  }

  epochAt(offset: number): number {
    return this.#parts.books.table.epochAt(offset);
  }

  termAt(index: number): number {
    return this.#parts.books.table.termAt(index);
  }

  /** For the end index, the log end offset. */
  offsetOfIndex(index: number): number {
    return this.#parts.books.table.offsetOfIndex(index);
  }

  indexOfOffset(offset: number): number {
    return this.#parts.books.table.indexOfOffset(offset);
  }

  /** Aborted transactions with offsets in [fetchOffset, endOffset), ascending by marker. Rejects with a DamagedTransactionIndex or a DiskError. */
  async abortedTransactions(fetchOffset: number, endOffset: number): Promise<AbortedTransaction[]> {
    const segments = () => this.#parts.segments.all.slice(this.#parts.segments.placeOf(fetchOffset));
    return this.#parts.search.undisturbed(() =>
      this.#parts.transactions.collect(segments(), fetchOffset, endOffset),
    );
  }

  /** Visits the header of every batch with an offset at or above this one, control batches too, Raft-only ones not; each is checked. Rejects with a DamagedSegment or a DiskError. */
  async scanHeaders(fromOffset: number, visit: HeaderVisitor): Promise<void> {
    await this.#parts.writer.written();
    await this.#parts.search.scanHeaders(fromOffset, this.#parts.books.table, visit);
  }

  /**
   * Raises the log start, durably when it resolves: no read may begin below it any more. Full segments wholly below it are
   * taken out, and their files removed after `file.delete.delay.ms`. At or below the present start it does nothing. The caller answers
   * for not going above the high watermark. A log being cut or closed, or failed, stays as it is. Rejects with a DiskError; for lack of space, the log goes on as it was.
   */
  advanceLogStart(offset: number): Promise<void> {
    return this.#parts.upkeep.advanceLogStart(offset);
  }

  /**
   * Kafka's retention, by time and size, and what is below the log start: deletes full segments that end at or below
   * `limitOffset`, the high watermark. First rolls the active segment where `segment.ms` has passed on the wall clock, or where
   * all of it is past retention. As `advanceLogStart` otherwise.
   */
  deleteOldSegments(limitOffset: number): Promise<readonly DeletedSegments[]> {
    return this.#parts.upkeep.deleteOldSegments(limitOffset);
  }

  /** Rolls the active segment where `segment.ms` (when compacted, `max.compaction.lag.ms` if less) has passed on the wall clock; says whether it did. */
  maybeRoll(): Promise<boolean> {
    return this.#parts.upkeep.maybeRoll();
  }

  /**
   * For the cleaner: takes these full neighbours out, and one cleaned segment in, whose books are filled and whose files (see
   * `cleanedPath`) are complete and synced; its first batch is the header that says which places they stand for. A crash leaves the old ones or the
   * new one. False where the segments have changed meanwhile, by retention or truncation, or the log has ended: the files
   * are removed then. `cleanedEndOffset` is written with it. Rejects with a DiskError; where that is for lack of space, the
   * log goes on with the old segments.
   */
  replaceSegments(old: readonly Segment[], cleaned: Segment, cleanedEndOffset?: number): Promise<boolean> {
    return this.#parts.upkeep.replaceSegments(old, cleaned, cleanedEndOffset);
  }

  /**
   * Removes all entries at or above `endIndex`, which begins a batch. Durable when it resolves; nothing may be appended before.
   * The caller answers for not cutting what is committed.
   */
  async truncateTo(endIndex: number): Promise<void> {
    assert(this.#state === 'open' && this.#failure === undefined, 'a log that can be cut');
    const { table, endIndex: end } = this.#parts.books;
    assert(endIndex >= table.start.index && endIndex <= end, 'a cut within the log');
    if (endIndex === end) return;
    this.#state = 'cutting';
    try {
      await this.#cut(endIndex);
    } catch (error) {
      this.#parts.writer.fail('write', error);
      throw error;
    }
    this.#state = 'open';
  }

  async #cut(endIndex: number): Promise<void> {
    const { books, segments, search, upkeep, writer, ...parts } = this.#parts;
    await upkeep.atRest();
    await writer.settledForGood();
    await parts.checkpoints.atRest();
    const place = await search.placeOfIndex(endIndex, books.table);
    parts.reader.forget();
    this.#live.tail.clear();
    const file = await truncateLog({
      ...parts,
      options: this.#options,
      books,
      file: await writer.takeFile(),
      to: { ...place, endIndex },
    });
    writer.restart({ segment: segments.active, file, endIndex, endOffset: books.endOffset });
  }

  /** Up to `endIndex`, or the end of the batch that holds it. Undefined where that is not durable, or segments keep changing. Rejects with a DiskError. */
  copyUpTo(endIndex: number): Promise<LogCopy | undefined> {
    return copyOf(this.#options, this.#parts, endIndex);
  }

  /** Resolves when all that is appended now is durable. */
  flushed(): Promise<void> {
    return this.#parts.writer.flushed();
  }

  /** Opens what lies in `catch-up/` as a log, which so is checked. Nothing that is open may lie there already. */
  openStaged(): ReturnType<typeof CommitLog.open> {
    const { floor: _, ...options } = this.#options;
    return CommitLog.open({ ...options, directory: stagingDirectory(this.directory) });
  }

  /**
   * Puts the log whose files lie in `catch-up/`, whole and synced, in the place of this one. Nothing may be appended before it
   * resolves. Rejects with a DiskError: the log goes on as it was where there was no space to begin, and has failed otherwise.
   */
  async replaceBy(replacement: LogReplacement): Promise<void> {
    assert(this.#state === 'open' && (this.#failure?.kind ?? 'damage') === 'damage', 'a log that lives');
    this.#state = 'cutting';
    try {
      this.#take(await this.#live.replaceBy(replacement, this.#failure === undefined));
    } catch (error) {
      if (!isNotCommitted(error, this.directory)) this.#failBy(error);
      throw error;
    } finally {
      this.#state = 'open';
    }
  }

  /** A clean stop: all is written and synced, and the next opening has nothing to check. Rejects with a DiskError where that fails. A log that has failed before is only closed. */
  async flushAndClose(): Promise<void> {
    assert(this.#state === 'open', 'a log is closed once');
    this.#state = 'closed';
    try {
      await this.#parts.upkeep.close();
      if (this.#failure === undefined) {
        await this.#parts.writer.settled();
        await this.#parts.checkpoints.atRest();
        await this.#parts.checkpoints.close();
      }
    } finally {
      await this.#live.release();
    }
  }

  /** Removes the log: its directory gets a name that ends in `-delete`, then goes. A crash leaves one or the other. */
  async delete(): Promise<void> {
    if (this.#state !== 'closed') {
      this.#state = 'closed';
      await this.#parts.upkeep.close();
      await this.#parts.checkpoints.atRest();
      await this.#live.release({ isDoomed: true });
    }
    await removeLogDirectory(this.#options);
  }

  #appended(segment: Segment, batch: Buffer, baseOffset: number, entries: number): Appended {
    const baseIndex = this.#parts.books.endIndex;
    this.#parts.books.endIndex += entries;
    this.#parts.writer.append(segment, batch, this.#parts.books.endIndex, this.#parts.books.endOffset);
    this.#parts.checkpoints.maybePlan(segment, this.#parts.books.endIndex);
    return {
      baseOffset,
      lastOffset: this.#parts.books.endOffset - 1,
      baseIndex,
      endIndex: this.#parts.books.endIndex,
      logStartOffset: this.logStartOffset,
    };
  }

  #maybeRollFor(batch: Parameters<typeof mustRoll>[1]): void {
    if (mustRoll(this.#parts.segments.active, batch, this.config, this.#options.clock.wallMs())) this.#roll();
  }

  #roll(): Segment {
    const { endOffset, endIndex } = this.#parts.books;
    const segment = new Segment(this.#options.directory, endOffset, this.#options.clock.wallMs());
    segment.startIndex = endIndex;
    this.#parts.segments.add(segment);
    this.#onRoll?.(endOffset);
    return segment;
  }

  #progressed(): void {
    this.#live.tail.written(this.#parts.writer.writtenEndOffset);
    const { flushedEndIndex } = this.#parts.writer;
    if (flushedEndIndex > this.#parts.books.table.start.index) {
      const term = this.#parts.books.table.termAt(flushedEndIndex - 1);
      this.#options.floor?.raise({ term, endIndex: flushedEndIndex });
    }
    this.#parts.checkpoints.flushed(flushedEndIndex, (error) => this.#parts.writer.fail('write', error));
    this.#onProgress?.();
  }

  get #parts(): LogParts {
    return this.#live.current;
  }

  #take({ damage }: RecoveryReport): void {
    this.#damage = damage === undefined ? [] : [damage];
    this.#failure = damage && { kind: 'damage', code: 'corrupt', directory: this.directory, cause: damage };
  }

  #failBy(cause: unknown): void {
    const code = cause instanceof DiskError ? cause.code : 'unknown';
    if (this.#failure?.kind === 'damage') this.#failure = undefined;
    this.#fail({ kind: 'write', code, directory: this.directory, cause });
  }

  #fail(failure: LogFailure): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#onFailure?.(failure);
  }
}
