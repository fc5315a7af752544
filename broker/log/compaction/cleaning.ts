/**
 * The cleaning of one log, in as many passes as the map of keys needs. Each pass fills the map from where the last one ended,
 * then goes over the log from its beginning to there and puts new segments in the place of the old ones, oldest first: a
 * record goes only while the later one that replaces it is in the log, and a tombstone only after the values before it.
 *
 * Works beside the log's own traffic: full segments do not change, and a segment that is taken out meanwhile (by retention, a
 * truncation, the log's end) ends the cleaning. A crash leaves what the segments swapped so far make, which is a log
 * that is cleaned in part.
 */
import type { Clock } from '../../../platform/clock.ts';
import type { Disk } from '../../../platform/disk.ts';
import { batchField, ProtocolError } from '../../../protocol/index.ts';
import type { AbortedTransaction } from '../segments/aborted-transactions.ts';
import type { ScannedBatch } from '../reading/batch-scan.ts';
import { isCleanedHeader, readCleanedHeader } from '../segments/cleaned-header.ts';
import { isRaftOnly, raftOnlyIndex } from '../raft-only.ts';
import { kafkaEpochFile } from '../recovery/recovery-leftovers.ts';
import type { Segment } from '../segments/segment.ts';
import { BatchCleaner } from './batch-cleaner.ts';
import type { CleanableLog, CleanerLimits } from './cleanable-log.ts';
import { cleanableRange, groupSegments } from './cleanable-range.ts';
import { CleanedSegment } from './cleaned-segment.ts';
import { KeyIndexer } from './key-indexer.ts';
import type { KeyMap } from './key-map.ts';
import type { Pace } from './pace.ts';
import { DamagedSource, SegmentReader } from './segment-reader.ts';
import { TransactionFates } from './transaction-fates.ts';

export interface CleaningTools {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly pace: Pace;
  readonly keys: KeyMap;
  /** Of one read and of one write. */
  readonly chunkBytes: number;
}

export interface CleaningStats {
  passes: number;
  /** For filling the map. */
  bytesIndexed: number;
  bytesRead: number;
  bytesWritten: number;
  recordsRead: number;
  recordsKept: number;
  /** Dropped because they had no key. */
  keylessRecords: number;
  /** Segments that were taken out, and that came in. */
  segmentsReplaced: number;
  segmentsMade: number;
  /** Highest share of the map's slots in use. */
  mapUtilization: number;
}

export function newCleaningStats(): CleaningStats {
  return {
    passes: 0,
    bytesIndexed: 0,
    bytesRead: 0,
    bytesWritten: 0,
    recordsRead: 0,
    recordsKept: 0,
    keylessRecords: 0,
    segmentsReplaced: 0,
    segmentsMade: 0,
    mapUtilization: 0,
  };
}

/** The log has changed under the cleaning, or is no more. */
export class CalledOff extends Error {
  constructor(directory: string) {
    super(`The cleaning of ${directory} was called off.`);
    this.name = 'CalledOff';
  }
}

/** Beyond any time that a record has, and far enough from the end of safe integers for differences of two. */
const horizonMaxMs = 2 ** 52;

export class Cleaning {
  readonly log: CleanableLog;
  readonly stats = newCleaningStats();
  readonly #tools: CleaningTools;
  readonly #limits: CleanerLimits;
  #isCalledOff = false;

  constructor(log: CleanableLog, limits: CleanerLimits, tools: CleaningTools) {
    this.log = log;
    this.#limits = limits;
    this.#tools = tools;
  }

  /** Ends it at its next step. */
  callOff(): void {
    this.#isCalledOff = true;
    this.#tools.pace.wake();
  }

  /** Whether there was anything to clean. Rejects with a DiskError, a DamagedSource or CalledOff. */
  async run(): Promise<boolean> {
    const range = cleanableRange(this.log, this.#limits, this.#tools.clock.wallMs());
    let { startOffset } = range;
    while (startOffset < range.endOffset) startOffset = await this.#pass(startOffset, range.endOffset);
    return this.stats.passes > 0;
  }

  /** Resolves with the end of what is clean then. */
  async #pass(startOffset: number, rangeEndOffset: number): Promise<number> {
    const { keys, pace } = this.#tools;
    const segments = this.log.fullSegments().filter(({ endOffset }) => endOffset <= rangeEndOffset);
    const first = segments[0];
    if (first === undefined || segments.at(-1)!.endOffset !== rangeEndOffset)
      throw new CalledOff(this.log.directory);
    const range = { startOffset, endOffset: rangeEndOffset };
    const { aborted, mapEndOffset } = await this.#orCallOff(segments, async () => {
      const aborted = (await this.log.abortedTransactions?.(first.baseOffset, rangeEndOffset)) ?? [];
      await keys.reset(rangeEndOffset - startOffset, pace.yielding);
      return { aborted, mapEndOffset: await this.#index(segments, aborted, range) };
    });
    this.stats.mapUtilization = Math.max(this.stats.mapUtilization, keys.utilization);
    const mapped = segments.filter(({ baseOffset }) => baseOffset < mapEndOffset);
    await this.#rewrite(mapped, aborted, { mapEndOffset, rangeEndOffset });
    this.stats.passes++;
    return mapEndOffset;
  }

  async #index(
    segments: readonly Segment[],
    aborted: readonly AbortedTransaction[],
    range: { readonly startOffset: number; readonly endOffset: number },
  ): Promise<number> {
    const { keys, pace } = this.#tools;
    const indexer = new KeyIndexer(keys, new TransactionFates(aborted), pace, range);
    for (const segment of segments) {
      if (segment.endOffset <= range.startOffset) continue;
      if (indexer.isFull) break;
      const before = this.stats.bytesRead;
      await this.#walk(segment, (batch) => (indexer.isFull ? 'stop' : indexer.take(batch)));
      this.stats.bytesIndexed += this.stats.bytesRead - before;
    }
    return indexer.endOffset;
  }

  async #rewrite(
    segments: readonly Segment[],
    aborted: readonly AbortedTransaction[],
    ends: { readonly mapEndOffset: number; readonly rangeEndOffset: number },
  ): Promise<void> {
    const { clock, keys, pace } = this.#tools;
    const { config } = this.log;
    const nowMs = clock.wallMs();
    const newHorizonMs = Math.min(horizonMaxMs, nowMs + config.deleteRetentionMs);
    const rules = { ...ends, keys, limits: this.#limits, nowMs, newHorizonMs };
    const cleaner = new BatchCleaner(rules, new TransactionFates(aborted), pace);
    const groups = groupSegments(segments, config);
    for (const group of groups) {
      const cleanedEnd = group === groups.at(-1) ? ends.mapEndOffset : undefined;
      await this.#rewriteGroup(group, cleaner, cleanedEnd);
    }
    const { recordsRead, recordsKept, keylessRecords } = cleaner.counts;
    this.stats.recordsRead += recordsRead;
    this.stats.recordsKept += recordsKept;
    this.stats.keylessRecords += keylessRecords;
  }

  async #rewriteGroup(
    group: readonly Segment[],
    cleaner: BatchCleaner,
    cleanedEnd: number | undefined,
  ): Promise<void> {
    const { disk, chunkBytes } = this.#tools;
    const { directory, config } = this.log;
    const target = await CleanedSegment.create({
      disk,
      directory,
      baseOffset: group[0]!.baseOffset,
      createdMs: group.at(-1)!.totals.createdMs,
      indexIntervalBytes: config.indexIntervalBytes,
      chunkBytes,
    });
    let isHandedOver = false;
    try {
      const cleaned = await this.#orCallOff(group, async () => {
        cleaner.writeTo(target);
        const indexes = await this.#copyInto(target, group, cleaner);
        // A segment that keeps all it has stays; only the last one has to go, as what is clean is written down with it.
        if (group.length === 1 && !cleaner.hasChanged && cleanedEnd === undefined) return undefined;
        return target.finish({
          baseOffset: group[0]!.baseOffset,
          startIndex: indexes.start,
          startTerm: this.log.termAt(indexes.start - 1),
          endOffset: group.at(-1)!.endOffset,
          endIndex: indexes.end,
        });
      });
      if (cleaned === undefined) return;
      this.#checkWanted(group[0]!);
      isHandedOver = true;
      if (!(await this.log.replaceSegments(group, cleaned, cleanedEnd))) throw new CalledOff(directory);
      this.stats.segmentsReplaced += group.length;
      this.stats.segmentsMade++;
    } finally {
      if (!isHandedOver) await target.discard();
    }
  }

  /** Resolves with the Raft indexes of the group's first entry and of what follows its last. */
  async #copyInto(
    target: CleanedSegment,
    group: readonly Segment[],
    cleaner: BatchCleaner,
  ): Promise<{ start: number; end: number }> {
    const first = group[0]!;
    let start = first.startIndex;
    let end: number | undefined;
    for (const segment of group) {
      end = await this.#walk(
        segment,
        (batch) => {
          if (start < 0) start = this.#indexOf(batch);
          return cleaner.take(batch);
        },
        () => (target.isFlushDue ? this.#flush(target) : undefined),
      );
      end ??= this.log.indexOfOffset(segment.endOffset - 1) + 1;
    }
    await this.#flush(target);
    return { start: start < 0 ? this.log.indexOfOffset(first.baseOffset) : start, end: end! };
  }

  async #flush(target: CleanedSegment): Promise<void> {
    const writtenBytes = await target.flush();
    this.stats.bytesWritten += writtenBytes;
    await this.#tools.pace.charge(writtenBytes);
  }

  /** Of the first batch of a segment. */
  #indexOf({ buffer, at }: ScannedBatch): number {
    if (isCleanedHeader(buffer, at)) return readCleanedHeader(buffer, at)!.startIndex;
    if (isRaftOnly(buffer, at)) return raftOnlyIndex(buffer, at);
    return this.log.indexOfOffset(batchField.baseOffset(buffer, at));
  }

  /** Visits the batches of a segment until one is refused; resolves with the Raft index after it, where a batch has told it. */
  async #walk(
    segment: Segment,
    visit: (batch: ScannedBatch) => Promise<void> | 'stop' | undefined,
    afterBatch?: () => Promise<void> | undefined,
  ): Promise<number | undefined> {
    const { disk, pace, chunkBytes } = this.#tools;
    this.#checkWanted(segment);
    const writer = await this.#writerOf(segment);
    const reader = await SegmentReader.open(segment, { disk, chunkBytes, positions: this.log, writer });
    try {
      for (let read = await reader.fill(); read > 0; read = await reader.fill()) {
        this.stats.bytesRead += read;
        await pace.charge(read);
        this.#checkWanted(segment);
        while (reader.next()) {
          const visiting = visit(reader.batch);
          if (visiting === 'stop') return reader.nextIndex;
          if (visiting !== undefined) await visiting;
          const finishing = afterBatch?.();
          if (finishing !== undefined) await finishing;
          if (!pace.isDue) continue;
          await pace.pause();
          this.#checkWanted(segment);
        }
      }
      return reader.nextIndex;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      throw new DamagedSource(reader, reader.batch.position, error.message, { cause: error });
    } finally {
      await reader.close();
    }
  }

  /** In a log that Kafka began, all before the first entry of Raft's is Kafka's. */
  async #writerOf(segment: Segment): Promise<'kappalog' | 'kafka'> {
    const firstOwn = this.log.raftOnlyEntries()[0]?.index ?? Infinity;
    if (firstOwn < segment.startIndex) return 'kappalog';
    const isAdopted = await this.#tools.disk.exists(`${this.log.directory}/${kafkaEpochFile}`);
    return isAdopted ? 'kafka' : 'kappalog';
  }

  #checkWanted(segment: Segment): void {
    if (this.#isCalledOff || !segment.isCurrent) throw new CalledOff(this.log.directory);
  }

  /** What fails over segments that go meanwhile says nothing of the disk, nor of the log's bytes. */
  async #orCallOff<T>(segments: readonly Segment[], action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (segments.every(({ isCurrent }) => isCurrent)) throw error;
      throw new CalledOff(this.log.directory);
    }
  }
}
