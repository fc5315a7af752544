/** Fills the map of keys from the batches of the part of a log that has not been cleaned, in order, until the map is full. */
import { batchField, decodeBatch, decodeControlRecord } from '../../../protocol/index.ts';
import type { RecordCursor } from '../../../protocol/index.ts';
import type { ScannedBatch } from '../reading/batch-scan.ts';
import { isRaftOnly } from '../raft-only.ts';
import { attributeBits, isLarge, openBatch, openLargeBatch, recordsAtOnce } from './batch-records.ts';
import type { KeyMap } from './key-map.ts';
import type { Pace } from './pace.ts';
import type { TransactionFates } from './transaction-fates.ts';

export interface IndexedRange {
  /** Records below it are known to the map already, or are not to be. */
  readonly startOffset: number;
  readonly endOffset: number;
}

export class KeyIndexer {
  readonly #keys: KeyMap;
  readonly #fates: TransactionFates;
  readonly #pace: Pace;
  readonly #startOffset: number;
  /** The map knows all keys of records below it. */
  #endOffset: number;
  #isFull = false;
  recordsRead = 0;

  constructor(keys: KeyMap, fates: TransactionFates, pace: Pace, { startOffset, endOffset }: IndexedRange) {
    this.#keys = keys;
    this.#fates = fates;
    this.#pace = pace;
    this.#startOffset = startOffset;
    this.#endOffset = endOffset;
  }

  /** Whether the map takes no more: what follows is for another pass. */
  get isFull(): boolean {
    return this.#isFull;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  /** Takes the next batch, whose bytes have been checked; a promise where it takes longer. Throws a ProtocolError for records that cannot be read. */
  take(batch: ScannedBatch): Promise<void> | undefined {
    const { buffer, at, sizeBytes } = batch;
    const attributes = batchField.attributes(buffer, at);
    if ((attributes & attributeBits.control) !== 0) {
      if (!isRaftOnly(buffer, at)) this.#takeControl(buffer.subarray(at, at + sizeBytes));
      return undefined;
    }
    const lastOffset = batchField.lastOffset(buffer, at);
    const isAborted =
      (attributes & attributeBits.transactional) !== 0 &&
      this.#fates.isAborted(batchField.producerId(buffer, at), lastOffset);
    const recordCount = batchField.recordCount(buffer, at);
    if (isAborted || recordCount === 0 || lastOffset < this.#startOffset) return undefined;
    this.recordsRead += recordCount;
    if (isLarge(batch)) return this.#takeLarge(batch);
    const cursor = openBatch(batch);
    this.#index(cursor, batchField.baseOffset(buffer, at), recordCount);
    return undefined;
  }

  async #takeLarge(batch: ScannedBatch): Promise<void> {
    const baseOffset = batchField.baseOffset(batch.buffer, batch.at);
    let left = batchField.recordCount(batch.buffer, batch.at);
    const cursor = await openLargeBatch(batch);
    if (this.#pace.isDue) await this.#pace.pause();
    for (; left > 0 && !this.#isFull; left -= recordsAtOnce) {
      this.#index(cursor, baseOffset, Math.min(left, recordsAtOnce));
      if (this.#pace.isDue) await this.#pace.pause();
    }
  }

  #index(cursor: RecordCursor, baseOffset: number, recordCount: number): void {
    const keys = this.#keys;
    const startOffset = this.#startOffset;
    const { buffer } = cursor;
    for (let count = recordCount; count > 0; count--) {
      cursor.next();
      const offset = baseOffset + cursor.offsetDelta;
      if (cursor.keyLength < 0 || offset < startOffset) continue;
      if (keys.put(buffer, cursor.keyStart, cursor.keyLength, offset)) continue;
      this.#isFull = true;
      this.#endOffset = offset;
      return;
    }
  }

  #takeControl(batch: Buffer): void {
    const [record] = decodeBatch(batch);
    if (record === undefined) return;
    const { type } = decodeControlRecord(record);
    if (type !== 'ABORT' && type !== 'COMMIT') return;
    this.#fates.end(type, batchField.producerId(batch), batchField.lastOffset(batch));
  }
}
