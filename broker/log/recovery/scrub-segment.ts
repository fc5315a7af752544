/**
 * Reads one full segment from end to end and compares it with itself, with its log and with its indexes. It has a file
 * handle and a buffer of its own, so that it takes nothing from those who read for clients; that its reads pass through the
 * operating system's page cache cannot be helped, which is why they are small and slow.
 */
import { DiskError } from '../../../platform/disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import { ProtocolError } from '../../../protocol/index.ts';
import { OpenTransactions } from '../segments/aborted-transactions.ts';
import { IndexCheck, readIndexFiles } from './index-check.ts';
import type { LogDamage } from '../log-types.ts';
import { OrderCheck } from './order-check.ts';
import type { KnownPositions, OrderRules } from './order-check.ts';
import { kafkaEpochFile } from './recovery-leftovers.ts';
import { checkBatches } from './segment-check.ts';
import type { SoundBatch } from './segment-check.ts';
import type { Segment } from '../segments/segment.ts';
import { TransactionIndexCheck } from './transaction-index-check.ts';

/** What scrubbing needs of a log; CommitLog is one. */
export interface ScrubbedLog extends KnownPositions {
  readonly directory: string;
  /** Closed segments, oldest first. */
  fullSegments(): readonly Segment[];
  raftOnlyEntries(): readonly { readonly index: number }[];
  readonly damage: readonly LogDamage[];
  reportDamage(damage: LogDamage): void;
  /** Makes the index files of a full segment again; false where it has gone. Rejects with a DiskError. */
  remakeIndexes(segment: Segment): Promise<boolean>;
}

export type ScrubOutcome =
  | { readonly kind: 'sound' }
  /** Everything that is wrong has been reported to the log. */
  | { readonly kind: 'damaged'; readonly damage: readonly LogDamage[] }
  /** Its index files were not what its batches say, and have been made again; nothing is lost. A reason for each file. */
  | { readonly kind: 'repaired'; readonly reasons: readonly string[] }
  /** The segment was taken out of its log or cut, or the scrubber was stopped, before it had been read. */
  | { readonly kind: 'removed' | 'stopped' };

export interface ScrubOptions {
  readonly disk: Disk;
  /** Resolves when so many bytes more may be read; false to stop. */
  readonly pace: (readBytes: number) => Promise<boolean>;
}

/** Rejects with a DiskError where the disk says neither what the bytes are nor that they are lost (too many open files, say). */
export async function scrubSegment(
  log: ScrubbedLog,
  segment: Segment,
  options: ScrubOptions,
): Promise<ScrubOutcome> {
  const pass = new ScrubPass(log, segment);
  try {
    const isDone = await pass.run(options);
    if (isGoing(segment)) return { kind: 'removed' };
    if (!isDone) return { kind: 'stopped' };
  } catch (error) {
    if (isGoing(segment)) return { kind: 'removed' };
    if (!(error instanceof DiskError) || (error.code !== 'io' && error.code !== 'not-found')) throw error;
    pass.add(error.path, pass.position, `it cannot be read: ${error.message}`);
  }
  const { found } = pass;
  for (const damage of found) if (!isReported(log, damage)) log.reportDamage(damage);
  if (found.length > 0) return { kind: 'damaged', damage: found };
  if (pass.indexFaults.length === 0) return { kind: 'sound' };
  if (!(await log.remakeIndexes(segment))) return { kind: 'removed' };
  return { kind: 'repaired', reasons: pass.indexFaults };
}

/** In a swap its files go, and others take their names, before it is taken out: what has been read may be either's. */
function isGoing({ isCurrent, isPinned }: Segment): boolean {
  return !isCurrent || isPinned;
}

class ScrubPass {
  readonly found: LogDamage[] = [];
  /** What is wrong with its index files, where the segment itself is sound. */
  indexFaults: readonly string[] = [];
  /** Up to here the segment is as it should be. */
  position = 0;
  readonly #log: ScrubbedLog;
  readonly #segment: Segment;
  readonly #transactions = new TransactionIndexCheck(new OpenTransactions());
  #order: OrderCheck;

  constructor(log: ScrubbedLog, segment: Segment) {
    this.#log = log;
    this.#segment = segment;
    this.#order = this.#orderOf('kappalog');
  }

  #orderOf(writer: OrderRules['writer']): OrderCheck {
    return new OrderCheck({ writer, table: this.#log }, { offset: this.#segment.baseOffset });
  }

  /** In a log that Kafka began, all before the first entry of Raft's is Kafka's. */
  async #isAdopted(disk: Disk): Promise<boolean> {
    const firstOwn = this.#log.raftOnlyEntries()[0]?.index ?? Infinity;
    if (firstOwn < this.#segment.startIndex) return false;
    return disk.exists(`${this.#log.directory}/${kafkaEpochFile}`);
  }

  /** False where it was stopped. */
  async run({ disk, pace }: ScrubOptions): Promise<boolean> {
    const segment = this.#segment;
    const isAdopted = await this.#isAdopted(disk);
    if (isAdopted) this.#order = this.#orderOf('kafka');
    const order = this.#order;
    const files = await readIndexFiles(disk, segment);
    const indexes = new IndexCheck({ baseOffset: segment.baseOffset, isExact: !isAdopted }, files);
    let isStopped = false;
    order.beginSegment(segment.baseOffset);
    const file = await disk.open(segment.path, 'read');
    try {
      const sizeBytes = await file.size();
      const to = segment.writtenBytes;
      if (sizeBytes !== to)
        this.add(segment.path, Math.min(sizeBytes, to), `it has ${sizeBytes} bytes, not ${to}`);
      const { position, fault } = await checkBatches(
        file,
        { from: 0, to: Math.min(sizeBytes, to) },
        {
          visit: (batch) => {
            if (isStopped) return 'stop';
            this.position = batch.position;
            const reason = order.take(batch) ?? this.#takeMarker(batch);
            if (reason === undefined) indexes.take(batch);
            return reason;
          },
          pause: async (readBytes) => {
            isStopped ||= !segment.isCurrent || !(await pace(readBytes));
          },
        },
      );
      if (isStopped) return false;
      this.position = position;
      if (fault === undefined) {
        this.#finish(indexes, isAdopted);
        await this.#checkTransactions(disk);
      } else this.add(segment.path, position, fault);
    } finally {
      await file.close();
    }
    return true;
  }

  #takeMarker(batch: SoundBatch): string | undefined {
    try {
      this.#transactions.take(batch);
      return undefined;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return `the control batch cannot be read: ${error.message}`;
    }
  }

  /** The file cannot be made again from the segment alone, as transactions may have begun before it. */
  async #checkTransactions(disk: Disk): Promise<void> {
    const reason = await this.#transactions.fault(disk, this.#segment);
    if (reason !== undefined) this.add(this.#segment.transactionIndexPath, 0, reason);
  }

  /** What only shows at the end, in a segment whose batches are all sound. */
  #finish(indexes: IndexCheck, mayLack: boolean): void {
    const { path, endOffset } = this.#segment;
    const reason = this.#order.endSegment();
    if (reason !== undefined) {
      this.add(path, 0, reason);
      return;
    }
    // Of Kafka's own segments, a compaction may have taken the end too.
    if (this.#order.nextOffset !== endOffset && !(mayLack && this.#order.nextOffset < endOffset))
      this.add(path, this.position, `it ends at offset ${this.#order.nextOffset}, not at ${endOffset}`);
    this.indexFaults = indexes.finish(true).map((fault) => {
      const { offsetIndexPath, timeIndexPath } = this.#segment;
      return `${fault.index === 'index' ? offsetIndexPath : timeIndexPath}, entry ${fault.entry}: ${fault.reason}`;
    });
  }

  add(file: string, position: number, reason: string): void {
    const log = this.#log;
    const validEndOffset = this.#order.nextOffset;
    const floorEndIndex = log.indexOfOffset(this.#segment.endOffset);
    this.found.push({
      kind: 'corrupt',
      foundBy: 'scrub',
      file,
      position,
      reason,
      validEndIndex: this.#order.nextIndex ?? log.indexOfOffset(validEndOffset),
      validEndOffset,
      floorTerm: log.termAt(floorEndIndex - 1),
      floorEndIndex,
    });
  }
}

/** What is found again in a later pass is no news. */
function isReported(log: ScrubbedLog, { file, position, reason }: LogDamage): boolean {
  return log.damage.some(
    (known) => known.file === file && known.position === position && known.reason === reason,
  );
}
