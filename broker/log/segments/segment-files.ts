/**
 * Index files of a log's segments. While a segment is appended to, its indexes live in memory; their files follow at each
 * checkpoint, when it rolls and on a clean stop, always synced. What they lack after a crash is rebuilt from the `.log`.
 */
import { DiskError } from '../../../platform/disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import { batchField, crc32c } from '../../../protocol/index.ts';
import { replaceFile } from '../../../platform/whole-files.ts';
import { scanBatches } from '../reading/batch-scan.ts';
import type { ScannedBatch } from '../reading/batch-scan.ts';
import { isRaftOnly } from '../raft-only.ts';
import type { ReadPool } from '../reading/read-pool.ts';
import { OffsetIndex, TimeIndex, timeEntryBytes } from './segment-indexes.ts';
import { Segment } from './segment.ts';

const scanChunkBytes = 1024 * 1024;

export interface IndexPair {
  readonly offsetIndex: OffsetIndex;
  readonly timeIndex: TimeIndex;
}

export class SegmentIndexes {
  readonly #disk: Disk;
  readonly #pool: ReadPool;
  readonly #indexIntervalBytes: () => number;
  /** Made with its first one. */
  #bringingIn: Map<Segment, Promise<void>> | undefined;

  constructor(disk: Disk, pool: ReadPool, indexIntervalBytes: () => number) {
    this.#disk = disk;
    this.#pool = pool;
    this.#indexIntervalBytes = indexIntervalBytes;
  }

  /** A segment's indexes, from memory or from their files; where those do not fit the segment, made anew from it. */
  async of(segment: Segment): Promise<IndexPair> {
    if (!segment.hasIndexes) await this.#bringIn(segment);
    if (segment.isFull && !segment.isPinned && !segment.isRemoved) this.#pool.indexes.used(segment);
    return segment;
  }

  /** Keeps a full segment's indexes in memory until `unpin`: its files are about to become others. Nothing is written to them. */
  async pin(segment: Segment): Promise<void> {
    segment.isPinned = true;
    await this.of(segment);
    this.#pool.indexes.forget(segment);
    await this.settled([segment]);
  }

  unpin(segments: readonly Segment[]): void {
    for (const segment of segments) {
      if (!segment.isPinned) continue;
      segment.isPinned = false;
      if (!segment.isRemoved && segment.hasIndexes) this.#pool.indexes.used(segment);
    }
  }

  /** Resolves when none of these segments' index files is being made again. */
  async settled(segments: readonly Segment[]): Promise<void> {
    for (const segment of segments) await this.#bringingIn?.get(segment);
  }

  /** Once for all who ask at the same time. */
  async #bringIn(segment: Segment): Promise<void> {
    let bringing = this.#bringingIn?.get(segment);
    if (bringing === undefined) {
      bringing = this.#load(segment).finally(() => this.#bringingIn?.delete(segment));
      (this.#bringingIn ??= new Map()).set(segment, bringing);
    }
    await bringing;
  }

  async #load(segment: Segment): Promise<void> {
    const loaded = await loadIndexes(this.#disk, segment, {
      offsetIndexBytes: segment.offsetIndexFileBytes,
      timeIndexBytes: segment.timeIndexFileBytes,
      indexCrc: segment.indexCrc,
      isAtEnd: true,
    });
    if (loaded === undefined) await this.rebuild(segment);
    else segment.setIndexes(loaded.offsetIndex, loaded.timeIndex);
  }

  /**
   * A full segment's index files are not what was written: makes them again, whether or not the indexes are in memory. The
   * caller sees to it that the segment stays in its log meanwhile. Rejects with a DiskError.
   */
  async remake(segment: Segment): Promise<void> {
    await this.settled([segment]);
    const remaking = this.rebuild(segment).finally(() => this.#bringingIn?.delete(segment));
    (this.#bringingIn ??= new Map()).set(segment, remaking);
    await remaking;
    this.#pool.indexes.used(segment);
  }

  /**
   * Brings the index files of the segment that is appended to up to these sizes of what is in memory, and syncs them. One without
   * entries is not made: most logs of a node with many have none. The directory is not synced.
   */
  async write(segment: Segment, offsetIndexBytes: number, timeIndexBytes: number): Promise<void> {
    if (offsetIndexBytes > 0) await this.#writeOffsets(segment, offsetIndexBytes);
    if (timeIndexBytes > 0) await this.#writeTimes(segment, timeIndexBytes);
  }

  async #writeOffsets(segment: Segment, sizeBytes: number): Promise<void> {
    const { offsetIndex, offsetIndexFileBytes } = segment;
    const bytes = part(offsetIndex.bytes(offsetIndexFileBytes), sizeBytes - offsetIndexFileBytes);
    await this.#append(segment.offsetIndexPath, bytes, offsetIndexFileBytes);
    segment.offsetIndexFileBytes += bytes.length;
  }

  async #writeTimes(segment: Segment, sizeBytes: number): Promise<void> {
    const { timeIndex, timeIndexFileBytes } = segment;
    const bytes = part(timeIndex.bytes(timeIndexFileBytes), sizeBytes - timeIndexFileBytes);
    await this.#append(segment.timeIndexPath, bytes, timeIndexFileBytes);
    segment.timeIndexFileBytes += bytes.length;
  }

  /** All of both indexes, with the time index's last entry: the segment is full, or the log closes. */
  async complete(segment: Segment): Promise<void> {
    segment.completeTimeIndex();
    segment.indexCrc = segment.presentIndexCrc;
    await this.#writeOffsets(segment, segment.offsetIndex.sizeBytes);
    await this.#writeTimes(segment, segment.timeIndex.sizeBytes);
  }

  /** Makes both files again where one is missing. One whose indexes are in memory has just had them written. */
  async ensureFiles(segment: Segment | undefined): Promise<void> {
    if (segment === undefined || segment.hasIndexes) return;
    for (const path of [segment.offsetIndexPath, segment.timeIndexPath]) {
      if ((await this.#disk.sizeOf(path)) !== undefined) continue;
      await this.rebuild(segment);
      return;
    }
  }

  /** Cuts both files to what is in memory now, after a recovery or a truncation. */
  async cutFiles(segment: Segment): Promise<void> {
    const sizes = [
      { path: segment.offsetIndexPath, sizeBytes: segment.offsetIndexFileBytes },
      { path: segment.timeIndexPath, sizeBytes: segment.timeIndexFileBytes },
    ];
    for (const { path, sizeBytes } of sizes) {
      if (((await this.#disk.sizeOf(path)) ?? 0) === sizeBytes) continue;
      const file = await this.#disk.open(path, 'create');
      try {
        if ((await file.size()) !== sizeBytes) {
          await file.truncate(sizeBytes);
          await file.sync();
        }
      } finally {
        await file.close();
      }
    }
  }

  async #append(path: string, bytes: Buffer, position: number): Promise<void> {
    const file = await this.#disk.open(path, 'create');
    try {
      if (bytes.length > 0) await file.write([bytes], position);
      // Without new entries too: a process that died may have cut the file without a sync.
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** The files are lost or damaged: one pass over the segment makes them again. A segment that was taken out gets none. */
  async rebuild(segment: Segment): Promise<void> {
    const copy = new Segment(segment.directory, segment.baseOffset, 0);
    const lease = await this.#pool.files.lease(segment.path);
    try {
      const range = { from: 0, to: segment.writtenBytes, chunkBytes: scanChunkBytes };
      await scanBatches(lease.file, range, (batch) => {
        accountFor(copy, batch, this.#indexIntervalBytes());
        return undefined;
      });
    } finally {
      lease.release();
    }
    if (segment.isFull) copy.completeTimeIndex();
    segment.setIndexes(copy.offsetIndex, copy.timeIndex);
    if (segment.isRemoved) return;
    // Whole or not at all: of a full segment nobody would know that its index files had been cut short.
    await this.#replace(segment.offsetIndexPath, copy.offsetIndex.bytes());
    await this.#replace(segment.timeIndexPath, copy.timeIndex.bytes());
    segment.offsetIndexFileBytes = copy.offsetIndex.sizeBytes;
    segment.timeIndexFileBytes = copy.timeIndex.sizeBytes;
    segment.indexCrc = copy.presentIndexCrc;
  }

  async #replace(path: string, bytes: Buffer): Promise<void> {
    const slash = path.lastIndexOf('/');
    await replaceFile(this.#disk, path.slice(0, slash), path.slice(slash + 1), bytes);
  }
}

/** A copy: what an index has in memory moves as it grows. */
function part(bytes: Buffer, sizeBytes: number): Buffer {
  return Buffer.from(bytes.subarray(0, Math.max(0, sizeBytes)));
}

/**
 * The largest timestamp of the batch's records; -1 where it has none. A batch that compaction has left without records keeps its
 * header's timestamps, at which nothing can be found.
 */
export function recordTimestampMax(buffer: Buffer, at: number): number {
  return batchField.recordCount(buffer, at) === 0 ? -1 : batchField.maxTimestamp(buffer, at);
}

/** Adds a scanned batch to a segment's books. */
export function accountFor(segment: Segment, batch: ScannedBatch, indexIntervalBytes: number): void {
  const { buffer, at, sizeBytes } = batch;
  if (isRaftOnly(buffer, at)) {
    segment.addRaftOnly(sizeBytes);
    return;
  }
  const lastOffset = batchField.lastOffset(buffer, at);
  const maxTimestamp = recordTimestampMax(buffer, at);
  segment.addBatch({ sizeBytes, lastOffset, maxTimestamp }, indexIntervalBytes);
}

export interface KnownIndexes {
  readonly offsetIndexBytes: number;
  readonly timeIndexBytes: number;
  readonly indexCrc: number;
  /** Nothing follows in the segment: else a recovery that was broken off may have written other entries of the same size. */
  readonly isAtEnd: boolean;
}

/** What the index files hold, up to these sizes; undefined where that is less, or not what was written there. */
export async function loadIndexes(
  disk: Disk,
  segment: Segment,
  known: KnownIndexes,
): Promise<IndexPair | undefined> {
  const single = singleEntry(segment);
  const isSingle = known.offsetIndexBytes === 0 && known.timeIndexBytes === timeEntryBytes;
  if (isSingle && known.isAtEnd && crcOf(single) === known.indexCrc) {
    return (await disk.sizeOf(segment.timeIndexPath)) === timeEntryBytes ? single : undefined;
  }
  const offsetBytes = await readBeginning(disk, segment.offsetIndexPath, known.offsetIndexBytes);
  const timeBytes = await readBeginning(disk, segment.timeIndexPath, known.timeIndexBytes);
  if (offsetBytes === undefined || timeBytes === undefined) return undefined;
  const offsetIndex = new OffsetIndex(offsetBytes);
  const timeIndex = new TimeIndex(timeBytes);
  if (crcOf({ offsetIndex, timeIndex }) !== known.indexCrc) return undefined;
  const relativeEnd = segment.endOffset - segment.baseOffset;
  if (!offsetIndex.isSane(relativeEnd, segment.writtenBytes) || !timeIndex.isSane(relativeEnd))
    return undefined;
  return { offsetIndex, timeIndex };
}

/** The indexes of a small segment, which its totals tell: most logs of a node with many have no other. */
function singleEntry(segment: Segment): IndexPair {
  const { maxTimestamp, maxTimestampOffset } = segment.totals;
  const timeIndex = new TimeIndex();
  timeIndex.maybeAdd(maxTimestamp, maxTimestampOffset - segment.baseOffset);
  return { offsetIndex: new OffsetIndex(), timeIndex };
}

function crcOf({ offsetIndex, timeIndex }: IndexPair): number {
  return crc32c(timeIndex.bytes(), crc32c(offsetIndex.bytes()));
}

/** Undefined where the file is missing or shorter. */
async function readBeginning(disk: Disk, path: string, sizeBytes: number): Promise<Buffer | undefined> {
  if (sizeBytes === 0) return Buffer.alloc(0);
  let file;
  try {
    file = await disk.open(path, 'read');
  } catch (error) {
    if (error instanceof DiskError && error.code === 'not-found') return undefined;
    throw error;
  }
  try {
    // A size that nothing vouches for can be anything: memory is taken only for what is there.
    if ((await file.size()) < sizeBytes) return undefined;
    const bytes = Buffer.alloc(sizeBytes);
    return (await file.read(bytes, 0)) === sizeBytes ? bytes : undefined;
  } finally {
    await file.close();
  }
}
