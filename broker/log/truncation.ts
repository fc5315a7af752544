/**
 * Cuts the end off a log, so that a crash at any moment leaves either a log that recovery cuts itself or the cut one:
 * first the durable floor and the recovery point step back, then files go, newest first, then the segment that stays is cut
 * and synced, before anything new is written.
 */
import type { DiskFile } from '../../platform/disk.ts';
import { scanBatches } from './batch-scan.ts';
import type { LogOptions } from './log-types.ts';
import type { PositionTable } from './position-table.ts';
import { pointAtEnd } from './recovery.ts';
import { writeReplicaState } from './replica-state-file.ts';
import { accountFor } from './segment-files.ts';
import type { SegmentIndexes } from './segment-files.ts';
import type { SegmentList } from './segment-list.ts';
import { Segment } from './segment.ts';

export interface Truncation {
  readonly options: LogOptions;
  readonly segments: SegmentList;
  readonly indexes: SegmentIndexes;
  /** The newest segment's file; closed where that segment goes. */
  readonly file: DiskFile;
  readonly to: {
    readonly segment: Segment;
    readonly position: number;
    readonly endIndex: number;
    readonly endOffset: number;
    readonly table: PositionTable;
  };
}

/** The log must be at rest. Resolves with the file to append to. Rejects with a DiskError, after which the log has to be opened again. */
export async function truncateLog(truncation: Truncation): Promise<DiskFile> {
  const { options, segments, indexes, to } = truncation;
  const { disk, directory, readPool, floor } = options;
  const { segment, position, endIndex, table } = to;
  await floor?.lower({ term: table.lastTerm, endIndex });
  const cut = await rebuildBooks(truncation);
  await writeReplicaState(disk, directory, { table, point: pointAtEnd(cut, endIndex) });
  let { file } = truncation;
  while (segments.active !== segment) {
    const removed = segments.removeLast();
    await file.close();
    await forgetSegment(options, removed);
    for (const path of [removed.timeIndexPath, removed.offsetIndexPath, removed.path]) {
      if (await disk.exists(path)) await disk.remove(path);
    }
    await disk.syncDirectory(directory);
    file = await disk.open(segments.active.path, 'write');
  }
  await forgetSegment(options, segment);
  segments.replaceLast(cut);
  await file.truncate(position);
  await file.sync();
  cut.offsetIndexFileBytes = 0;
  cut.timeIndexFileBytes = 0;
  await indexes.cutFiles(cut);
  await indexes.write(cut, cut.offsetIndex.sizeBytes, cut.timeIndex.sizeBytes);
  readPool.indexes.forget(cut);
  return file;
}

/** The segment as it will be: its totals and indexes are made anew from what stays. */
async function rebuildBooks({ options, to }: Truncation): Promise<Segment> {
  const { directory, readPool, config } = options;
  const cut = new Segment(directory, to.segment.baseOffset, to.segment.totals.createdMs);
  const lease = await readPool.files.lease(to.segment.path);
  try {
    const range = { from: 0, to: to.position, chunkBytes: 1024 * 1024 };
    await scanBatches(lease.file, range, (batch) => {
      accountFor(cut, batch, config().indexIntervalBytes);
      return undefined;
    });
  } finally {
    lease.release();
  }
  cut.writtenBytes = cut.appendedBytes;
  cut.flushedBytes = cut.appendedBytes;
  return cut;
}

async function forgetSegment(options: LogOptions, segment: Segment): Promise<void> {
  options.readPool.forget(segment);
  await options.readPool.files.forget(segment.path);
}
