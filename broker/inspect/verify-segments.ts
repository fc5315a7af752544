/**
 * Checks the segments of one partition, from the first byte of the oldest to the last of the newest: all that recovery and
 * scrubbing check, over all of it and without changing anything.
 */
import { DiskError } from '../../platform/disk.ts';
import type { Disk, DiskFile } from '../../platform/disk.ts';
import { ProtocolError, batchField } from '../../protocol/index.ts';
import { OpenTransactions } from '../log/segments/aborted-transactions.ts';
import type { AbortedTransaction } from '../log/segments/aborted-transactions.ts';
import { IndexCheck, readIndexFiles } from '../log/recovery/index-check.ts';
import type { IndexFault } from '../log/recovery/index-check.ts';
import { OrderCheck } from '../log/recovery/order-check.ts';
import type { OrderRules, OrderStart } from '../log/recovery/order-check.ts';
import { checkBatches } from '../log/recovery/segment-check.ts';
import type { SoundBatch } from '../log/recovery/segment-check.ts';
import { offsetEntryBytes, timeEntryBytes } from '../log/segments/segment-indexes.ts';
import { Segment } from '../log/segments/segment.ts';
import { TransactionIndexCheck } from '../log/recovery/transaction-index-check.ts';
import type { VerifiedCounts } from './findings.ts';

/** One segment, as far as it is sound. */
export interface CheckedSegment {
  readonly segment: Segment;
  readonly sizeBytes: number;
  readonly validBytes: number;
  readonly validEndOffset: number;
  /** Undefined where no Raft-only entry has told. */
  readonly validEndIndex: number | undefined;
  /** At its beginning. */
  readonly startIndex: number | undefined;
  readonly fault: SegmentFault | undefined;
  readonly indexFaults: readonly IndexFault[];
  /** What the `.txnindex` should hold, and what is wrong with it. */
  readonly aborted: readonly AbortedTransaction[];
  /** Offsets of the markers that abort something, here or elsewhere. */
  readonly abortMarkers: ReadonlySet<number>;
  readonly transactionFault: string | undefined;
}

export interface SegmentFault {
  readonly position: number;
  readonly offset: number;
  readonly reason: string;
  /** All that follows is zeros: never written. */
  readonly isZeros: boolean;
  /** A later segment, or more of this one behind another whole batch, was written after it. */
  readonly isUnreadable: boolean;
}

export interface CheckedLog {
  readonly segments: readonly CheckedSegment[];
  /** Segments behind the first fault, which have not been read. */
  readonly unread: readonly Segment[];
  readonly order: OrderCheck;
}

export interface CheckLogOptions {
  readonly disk: Disk;
  readonly directory: string;
  /** Base offsets, ascending. */
  readonly bases: readonly number[];
  readonly rules: OrderRules;
  readonly start: OrderStart;
  readonly counts: VerifiedCounts;
}

/** Goes on to the first fault in a segment. Rejects with a DiskError other than for bytes that cannot be read. */
export async function checkLog(options: CheckLogOptions): Promise<CheckedLog> {
  const { directory, bases, rules, start } = options;
  const order = new OrderCheck(rules, start);
  const open = new OpenTransactions();
  const segments = bases.map((base) => new Segment(directory, base, 0));
  const checked: CheckedSegment[] = [];
  for (const [place, segment] of segments.entries()) {
    segment.isFull = place + 1 < segments.length;
    const result = await new SegmentVerification(options, segment, order, open).run();
    checked.push(result);
    if (result.fault !== undefined) return { segments: checked, unread: segments.slice(place + 1), order };
  }
  return { segments: checked, unread: [], order };
}

class SegmentVerification {
  readonly #options: CheckLogOptions;
  readonly #segment: Segment;
  readonly #order: OrderCheck;
  readonly #transactions: TransactionIndexCheck;
  #position = 0;

  constructor(options: CheckLogOptions, segment: Segment, order: OrderCheck, open: OpenTransactions) {
    this.#options = options;
    this.#segment = segment;
    this.#order = order;
    this.#transactions = new TransactionIndexCheck(open);
  }

  async run(): Promise<CheckedSegment> {
    const segment = this.#segment;
    const order = this.#order;
    const { disk, counts, rules } = this.#options;
    const startIndex = order.nextIndex;
    const nameFault = order.beginSegment(segment.baseOffset);
    const files = await readIndexFiles(disk, segment);
    const isExact = rules.writer === 'kappalog';
    const indexes = new IndexCheck({ baseOffset: segment.baseOffset, isExact }, files);
    counts.segments++;
    const file = await disk.open(segment.path, 'read');
    try {
      const sizeBytes = await file.size();
      if (nameFault !== undefined)
        return await this.#result(file, sizeBytes, startIndex, { reason: nameFault });
      const reason = await this.#walk(file, sizeBytes, indexes);
      counts.bytes += this.#position;
      segment.endOffset = order.nextOffset;
      return await this.#result(file, sizeBytes, startIndex, {
        reason: reason ?? order.endSegment(),
        isOfAll: reason === undefined,
        indexFaults: reason === undefined ? this.#indexFaults(indexes) : [],
      });
    } finally {
      await file.close();
    }
  }

  async #walk(file: DiskFile, sizeBytes: number, indexes: IndexCheck): Promise<string | undefined> {
    try {
      const { position, fault } = await checkBatches(
        file,
        { from: 0, to: sizeBytes },
        {
          visit: (batch) => this.#take(batch, indexes),
        },
      );
      this.#position = position;
      return fault;
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== 'io') throw error;
      return `the disk cannot read it (${error.message})`;
    }
  }

  #take(batch: SoundBatch, indexes: IndexCheck): string | undefined {
    this.#position = batch.position;
    const reason = this.#order.take(batch);
    if (reason !== undefined) return reason;
    const { counts } = this.#options;
    counts.batches++;
    counts.records += batchField.recordCount(batch.buffer, batch.at);
    indexes.take(batch);
    try {
      this.#transactions.take(batch);
      return undefined;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return `the control batch cannot be read: ${error.message}`;
    }
  }

  /** The newest segment's index files may lag behind it. */
  #indexFaults(indexes: IndexCheck): readonly IndexFault[] {
    const { isFull } = this.#segment;
    const faults = indexes.finish(isFull);
    return isFull ? faults : faults.filter(({ reason }) => reason !== 'the file is missing');
  }

  async #result(
    file: DiskFile,
    sizeBytes: number,
    startIndex: number | undefined,
    found: { reason: string | undefined; isOfAll?: boolean; indexFaults?: readonly IndexFault[] },
  ): Promise<CheckedSegment> {
    const segment = this.#segment;
    const order = this.#order;
    const { reason } = found;
    // A cleaned segment whose header contradicts its batches is bad from its beginning.
    const position = found.isOfAll === true && reason !== undefined ? 0 : this.#position;
    const fault =
      reason === undefined
        ? undefined
        : {
            position,
            offset: position === 0 ? segment.baseOffset : order.nextOffset,
            reason,
            isZeros: await isZero(file, position, sizeBytes),
            isUnreadable: reason.startsWith('the disk'),
          };
    return {
      segment,
      sizeBytes,
      validBytes: position,
      validEndOffset: fault?.offset ?? order.nextOffset,
      validEndIndex: position === 0 && fault !== undefined ? startIndex : order.nextIndex,
      startIndex,
      fault,
      indexFaults: found.indexFaults ?? [],
      aborted: this.#transactions.aborted,
      abortMarkers: this.#transactions.abortMarkers,
      transactionFault:
        reason === undefined ? await this.#transactions.fault(this.#options.disk, segment) : undefined,
    };
  }
}

/** Where an index fault is in its file. */
export function positionOfEntry({ index, entry }: IndexFault): number {
  return entry * (index === 'index' ? offsetEntryBytes : timeEntryBytes);
}

async function isZero(file: DiskFile, from: number, to: number): Promise<boolean> {
  const chunk = Buffer.alloc(64 * 1024);
  const zeros = Buffer.alloc(chunk.length);
  for (let position = from; position < to; position += chunk.length) {
    try {
      const read = await file.read(chunk.subarray(0, Math.min(chunk.length, to - position)), position);
      if (chunk.compare(zeros, 0, read, 0, read) !== 0) return false;
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== 'io') throw error;
      return false;
    }
  }
  return from < to;
}
