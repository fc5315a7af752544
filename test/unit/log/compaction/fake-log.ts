/** A log as the cleaner sees it, on a disk in memory: batches are put into segments by hand. */
import type { AbortedTransaction } from '../../../../broker/log/segments/aborted-transactions.ts';
import type { CleanableLog } from '../../../../broker/log/compaction/cleanable-log.ts';
import type { LogConfig, LogDamage } from '../../../../broker/log/log-types.ts';
import { firstLogStart, PositionTable } from '../../../../broker/log/segments/position-table.ts';
import { encodeRaftOnly } from '../../../../broker/log/raft-only.ts';
import type { RaftOnlyKind } from '../../../../broker/log/raft-only.ts';
import { cleanedPath } from '../../../../broker/log/segments/segment-swap.ts';
import { Segment, segmentFiles, segmentPath } from '../../../../broker/log/segments/segment.ts';
import { readWholeFile } from '../../../../platform/whole-files.ts';
import type { Disk } from '../../../../platform/disk.ts';
import { batchField, setBaseOffset, setPartitionLeaderEpoch } from '../../../../protocol/index.ts';
import { logConfigDefaults } from '../../../support/log-config.ts';

export const term = 3;

export class FakeLog implements CleanableLog {
  readonly directory = '/data/t-0';
  readonly config: LogConfig;
  readonly #disk: Disk;
  #table = new PositionTable(firstLogStart);
  #full: Segment[] = [];
  #active: Segment;
  #activeBatches: Buffer[] = [];
  logStartOffset = 0;
  logEndOffset = 0;
  cleanedEndOffset = 0;
  endIndex = 1;
  readonly aborted: AbortedTransaction[] = [];
  readonly damage: LogDamage[] = [];
  readonly replaced: { readonly bases: number[]; readonly cleanedEndOffset: number | undefined }[] = [];

  private constructor(disk: Disk, config: Partial<LogConfig>) {
    this.#disk = disk;
    this.config = { ...logConfigDefaults, compacts: true, minCleanableDirtyRatio: 0, ...config };
    this.#active = new Segment(this.directory, 0, 0);
  }

  static async open(disk: Disk, config: Partial<LogConfig> = {}): Promise<FakeLog> {
    const log = new FakeLog(disk, config);
    await disk.makeDirectory(log.directory);
    log.appendRaftOnly('term-start');
    return log;
  }

  appendRaftOnly(kind: RaftOnlyKind = 'configuration'): void {
    const entry = { kind, term, index: this.endIndex, offset: this.logEndOffset, payload: Buffer.from('x') };
    const batch = encodeRaftOnly(entry);
    this.#table.add(entry);
    this.endIndex++;
    this.#active.addRaftOnly(batch.length);
    this.#activeBatches.push(batch);
  }

  /** Appends a data or control batch; its base offset. */
  append(batch: Buffer): number {
    const baseOffset = this.logEndOffset;
    setBaseOffset(batch, 0, baseOffset);
    setPartitionLeaderEpoch(batch, 0, term);
    const lastOffset = batchField.lastOffset(batch);
    const maxTimestamp = batchField.maxTimestamp(batch);
    this.#active.addBatch(
      { sizeBytes: batch.length, lastOffset, maxTimestamp },
      this.config.indexIntervalBytes,
    );
    this.#activeBatches.push(batch);
    this.logEndOffset = lastOffset + 1;
    this.endIndex += lastOffset + 1 - baseOffset;
    return baseOffset;
  }

  /** Closes the active segment, if it holds an offset, and begins the next. */
  async roll(): Promise<void> {
    const segment = this.#active;
    if (!segment.holdsOffsets) return;
    segment.completeTimeIndex();
    await this.#write(segment.path, Buffer.concat(this.#activeBatches));
    await this.#write(segment.offsetIndexPath, segment.offsetIndex.bytes());
    await this.#write(segment.timeIndexPath, segment.timeIndex.bytes());
    segment.writtenBytes = segment.appendedBytes;
    segment.flushedBytes = segment.appendedBytes;
    segment.isFull = true;
    this.#full.push(segment);
    this.#active = new Segment(this.directory, this.logEndOffset, 0);
    this.#activeBatches = [];
  }

  async #write(path: string, bytes: Buffer): Promise<void> {
    const file = await this.#disk.open(path, 'create');
    await file.write([bytes], 0);
    await file.sync();
    await file.close();
  }

  /** Takes the oldest segment out, as retention does. */
  removeFirst(): void {
    this.#full.shift()!.isRemoved = true;
  }

  raftOnlyEntries(): readonly { readonly index: number }[] {
    return this.#table.raftOnlyEntries;
  }

  fullSegments(): readonly Segment[] {
    return [...this.#full];
  }

  indexOfOffset(offset: number): number {
    return this.#table.indexOfOffset(offset);
  }

  offsetOfIndex(index: number): number {
    return this.#table.offsetOfIndex(index);
  }

  termAt(index: number): number {
    return this.#table.termAt(index);
  }

  epochAt(offset: number): number {
    return this.#table.epochAt(offset);
  }

  async abortedTransactions(startOffset: number, endOffset: number): Promise<AbortedTransaction[]> {
    return this.aborted.filter((entry) => entry.lastOffset >= startOffset && entry.firstOffset < endOffset);
  }

  reportDamage(damage: LogDamage): void {
    this.damage.push(damage);
  }

  async replaceSegments(
    old: readonly Segment[],
    cleaned: Segment,
    cleanedEndOffset?: number,
  ): Promise<boolean> {
    if (old.some(({ isRemoved }) => isRemoved)) return false;
    const place = this.#full.indexOf(old[0]!);
    for (const segment of old) {
      segment.isRemoved = true;
      for (const kind of segmentFiles) {
        const path = segmentPath(this.directory, segment.baseOffset, kind);
        if (await this.#disk.exists(path)) await this.#disk.remove(path);
      }
    }
    for (const kind of segmentFiles) {
      const from = cleanedPath(this.directory, cleaned.baseOffset, kind);
      const to = segmentPath(this.directory, cleaned.baseOffset, kind);
      if (await this.#disk.exists(from)) await this.#disk.rename(from, to);
    }
    this.#full.splice(place, old.length, cleaned);
    this.replaced.push({ bases: old.map(({ baseOffset }) => baseOffset), cleanedEndOffset });
    if (cleanedEndOffset !== undefined) this.cleanedEndOffset = cleanedEndOffset;
    return true;
  }

  /** The bytes of a full segment. */
  async bytesOf(segment: Segment): Promise<Buffer> {
    return readWholeFile(this.#disk, segment.path);
  }

  /** Names of the files in the log's directory. */
  files(): Promise<string[]> {
    return this.#disk.list(this.directory);
  }
}
