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
import { LogReader } from './log-reader.ts';
import { LogSearch } from './log-search.ts';
import type { HeaderVisitor } from './log-search.ts';
import type {
  Appended,
  FoundRecord,
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
import { SegmentIndexes } from './segment-files.ts';
import { SegmentList } from './segment-list.ts';
import { Segment, relativeOffsetMax } from './segment.ts';
import type { LogTail } from './tail-cache.ts';
import { truncateLog } from './truncation.ts';

export type {
  Appended,
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
export type { PlacedRaftOnlyEntry, RaftOnlyEntry, RaftOnlyKind } from './raft-only.ts';

const empty: LogRead = { parts: [], sizeBytes: 0, release: () => undefined };

export class CommitLog {
  readonly #options: LogOptions;
  readonly #segments: SegmentList;
  readonly #indexes: SegmentIndexes;
  readonly #reader: LogReader;
  readonly #search: LogSearch;
  readonly #writer: LogWriter;
  readonly #checkpoints: Checkpoints;
  readonly #tail: LogTail;
  #table: RecoveredLog['table'];
  #endOffset: number;
  #endIndex: number;
  #failure: LogFailure | undefined;
  #state: 'open' | 'cutting' | 'closed' = 'open';
  #onProgress: (() => void) | undefined;
  #onFailure: ((failure: LogFailure) => void) | undefined;
  #onRoll: ((newBaseOffset: number) => void) | undefined;

  private constructor(options: LogOptions, indexes: SegmentIndexes, recovered: RecoveredLog) {
    this.#options = options;
    this.#indexes = indexes;
    this.#segments = new SegmentList(recovered.segments);
    this.#table = recovered.table;
    this.#endOffset = recovered.endOffset;
    this.#endIndex = recovered.endIndex;
    this.#tail = options.tailCache.openTail();
    this.#reader = new LogReader(this.#segments, indexes, options.readPool);
    this.#search = new LogSearch(this.#segments, indexes, options.readPool);
    this.#checkpoints = new Checkpoints(options, indexes, this.#segments.active);
    this.#writer = new LogWriter(
      {
        disk: options.disk,
        directory: options.directory,
        config: options.config,
        syncer: options.syncer,
        roll: (from, to, startIndex) => this.#checkpoints.roll(from, to, { startIndex, table: this.#table }),
        onProgress: () => this.#progressed(),
        onFailure: (failure) => this.#fail(failure),
      },
      {
        segment: this.#segments.active,
        file: recovered.file,
        endIndex: this.#endIndex,
        endOffset: this.#endOffset,
      },
    );
    const { damage } = recovered.report;
    if (damage !== undefined)
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

  get logStartOffset(): number {
    return this.#table.start.offset;
  }

  get logEndOffset(): number {
    return this.#endOffset;
  }

  /** The Raft index that the next entry takes; 1 in an empty log. */
  get endIndex(): number {
    return this.#endIndex;
  }

  /** Leader epoch of the last entry; 0 in an empty log. */
  get lastTerm(): number {
    return this.#table.lastTerm;
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

  segments(): SegmentInfo[] {
    return this.#segments.all.map(({ baseOffset, endOffset, appendedBytes, totals }) => ({
      baseOffset,
      endOffset,
      sizeBytes: appendedBytes,
      maxTimestamp: totals.maxTimestamp,
    }));
  }

  /** Raft's entries that the log still knows of, oldest first. */
  raftOnlyEntries(): readonly PlacedRaftOnlyEntry[] {
    return this.#table.entries;
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
    const baseOffset = this.#endOffset;
    const lastOffset = baseOffset + offsets - 1;
    const maxTimestamp = batchField.maxTimestamp(batch);
    setBaseOffset(batch, 0, baseOffset);
    setPartitionLeaderEpoch(batch, 0, term);
    if (this.#mustRoll(batch.length, maxTimestamp, lastOffset)) this.#roll();
    const segment = this.#segments.active;
    segment.addBatch(
      { sizeBytes: batch.length, lastOffset, maxTimestamp },
      this.#options.config().indexIntervalBytes,
    );
    this.#tail.add({ buffer: batch, lease, baseOffset, lastOffset });
    this.#endOffset += offsets;
    return this.#appended(segment, batch, baseOffset, offsets);
  }

  /** Appends an entry of Raft's own; a 'term-start' raises the term, the others keep it. */
  appendRaftOnly(entry: RaftOnlyEntry): Appended {
    assert(this.#state === 'open' && this.#failure?.kind !== 'damage', 'a log that takes appends');
    const isInOrder = entry.kind === 'term-start' ? entry.term > this.lastTerm : entry.term === this.lastTerm;
    assert(isInOrder, 'a term begins with a term-start, and has one');
    const placed: PlacedRaftOnlyEntry = { ...entry, index: this.#endIndex, offset: this.#endOffset };
    const batch = encodeRaftOnly(placed);
    if (this.#mustRoll(batch.length, -1, this.#endOffset)) this.#roll();
    const segment = this.#segments.active;
    segment.addRaftOnly(batch.length);
    this.#table.add(placed);
    return this.#appended(segment, batch, this.#endOffset, 1);
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
      request.offset >= this.logStartOffset && request.endOffset <= this.#endOffset,
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
    return this.#table.endOffsetForEpoch(epoch, this.#endOffset);
  }

  epochAt(offset: number): number {
    return this.#table.epochAt(offset);
  }

  termAt(index: number): number {
    return this.#table.termAt(index);
  }

  /** For the end index, the log end offset. */
  offsetOfIndex(index: number): number {
    return this.#table.offsetOfIndex(index);
  }

  indexOfOffset(offset: number): number {
    return this.#table.indexOfOffset(offset);
  }

  /** Visits the header of every batch with an offset at or above this one, control batches too, Raft-only ones not. */
  async scanHeaders(fromOffset: number, visit: HeaderVisitor): Promise<void> {
    await this.#writer.written();
    await this.#search.scanHeaders(fromOffset, visit);
  }

  /**
   * Removes all entries at or above `endIndex`, which begins a batch. Durable when it resolves; nothing may be appended before.
   * The caller answers for not cutting what is committed.
   */
  async truncateTo(endIndex: number): Promise<void> {
    assert(this.#state === 'open' && this.#failure === undefined, 'a log that can be cut');
    assert(endIndex >= this.#table.start.index && endIndex <= this.#endIndex, 'a cut within the log');
    if (endIndex === this.#endIndex) return;
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
    await this.#writer.settledForGood();
    await this.#checkpoints.atRest();
    const place = await this.#search.placeOfIndex(endIndex, this.#table);
    this.#reader.forget();
    this.#tail.clear();
    this.#table = this.#table.upTo(endIndex);
    const endOffset = this.#table.offsetOfIndex(endIndex);
    const file = await truncateLog({
      options: this.#options,
      segments: this.#segments,
      indexes: this.#indexes,
      file: await this.#writer.takeFile(),
      to: { ...place, endIndex, endOffset, table: this.#table },
    });
    this.#endIndex = endIndex;
    this.#endOffset = endOffset;
    this.#checkpoints.restart(this.#segments.active);
    this.#writer.restart({ segment: this.#segments.active, file, endIndex, endOffset });
  }

  /** A clean stop: all is written and synced, and the next opening has nothing to check. Rejects with a DiskError where that fails. A log that has failed before is only closed. */
  async flushAndClose(): Promise<void> {
    assert(this.#state === 'open', 'a log is closed once');
    this.#state = 'closed';
    try {
      if (this.#failure === undefined) {
        await this.#writer.settled();
        await this.#checkpoints.atRest();
        await this.#checkpoints.close(this.#table, this.#segments.active, this.#endIndex);
      }
    } finally {
      await this.#release();
    }
  }

  /** Removes the log: its directory gets a name that ends in `-delete`, then goes. A crash leaves one or the other. */
  async delete(): Promise<void> {
    const { disk, directory, floor, syncer } = this.#options;
    if (this.#state !== 'closed') {
      this.#state = 'closed';
      await this.#checkpoints.atRest();
      await this.#release({ isDoomed: true });
    }
    await floor?.forget();
    const parent = directory.slice(0, Math.max(1, directory.lastIndexOf('/')));
    const doomed = await this.#doomedName(parent);
    await disk.rename(directory, doomed);
    await disk.syncDirectory(parent);
    // After the new name is durable: a start between the two finds no file of the old name to write into.
    await syncer.discard(directory.slice(parent.length + 1));
    await disk.removeDirectory(doomed);
    await disk.syncDirectory(parent);
  }

  /** A free name. Of a long one the end is kept, where the partition stands: a file's name has 255 bytes at most. */
  async #doomedName(parent: string): Promise<string> {
    const { disk, directory, clock } = this.#options;
    const name = directory.slice(directory.lastIndexOf('/') + 1);
    for (let stamp = clock.wallMs(); ; stamp++) {
      const ending = `.${stamp.toString(36)}-delete`;
      const doomed = `${parent}/${name.slice(Math.max(0, name.length + ending.length - 255))}${ending}`;
      if (!(await disk.exists(doomed))) return doomed;
    }
  }

  #appended(segment: Segment, batch: Buffer, baseOffset: number, entries: number): Appended {
    const baseIndex = this.#endIndex;
    this.#endIndex += entries;
    this.#writer.append(segment, batch, this.#endIndex, this.#endOffset);
    this.#checkpoints.maybePlan(segment, this.#endIndex);
    return {
      baseOffset,
      lastOffset: this.#endOffset - 1,
      baseIndex,
      endIndex: this.#endIndex,
      logStartOffset: this.logStartOffset,
    };
  }

  /** Kafka's rules, and that a segment that holds no offset does not roll. */
  #mustRoll(sizeBytes: number, maxTimestamp: number, lastOffset: number): boolean {
    const segment = this.#segments.active;
    if (!segment.holdsOffsets) return false;
    const { segmentBytes, segmentMs, segmentIndexBytes } = this.#options.config();
    if (segment.appendedBytes + sizeBytes > segmentBytes) return true;
    if (lastOffset - segment.baseOffset > relativeOffsetMax) return true;
    const indexBytes = Math.max(segment.offsetIndex.sizeBytes, segment.timeIndex.sizeBytes);
    if (indexBytes + 24 > segmentIndexBytes) return true;
    const { firstTimestamp, createdMs } = segment.totals;
    if (firstTimestamp >= 0) return maxTimestamp - firstTimestamp > segmentMs;
    return this.#options.clock.wallMs() - createdMs > segmentMs;
  }

  #roll(): void {
    const segment = new Segment(this.#options.directory, this.#endOffset, this.#options.clock.wallMs());
    this.#segments.add(segment);
    this.#onRoll?.(this.#endOffset);
  }

  #progressed(): void {
    this.#tail.written(this.#writer.writtenEndOffset);
    const { flushedEndIndex } = this.#writer;
    if (flushedEndIndex > this.#table.start.index) {
      this.#options.floor?.raise({
        term: this.#table.termAt(flushedEndIndex - 1),
        endIndex: flushedEndIndex,
      });
    }
    this.#checkpoints.flushed(flushedEndIndex, this.#table, (error) => this.#writer.fail('write', error));
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
