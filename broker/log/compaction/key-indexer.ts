/** Fills the map of keys from the batches of the part of a log that has not been cleaned, in order, until the map is full. */
import {
  batchField,
  batchHeaderBytes,
  decodeBatch,
  decodeControlRecord,
  decompressAsync,
  openRecords,
  readBatchHeader,
  RecordCursor,
} from '../../../protocol/index.ts';
import type { ScannedBatch } from '../batch-scan.ts';
import { isRaftOnly } from '../raft-only.ts';
import type { KeyMap } from './key-map.ts';
import type { Pace } from './pace.ts';
import type { TransactionFates } from './transaction-fates.ts';

const bits = { compression: 0x07, transactional: 0x10, control: 0x20 };
const recordsAtOnce = 2000;
const asyncBytesMin = 16 * 1024;
const decompressedBytesMax = 256 * 1024 * 1024;

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
    if ((attributes & bits.control) !== 0) {
      if (!isRaftOnly(buffer, at)) this.#takeControl(buffer.subarray(at, at + sizeBytes));
      return undefined;
    }
    const lastOffset = batchField.lastOffset(buffer, at);
    const isAborted =
      (attributes & bits.transactional) !== 0 &&
      this.#fates.isAborted(batchField.producerId(buffer, at), lastOffset);
    const recordCount = batchField.recordCount(buffer, at);
    if (isAborted || recordCount === 0 || lastOffset < this.#startOffset) return undefined;
    this.recordsRead += recordCount;
    const isCompressed = (attributes & bits.compression) !== 0;
    if (recordCount > recordsAtOnce || (isCompressed && sizeBytes >= asyncBytesMin))
      return this.#takeLarge(batch);
    const whole = buffer.subarray(at, at + sizeBytes);
    const cursor = isCompressed
      ? openRecords(whole, readBatchHeader(whole), { decompressedBytesMax })
      : new RecordCursor(buffer, at + batchHeaderBytes, at + sizeBytes);
    this.#index(cursor, batchField.baseOffset(buffer, at), recordCount);
    return undefined;
  }

  async #takeLarge({ buffer, at, sizeBytes }: ScannedBatch): Promise<void> {
    const codec = batchField.compression(buffer, at);
    const baseOffset = batchField.baseOffset(buffer, at);
    let left = batchField.recordCount(buffer, at);
    let cursor = new RecordCursor(buffer, at + batchHeaderBytes, at + sizeBytes);
    if (codec !== 'none') {
      const compressed = buffer.subarray(at + batchHeaderBytes, at + sizeBytes);
      const records = await decompressAsync(codec, compressed, decompressedBytesMax);
      cursor = new RecordCursor(records, 0, records.length);
    }
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
