/**
 * Index files of a log's segments. While a segment is appended to, its indexes live in memory; their files follow at each
 * checkpoint, when it rolls and on a clean stop, always synced. What they lack after a crash is rebuilt from the `.log`.
 */
import type { Disk } from '../../platform/disk.ts';
import { batchField } from '../../protocol/index.ts';
import { scanBatches } from './batch-scan.ts';
import type { ScannedBatch } from './batch-scan.ts';
import { isRaftOnly } from './raft-only.ts';
import type { ReadPool } from './read-pool.ts';
import { readWholeFile } from '../../platform/whole-files.ts';
import { OffsetIndex, TimeIndex, timeEntryBytes } from './segment-indexes.ts';
import type { TimeEntry } from './segment-indexes.ts';
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

  constructor(disk: Disk, pool: ReadPool, indexIntervalBytes: () => number) {
    this.#disk = disk;
    this.#pool = pool;
    this.#indexIntervalBytes = indexIntervalBytes;
  }

  /** A segment's indexes, from memory or from their files; where those do not fit the segment, made anew from it. */
  async of(segment: Segment): Promise<IndexPair> {
    if (!segment.hasIndexes) {
      const loaded = await loadIndexes(this.#disk, segment);
      if (loaded === undefined) await this.rebuild(segment);
      else segment.setIndexes(loaded.offsetIndex, loaded.timeIndex);
    }
    if (segment.isFull) this.#pool.indexes.used(segment);
    return segment;
  }

  /** The last entry of a full segment's time index, which holds its largest timestamp; undefined without timestamps. */
  async lastTimeEntry(segment: Segment): Promise<TimeEntry | undefined> {
    if (!(await this.#disk.exists(segment.timeIndexPath))) return (await this.of(segment)).timeIndex.last();
    const file = await this.#disk.open(segment.timeIndexPath, 'read');
    try {
      const sizeBytes = await file.size();
      const entry = Buffer.alloc(Math.min(sizeBytes, timeEntryBytes));
      await file.read(entry, Math.max(0, sizeBytes - (sizeBytes % timeEntryBytes) - timeEntryBytes));
      return new TimeIndex(entry).last();
    } finally {
      await file.close();
    }
  }

  /** Brings the index files up to these sizes of what is in memory, and syncs them. The directory is not synced. */
  async write(segment: Segment, offsetIndexBytes: number, timeIndexBytes: number): Promise<void> {
    const { offsetIndex, timeIndex } = segment;
    const offsetBytes = Buffer.from(
      offsetIndex
        .bytes(segment.offsetIndexFileBytes)
        .subarray(0, Math.max(0, offsetIndexBytes - segment.offsetIndexFileBytes)),
    );
    const timeBytes = Buffer.from(
      timeIndex
        .bytes(segment.timeIndexFileBytes)
        .subarray(0, Math.max(0, timeIndexBytes - segment.timeIndexFileBytes)),
    );
    await this.#append(segment.offsetIndexPath, offsetBytes, segment.offsetIndexFileBytes);
    segment.offsetIndexFileBytes += offsetBytes.length;
    await this.#append(segment.timeIndexPath, timeBytes, segment.timeIndexFileBytes);
    segment.timeIndexFileBytes += timeBytes.length;
  }

  /** All of both indexes, with the time index's last entry: the segment is full, or the log closes. */
  async complete(segment: Segment): Promise<void> {
    segment.completeTimeIndex();
    await this.write(segment, segment.offsetIndex.sizeBytes, segment.timeIndex.sizeBytes);
  }

  /** Cuts both files to what is in memory now, after a recovery or a truncation. */
  async cutFiles(segment: Segment): Promise<void> {
    const sizes = [
      { path: segment.offsetIndexPath, sizeBytes: segment.offsetIndexFileBytes },
      { path: segment.timeIndexPath, sizeBytes: segment.timeIndexFileBytes },
    ];
    for (const { path, sizeBytes } of sizes) {
      if ((await this.#disk.sizeOf(path)) === sizeBytes) continue;
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

  /** The files are lost or damaged: one pass over the segment makes them again. */
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
    segment.offsetIndexFileBytes = 0;
    segment.timeIndexFileBytes = 0;
    await this.cutFiles(segment);
    if (segment.isFull) copy.completeTimeIndex();
    segment.setIndexes(copy.offsetIndex, copy.timeIndex);
    await this.write(segment, copy.offsetIndex.sizeBytes, copy.timeIndex.sizeBytes);
  }
}

/** Adds a scanned batch to a segment's books. */
export function accountFor(segment: Segment, batch: ScannedBatch, indexIntervalBytes: number): void {
  const { buffer, at, sizeBytes } = batch;
  if (isRaftOnly(buffer, at)) {
    segment.addRaftOnly(sizeBytes);
    return;
  }
  const lastOffset = batchField.lastOffset(buffer, at);
  const maxTimestamp = batchField.maxTimestamp(buffer, at);
  segment.addBatch({ sizeBytes, lastOffset, maxTimestamp }, indexIntervalBytes);
}

/** What the index files hold, up to these sizes; undefined where they hold less or do not fit the segment. */
export async function loadIndexes(
  disk: Disk,
  segment: Segment,
  sizes: { readonly offsetIndexBytes?: number; readonly timeIndexBytes?: number } = {},
): Promise<IndexPair | undefined> {
  if (!(await disk.exists(segment.offsetIndexPath)) || !(await disk.exists(segment.timeIndexPath)))
    return undefined;
  const offsetBytes = await readWholeFile(disk, segment.offsetIndexPath);
  const timeBytes = await readWholeFile(disk, segment.timeIndexPath);
  const { offsetIndexBytes = offsetBytes.length, timeIndexBytes = timeBytes.length } = sizes;
  if (offsetBytes.length < offsetIndexBytes || timeBytes.length < timeIndexBytes) return undefined;
  const offsetIndex = new OffsetIndex(offsetBytes.subarray(0, offsetIndexBytes));
  const timeIndex = new TimeIndex(timeBytes.subarray(0, timeIndexBytes));
  const relativeEnd = segment.endOffset - segment.baseOffset;
  if (!offsetIndex.isSane(relativeEnd, segment.writtenBytes) || !timeIndex.isSane(relativeEnd))
    return undefined;
  return { offsetIndex, timeIndex };
}
