/**
 * Decides about one batch after the other, as Kafka's cleaner does, and hands what stays to the segment being written:
 * - Raft-only batches stay as they are. The headers of cleaned segments go: the new segment has its own.
 * - A transaction's marker goes once no batch of its transaction is left and its delete horizon, which it gets in the cleaning
 *   that finds it unneeded, has passed.
 * - Batches of aborted transactions lose all records, others those that a later record of their key replaces, tombstones
 *   whose batch's delete horizon has passed, and records without a key. A batch that keeps all is copied byte for byte.
 * - A batch with tombstones gets its delete horizon when it is first cleaned (KIP-534). Unlike Kafka's, one above the end of the
 *   key map does not: older values of its keys may still be there, and a reader who has seen one is owed the tombstone for
 *   `delete.retention.ms` from when they go.
 * - A batch that has lost all records goes, but for the last one of a producer that is active, whose sequence it tells, and
 *   the last one of the cleaned range, so that readers at its end see an end offset.
 */
import {
  batchField,
  batchHeaderBytes,
  completeBatch,
  completeEmptyBatch,
  compress,
  compressAsync,
  decodeBatch,
  decodeControlRecord,
  ProtocolError,
  RecordCursor,
  recordBytesMax,
  writeRecords,
} from '../../../protocol/index.ts';
import type { ScannedBatch } from '../reading/batch-scan.ts';
import { isCleanedHeader } from '../segments/cleaned-header.ts';
import { isRaftOnly } from '../raft-only.ts';
import {
  asyncBytesMin,
  attributeBits,
  isCompressed,
  isLarge,
  openBatch,
  openLargeBatch,
  recordsAtOnce,
} from './batch-records.ts';
import type { CleanedSegment } from './cleaned-segment.ts';
import type { CleanerLimits } from './cleanable-log.ts';
import type { Pace } from './pace.ts';
import { RecordSelection } from './record-selection.ts';
import type { SelectionRules } from './record-selection.ts';
import type { TransactionFates } from './transaction-fates.ts';

export interface CleaningRules extends SelectionRules {
  readonly limits: CleanerLimits;
  readonly nowMs: number;
  /** What tombstones and markers get that have no horizon yet. */
  readonly newHorizonMs: number;
  /** Exclusive, of all that this cleaning and the passes after it go over. */
  readonly rangeEndOffset: number;
}

export interface CleaningCounts {
  recordsRead: number;
  recordsKept: number;
  keylessRecords: number;
}

export class BatchCleaner {
  readonly #rules: CleaningRules;
  readonly #fates: TransactionFates;
  readonly #pace: Pace;
  readonly #selection: RecordSelection;
  readonly counts: CleaningCounts = { recordsRead: 0, recordsKept: 0, keylessRecords: 0 };
  #target!: CleanedSegment;
  /** Whether a batch has not been copied as it was since `writeTo`. */
  hasChanged = false;

  constructor(rules: CleaningRules, fates: TransactionFates, pace: Pace) {
    this.#rules = rules;
    this.#fates = fates;
    this.#pace = pace;
    this.#selection = new RecordSelection(rules);
  }

  /** What stays goes there from now on. */
  writeTo(target: CleanedSegment): void {
    this.#target = target;
    this.hasChanged = false;
  }

  /** Takes the next batch, whose bytes have been checked; a promise where it takes longer. Throws a ProtocolError for records that cannot be read. */
  take(batch: ScannedBatch): Promise<void> | undefined {
    const { buffer, at } = batch;
    if (isRaftOnly(buffer, at)) {
      if (!isCleanedHeader(buffer, at)) this.#copy(batch);
      return undefined;
    }
    if ((batchField.attributes(buffer, at) & attributeBits.control) === 0) return this.#takeData(batch);
    this.#takeControl(batch);
    return undefined;
  }

  #takeControl(batch: ScannedBatch): void {
    const { buffer, at, sizeBytes } = batch;
    const recordCount = batchField.recordCount(buffer, at);
    this.counts.recordsRead += recordCount;
    if (recordCount === 0) return this.#takeWithoutRecords(batch);
    const [record] = decodeBatch(buffer.subarray(at, at + sizeBytes));
    const { type } = decodeControlRecord(record!);
    if (type !== 'ABORT' && type !== 'COMMIT') return this.#copy(batch);
    const producerId = batchField.producerId(buffer, at);
    const fate = this.#fates.end(type, producerId, batchField.lastOffset(buffer, at));
    if (fate.aborted !== undefined) this.#target.keepAborted(fate.aborted);
    if (!fate.isUnneeded) return this.#copy(batch);
    const hasHorizon = (batchField.attributes(buffer, at) & attributeBits.deleteHorizon) !== 0;
    if (hasHorizon && batchField.baseTimestamp(buffer, at) <= this.#rules.nowMs)
      return this.#takeWithoutRecords(batch);
    if (hasHorizon) return this.#copy(batch);
    this.#selectAll(batch);
    this.#rewrite(batch, this.#rules.newHorizonMs);
  }

  #takeData(batch: ScannedBatch): Promise<void> | undefined {
    const { buffer, at } = batch;
    const attributes = batchField.attributes(buffer, at);
    const recordCount = batchField.recordCount(buffer, at);
    this.counts.recordsRead += recordCount;
    const isAborted =
      (attributes & attributeBits.transactional) !== 0 &&
      this.#fates.isAborted(batchField.producerId(buffer, at), batchField.lastOffset(buffer, at));
    if (isAborted || recordCount === 0) {
      this.#takeWithoutRecords(batch);
      return undefined;
    }
    if (batchField.baseOffset(buffer, at) >= this.#rules.mapEndOffset) {
      this.#copy(batch);
      return undefined;
    }
    if (isLarge(batch)) return this.#takeLarge(batch);
    const cursor = openBatch(batch);
    this.#selection.begin(buffer, at, cursor, this.#rules.nowMs);
    this.#selection.decide(recordCount);
    checkUsedUp(cursor);
    const horizonMs = this.#settle(batch);
    if (horizonMs === 'done') return undefined;
    if (isCompressed(batch)) return this.#recompress(batch, horizonMs);
    this.#rewrite(batch, horizonMs);
    return undefined;
  }

  /** As #takeData, a part at a time and with the codec on the thread pool. */
  async #takeLarge(batch: ScannedBatch): Promise<void> {
    const { buffer, at } = batch;
    const cursor = await openLargeBatch(batch);
    if (this.#pace.isDue) await this.#pace.pause();
    this.#selection.begin(buffer, at, cursor, this.#rules.nowMs);
    while (!this.#selection.decide(recordsAtOnce)) if (this.#pace.isDue) await this.#pace.pause();
    checkUsedUp(cursor);
    const horizonMs = this.#settle(batch);
    if (horizonMs === 'done') return;
    if (this.#pace.isDue) await this.#pace.pause();
    if (isCompressed(batch)) await this.#recompress(batch, horizonMs);
    else this.#rewrite(batch, horizonMs);
  }

  /** The records have been decided on: done, where that decides the batch; else the delete horizon that it gets, if any. */
  #settle(batch: ScannedBatch): 'done' | number | undefined {
    const { keptRecords, droppedRecords, droppedKeyless, keptTombstones } = this.#selection;
    this.counts.keylessRecords += droppedKeyless;
    if (keptRecords === 0) {
      this.#takeWithoutRecords(batch);
      return 'done';
    }
    const { buffer, at } = batch;
    const hasHorizon = (batchField.attributes(buffer, at) & attributeBits.deleteHorizon) !== 0;
    const isMapped = batchField.lastOffset(buffer, at) < this.#rules.mapEndOffset;
    const horizonMs = keptTombstones > 0 && !hasHorizon && isMapped ? this.#rules.newHorizonMs : undefined;
    if (droppedRecords > 0 || horizonMs !== undefined) return horizonMs;
    this.#copy(batch);
    return 'done';
  }

  /** A batch that has no records, or whose records all go. */
  #takeWithoutRecords(batch: ScannedBatch): void {
    const { buffer, at } = batch;
    if (!this.#mustStay(buffer, at)) {
      this.hasChanged = true;
      return;
    }
    if (batchField.recordCount(buffer, at) === 0) return this.#copy(batch);
    this.hasChanged = true;
    const target = this.#target;
    target.makeRoom(batchHeaderBytes);
    buffer.copy(target.buffer, target.end, at, at + batchHeaderBytes);
    completeEmptyBatch(target.buffer, target.end);
    target.add(batchHeaderBytes);
  }

  #mustStay(buffer: Buffer, at: number): boolean {
    const { limits, rangeEndOffset } = this.#rules;
    const lastOffset = batchField.lastOffset(buffer, at);
    if (lastOffset + 1 === rangeEndOffset) return true;
    const producerId = batchField.producerId(buffer, at);
    if (producerId < 0) return false;
    if (limits.lastOffsetsOfProducers.get(producerId) === lastOffset) return true;
    const isControl = (batchField.attributes(buffer, at) & attributeBits.control) !== 0;
    return (
      isControl && limits.markerEpochsOfProducers?.get(producerId) === batchField.producerEpoch(buffer, at)
    );
  }

  #copy({ buffer, at, sizeBytes }: ScannedBatch): void {
    this.counts.recordsKept += batchField.recordCount(buffer, at);
    this.#target.copy(buffer, at, sizeBytes);
  }

  #selectAll({ buffer, at, sizeBytes }: ScannedBatch): void {
    const cursor = new RecordCursor(buffer, at + batchHeaderBytes, at + sizeBytes);
    this.#selection.begin(buffer, at, cursor, this.#rules.nowMs);
    this.#selection.keepAll();
  }

  /** The selected records of an uncompressed batch, straight into the new segment's buffer. */
  #rewrite({ buffer, at }: ScannedBatch, deleteHorizonMs: number | undefined): void {
    const target = this.#target;
    const selection = this.#selection;
    target.makeRoom(batchHeaderBytes + recordBytesMax(selection, deleteHorizonMs));
    const start = target.end;
    buffer.copy(target.buffer, start, at, at + batchHeaderBytes);
    const baseShift =
      deleteHorizonMs === undefined ? 0 : deleteHorizonMs - batchField.baseTimestamp(buffer, at);
    const end = writeRecords(target.buffer, start + batchHeaderBytes, selection, baseShift);
    this.#complete(end, deleteHorizonMs);
  }

  async #recompress({ buffer, at }: ScannedBatch, deleteHorizonMs: number | undefined): Promise<void> {
    const target = this.#target;
    const selection = this.#selection;
    const baseShift =
      deleteHorizonMs === undefined ? 0 : deleteHorizonMs - batchField.baseTimestamp(buffer, at);
    const records = Buffer.allocUnsafe(recordBytesMax(selection, deleteHorizonMs));
    const length = writeRecords(records, 0, selection, baseShift);
    const codec = batchField.compression(buffer, at);
    const plain = records.subarray(0, length);
    const isLong = length >= asyncBytesMin;
    const compressed = isLong ? await compressAsync(codec, plain, undefined) : compress(codec, plain);
    target.makeRoom(batchHeaderBytes + compressed.length);
    const start = target.end;
    buffer.copy(target.buffer, start, at, at + batchHeaderBytes);
    compressed.copy(target.buffer, start + batchHeaderBytes);
    this.#complete(start + batchHeaderBytes + compressed.length, deleteHorizonMs);
  }

  #complete(end: number, deleteHorizonMs: number | undefined): void {
    const target = this.#target;
    const { keptRecords, maxTimestamp } = this.#selection;
    const start = target.end;
    completeBatch(target.buffer, start, end, { recordCount: keptRecords, maxTimestamp, deleteHorizonMs });
    target.add(end - start);
    this.counts.recordsKept += keptRecords;
    this.hasChanged = true;
  }
}

function checkUsedUp(cursor: RecordCursor): void {
  if (cursor.position !== cursor.end) {
    throw new ProtocolError(
      'bad-batch',
      `${cursor.end - cursor.position} bytes follow the last record of a batch`,
    );
  }
}
