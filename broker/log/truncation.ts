/**
 * Cuts the end off a log, so that a crash at any moment leaves either a log that recovery cuts itself or the cut one:
 * first the durable floor and the recovery point step back, then files go, newest first, then the segment that stays is cut
 * and synced, before anything new is written. Its index files may be halfway between old and new meanwhile, so the recovery
 * point vouches for them only once they have been written anew.
 */
import { assert } from '../../platform/assert.ts';
import type { DiskFile } from '../../platform/disk.ts';
import { scanBatches } from './reading/batch-scan.ts';
import { pointAtEnd } from './recovery/checkpoints.ts';
import type { Checkpoints } from './recovery/checkpoints.ts';
import type { LogBooks } from './log-books.ts';
import type { LogOptions } from './log-types.ts';
import { accountFor } from './segments/segment-files.ts';
import type { SegmentIndexes } from './segments/segment-files.ts';
import { Segment, segmentFiles, segmentPath } from './segments/segment.ts';
import { DamagedTransactionIndex } from './segments/transaction-index-files.ts';
import type { TransactionIndexFiles } from './segments/transaction-index-files.ts';

/** More than any index file has: a start after a crash makes the files anew from the segment. */
const indexBytesUnknown = 2 ** 31 - 1;

export interface Truncation {
  readonly options: LogOptions;
  readonly books: LogBooks;
  readonly indexes: SegmentIndexes;
  readonly transactions: TransactionIndexFiles;
  readonly checkpoints: Checkpoints;
  /** The newest segment's file; closed where that segment goes. */
  readonly file: DiskFile;
  /** Where the entry at `endIndex` begins. */
  readonly to: { readonly segment: Segment; readonly position: number; readonly endIndex: number };
}

/** The log must be at rest. Resolves with the file to append to. Rejects with a DiskError, after which the log has to be opened again. */
export async function truncateLog(truncation: Truncation): Promise<DiskFile> {
  const { options, books, indexes, checkpoints, to } = truncation;
  const { disk, readPool, floor } = options;
  const { segment, position, endIndex } = to;
  const { segments } = books;
  assert(!segment.isCleaned || position === 0, 'what has been cleaned was committed');
  for (const doomed of segments.all.slice(segments.all.indexOf(segment))) doomed.isDoomed = true;
  books.table = books.table.upTo(endIndex);
  books.endIndex = endIndex;
  books.endOffset = books.table.offsetOfIndex(endIndex);
  books.cleanedEndOffset = Math.min(books.cleanedEndOffset, segment.baseOffset);
  assert(books.endOffset >= books.logStartOffset, 'a log is not cut below its start');
  await floor?.lower({ term: books.table.lastTerm, endIndex });
  const cut = await rebuildBooks(truncation);
  const fullSegments = segments.full.filter(({ baseOffset }) => baseOffset < cut.baseOffset);
  const point = pointAtEnd(cut, endIndex);
  await checkpoints.inLine(async (write) => {
    const unknown = { offsetIndexBytes: indexBytesUnknown, timeIndexBytes: indexBytesUnknown };
    checkpoints.restart(cut, { ...point, ...unknown });
    await write({ fullSegments });
  });
  let { file } = truncation;
  while (segments.active !== segment) {
    const removed = segments.removeLast();
    await file.close();
    await removeFiles(truncation, removed);
    file = await disk.open(segments.active.path, 'write');
  }
  await forgetSegment(options, segment);
  segments.replaceLast(cut);
  await file.truncate(position);
  await file.sync();
  await cutTransactions(truncation, segment);
  cut.offsetIndexFileBytes = 0;
  cut.timeIndexFileBytes = 0;
  await indexes.cutFiles(cut);
  await indexes.write(cut, cut.offsetIndex.sizeBytes, cut.timeIndex.sizeBytes);
  await checkpoints.inLine(async (write) => {
    checkpoints.restart(cut, point);
    await write({});
  });
  readPool.indexes.forget(cut);
  return file;
}

async function removeFiles({ options, transactions }: Truncation, removed: Segment): Promise<void> {
  const { disk, directory } = options;
  await forgetSegment(options, removed);
  transactions.forget(removed.baseOffset, false);
  for (const kind of segmentFiles) {
    const path = segmentPath(directory, removed.baseOffset, kind);
    if (await disk.exists(path)) await disk.remove(path);
  }
  await disk.syncDirectory(directory);
  await options.readPool.files.forget(removed.path);
}

/** An index that cannot be read stays so: whoever asks for it has to make it again from the segment as it is then. */
async function cutTransactions({ transactions, books }: Truncation, segment: Segment): Promise<void> {
  try {
    await transactions.cut(segment, books.endOffset);
  } catch (error) {
    if (!(error instanceof DamagedTransactionIndex)) throw error;
  }
}

/** The segment as it will be: its totals and indexes are made anew from what stays. */
async function rebuildBooks({ options, to }: Truncation): Promise<Segment> {
  const { directory, readPool, config } = options;
  const cut = new Segment(directory, to.segment.baseOffset, to.segment.totals.createdMs);
  cut.startIndex = to.segment.startIndex;
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
