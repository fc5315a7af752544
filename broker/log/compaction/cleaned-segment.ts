/**
 * Writes the one segment that takes the place of a group of others: `<base>.log.cleaned` with its indexes beside it, complete
 * and synced when `finish` resolves (storage-format.md, "Cleaned segments"). Until it has been swapped in, the files mean
 * nothing, and recovery removes them. Batches are made in the writer's own buffer, so that what stays is copied once.
 */
import { assert } from '../../../platform/assert.ts';
import { DiskError } from '../../../platform/disk.ts';
import type { Disk, DiskFile } from '../../../platform/disk.ts';
import { encodeAbortedTransactions } from '../segments/aborted-transactions.ts';
import type { AbortedTransaction } from '../segments/aborted-transactions.ts';
import { CleanedCover, cleanedHeaderBytes, encodeCleanedHeader } from '../segments/cleaned-header.ts';
import type { CleanedSpan } from '../log-types.ts';
import { accountFor } from '../segments/segment-files.ts';
import { cleanedPath } from '../segments/segment-swap.ts';
import { Segment, segmentFiles } from '../segments/segment.ts';
import type { SegmentFile } from '../segments/segment.ts';

export interface CleanedSegmentOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly baseOffset: number;
  readonly createdMs: number;
  readonly indexIntervalBytes: number;
  /** Of one write. */
  readonly chunkBytes: number;
}

/** Between syncs of the new file: one sync of all at the end would hold up those of live logs for too long. */
const syncIntervalBytes = 16 * 1024 * 1024;
/** Positions in index entries are int32. */
const sizeBytesMax = 2 ** 31 - 1;

export class CleanedSegment {
  readonly #options: CleanedSegmentOptions;
  readonly #segment: Segment;
  readonly #file: DiskFile;
  readonly #cover = new CleanedCover();
  readonly #aborted: AbortedTransaction[] = [];
  #buffer: Buffer;
  #filled = cleanedHeaderBytes;
  #flushedBytes = 0;
  #syncedBytes = 0;
  #isOpen = true;

  private constructor(options: CleanedSegmentOptions, file: DiskFile) {
    this.#options = options;
    this.#file = file;
    this.#segment = new Segment(options.directory, options.baseOffset, options.createdMs);
    this.#segment.addRaftOnly(cleanedHeaderBytes);
    this.#buffer = Buffer.alloc(options.chunkBytes + cleanedHeaderBytes);
  }

  /** Rejects with a DiskError. */
  static async create(options: CleanedSegmentOptions): Promise<CleanedSegment> {
    await removeFiles(options);
    const path = cleanedPath(options.directory, options.baseOffset, 'log');
    return new CleanedSegment(options, await options.disk.open(path, 'create'));
  }

  get sizeBytes(): number {
    return this.#segment.appendedBytes;
  }

  /** Where the next batch is to be made, at `end`, once there is room for it. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  get end(): number {
    return this.#filled;
  }

  /** Whether `flush` should be called before more is added. */
  get isFlushDue(): boolean {
    return this.#filled >= this.#options.chunkBytes;
  }

  /** Makes room for a batch of up to so many bytes in `buffer`. */
  makeRoom(sizeBytes: number): void {
    if (this.#filled + sizeBytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(this.#filled + sizeBytes);
    this.#buffer.copy(larger, 0, 0, this.#filled);
    this.#buffer = larger;
  }

  /** Takes the batch that has been made at `end`: complete, with its CRC. */
  add(sizeBytes: number): void {
    const buffer = this.#buffer;
    const at = this.#filled;
    assert(this.#segment.appendedBytes + sizeBytes <= sizeBytesMax, 'a cleaned segment stays below 2 GiB');
    const batch = { buffer, at, position: this.#segment.appendedBytes, sizeBytes };
    accountFor(this.#segment, batch, this.#options.indexIntervalBytes);
    this.#cover.add(buffer, at);
    this.#filled = at + sizeBytes;
  }

  /** Takes a batch as it is. */
  copy(source: Buffer, at: number, sizeBytes: number): void {
    this.makeRoom(sizeBytes);
    source.copy(this.#buffer, this.#filled, at, at + sizeBytes);
    this.add(sizeBytes);
  }

  /** The marker of this transaction stays. In the order of markers. */
  keepAborted(transaction: AbortedTransaction): void {
    this.#aborted.push(transaction);
  }

  /** Hands what has been made to the disk; the number of bytes. Rejects with a DiskError. */
  async flush(): Promise<number> {
    const sizeBytes = this.#filled;
    if (sizeBytes === 0) return 0;
    await this.#file.write([this.#buffer.subarray(0, sizeBytes)], this.#flushedBytes);
    this.#flushedBytes += sizeBytes;
    this.#filled = 0;
    if (this.#buffer.length > 2 * this.#options.chunkBytes) {
      this.#buffer = Buffer.allocUnsafeSlow(this.#options.chunkBytes + cleanedHeaderBytes);
    }
    if (this.#flushedBytes - this.#syncedBytes >= syncIntervalBytes) {
      await this.#file.sync();
      this.#syncedBytes = this.#flushedBytes;
    }
    return sizeBytes;
  }

  /** Writes the header and the indexes, and syncs all. Rejects with a DiskError. */
  async finish(span: CleanedSpan): Promise<Segment> {
    const segment = this.#segment;
    await this.flush();
    await this.#file.write([encodeCleanedHeader(span, this.#cover)], 0);
    await this.#file.sync();
    this.#isOpen = false;
    await this.#file.close();
    segment.completeTimeIndex();
    await this.#writeSynced('index', segment.offsetIndex.bytes());
    await this.#writeSynced('timeindex', segment.timeIndex.bytes());
    if (this.#aborted.length > 0) {
      await this.#writeSynced('txnindex', encodeAbortedTransactions(this.#aborted));
    }
    segment.endOffset = span.endOffset;
    segment.startIndex = span.startIndex;
    segment.writtenBytes = segment.appendedBytes;
    segment.flushedBytes = segment.appendedBytes;
    segment.offsetIndexFileBytes = segment.offsetIndex.sizeBytes;
    segment.timeIndexFileBytes = segment.timeIndex.sizeBytes;
    segment.indexCrc = segment.presentIndexCrc;
    segment.isCleaned = true;
    segment.isFull = true;
    segment.unloadIndexes();
    return segment;
  }

  async #writeSynced(kind: SegmentFile, bytes: Buffer): Promise<void> {
    const { disk, directory, baseOffset } = this.#options;
    const file = await disk.open(cleanedPath(directory, baseOffset, kind), 'create');
    try {
      await file.write([bytes], 0);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Leaves nothing behind. Where the disk refuses even that, the next cleaning or recovery removes the files. */
  async discard(): Promise<void> {
    try {
      if (this.#isOpen) await this.#file.close();
      await removeFiles(this.#options);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }
}

async function removeFiles({ disk, directory, baseOffset }: CleanedSegmentOptions): Promise<void> {
  for (const kind of segmentFiles) {
    const path = cleanedPath(directory, baseOffset, kind);
    if (await disk.exists(path)) await disk.remove(path);
  }
}
