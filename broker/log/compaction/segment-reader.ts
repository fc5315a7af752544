/**
 * Reads the batches of a full segment, one after the other, through a file and a buffer of its own: the pool that serves
 * consumers is left alone. Every batch is checked before it is shown, as what is written anew gets a new CRC: a damaged
 * batch must not come out of a cleaning looking whole, nor take other records away by a damaged key.
 */
import type { Disk, DiskFile } from '../../../platform/disk.ts';
import { batchField, batchHeaderBytes, verifyBatchCrc } from '../../../protocol/index.ts';
import type { ScannedBatch } from '../reading/batch-scan.ts';
import { OrderCheck } from '../recovery/order-check.ts';
import type { KnownPositions, OrderRules } from '../recovery/order-check.ts';
import type { Segment } from '../segments/segment.ts';

/** Bytes of a log are not what was written: it cannot be cleaned before it has been repaired. */
export class DamagedSource extends Error {
  readonly segment: Segment;
  readonly position: number;
  readonly reason: string;
  /** What is sound before it ends here. */
  readonly validEndOffset: number;

  constructor(reader: SegmentReader, position: number, reason: string, options?: ErrorOptions) {
    super(`${reader.segment.path} is damaged at byte ${position}: ${reason}.`, options);
    this.name = 'DamagedSource';
    this.segment = reader.segment;
    this.position = position;
    this.reason = reason;
    this.validEndOffset = reader.nextOffset;
  }
}

export interface ReaderOptions {
  readonly disk: Disk;
  /** Of one read; a batch that is larger takes more. */
  readonly chunkBytes: number;
  /** What every batch's place is checked against. */
  readonly positions: KnownPositions;
  /** Who began the segment: in one of Kafka's own, a compaction may have left gaps. */
  readonly writer: OrderRules['writer'];
}

export class SegmentReader {
  readonly segment: Segment;
  readonly #file: DiskFile;
  readonly #chunkBytes: number;
  #buffer: Buffer;
  /** Bytes of the buffer that are filled. */
  #filled = 0;
  /** Where the batch after the present one begins in the buffer... */
  #next = 0;
  /** ...and in the file. */
  #nextPosition = 0;
  readonly #order: OrderCheck;
  /** The present one, after `next` has said true, until `fill` is called. The object is used again for the next one. */
  readonly batch: ScannedBatch;

  private constructor(segment: Segment, file: DiskFile, options: ReaderOptions) {
    this.segment = segment;
    this.#file = file;
    this.#chunkBytes = Math.max(batchHeaderBytes, Math.min(options.chunkBytes, segment.writtenBytes));
    this.#buffer = Buffer.allocUnsafeSlow(this.#chunkBytes);
    this.batch = { buffer: this.#buffer, at: 0, position: 0, sizeBytes: 0 };
    const rules = { writer: options.writer, table: options.positions };
    this.#order = new OrderCheck(rules, { offset: segment.baseOffset });
    this.#order.beginSegment(segment.baseOffset);
  }

  /** Rejects with a DiskError. */
  static async open(segment: Segment, options: ReaderOptions): Promise<SegmentReader> {
    return new SegmentReader(segment, await options.disk.open(segment.path, 'read'), options);
  }

  /** Raft index after the batches so far, where one of them has told it. */
  get nextIndex(): number | undefined {
    return this.#order.nextIndex;
  }

  /** Offset after the batches so far. */
  get nextOffset(): number {
    return this.#order.nextOffset;
  }

  /** Reads on; the number of bytes read, 0 at the segment's end. Rejects with a DiskError or a DamagedSource. */
  async fill(): Promise<number> {
    const rest = this.#filled - this.#next;
    const position = this.#nextPosition + rest;
    const leftBytes = this.segment.writtenBytes - position;
    if (leftBytes <= 0) {
      const fault = rest > 0 ? 'the last batch is cut off' : this.#order.endSegment();
      if (fault !== undefined) this.#fail(fault);
      return 0;
    }
    const needed =
      rest >= batchHeaderBytes ? batchField.sizeBytes(this.#buffer, this.#next) : batchHeaderBytes;
    this.#moveRest(needed);
    const wanted = Math.min(this.#buffer.length - rest, leftBytes);
    const read = await this.#file.read(this.#buffer.subarray(rest, rest + wanted), position);
    if (read < wanted) this.#fail(`the file ends at byte ${position + read}`);
    this.#filled = rest + read;
    return read;
  }

  /** Moves to the next whole batch in the buffer; false where `fill` has to be called first. Throws a DamagedSource. */
  next(): boolean {
    const buffer = this.#buffer;
    const at = this.#next;
    if (this.#filled - at < batchHeaderBytes) return false;
    const sizeBytes = batchField.sizeBytes(buffer, at);
    if (sizeBytes < batchHeaderBytes) this.#fail('no batch has this length');
    if (batchField.magic(buffer, at) !== 2) this.#fail('not a record batch of format 2');
    if (sizeBytes > this.segment.writtenBytes - this.#nextPosition) this.#fail('the last batch is cut off');
    if (sizeBytes > this.#filled - at) return false;
    if (!verifyBatchCrc(buffer, at)) this.#fail('the CRC does not fit the batch');
    const { batch } = this;
    batch.buffer = buffer;
    batch.at = at;
    batch.position = this.#nextPosition;
    batch.sizeBytes = sizeBytes;
    const fault = this.#order.take(batch);
    if (fault !== undefined) this.#fail(fault);
    if (this.#order.nextOffset > this.segment.endOffset)
      this.#fail('the batch reaches into the next segment');
    this.#next = at + sizeBytes;
    this.#nextPosition += sizeBytes;
    return true;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** To the buffer's beginning; into a larger buffer while a batch needs one. */
  #moveRest(neededBytes: number): void {
    const size = Math.max(this.#chunkBytes, neededBytes);
    const isFitting = this.#buffer.length === size;
    const target = isFitting ? this.#buffer : Buffer.allocUnsafeSlow(size);
    this.#buffer.copy(target, 0, this.#next, this.#filled);
    this.#buffer = target;
    this.#filled -= this.#next;
    this.#next = 0;
  }

  #fail(reason: string): never {
    throw new DamagedSource(this, this.#nextPosition, reason);
  }
}
