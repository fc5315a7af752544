/**
 * The `.txnindex` files of one log: adds entries, finds the aborted transactions of a range, cuts and makes files again. It
 * knows from the start which segments have a file, so that a log without aborted transactions costs nothing; the entries
 * of the others are read when they are first asked for and kept. Calls that change one segment's file must not overlap.
 */
import type { Disk } from '../../../platform/disk.ts';
import { readWholeFile } from '../../../platform/whole-files.ts';
import {
  AbortedTransactionIndex,
  decodeAbortedTransactions,
  encodeAbortedTransactions,
} from './aborted-transactions.ts';
import type { AbortedTransaction, OpenTransactions } from './aborted-transactions.ts';
import { scanBatches } from '../reading/batch-scan.ts';

/** What is to be known of a segment; Segment is one. */
export interface TransactionSegment {
  readonly directory: string;
  readonly baseOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
  readonly writtenBytes: number;
  readonly path: string;
}

const scanChunkBytes = 1024 * 1024;
const pattern = /^(\d{20})\.txnindex$/;

/** The file of a segment exists and is not what it should be: it has to be made again. */
export class DamagedTransactionIndex extends Error {
  readonly path: string;
  readonly fault: string;

  constructor(path: string, fault: string) {
    super(`${path} is damaged: ${fault}`);
    this.name = 'DamagedTransactionIndex';
    this.path = path;
    this.fault = fault;
  }
}

export class TransactionIndexFiles {
  readonly #disk: Disk;
  /** By base offset, those of segments with a file; undefined until it has been read. */
  readonly #indexes = new Map<number, AbortedTransactionIndex | undefined>();

  /** Counts what was forgotten. */
  #changes = 0;

  /** `names`: those of the log's directory. */
  constructor(disk: Disk, names: readonly string[]) {
    this.#disk = disk;
    for (const name of names) {
      const base = pattern.exec(name)?.[1];
      if (base !== undefined) this.#indexes.set(Number(base), undefined);
    }
  }

  /** Whether any segment has aborted transactions. */
  get isEmpty(): boolean {
    return this.#indexes.size === 0;
  }

  /**
   * The aborted transactions with offsets in [fetchOffset, endOffset), as a Fetch answer lists them: ascending by marker.
   * `segments`: from the one that holds `fetchOffset` to the last, ascending, as a marker may stand far behind its
   * transaction. Rejects with a DamagedTransactionIndex or a DiskError.
   */
  async collect(
    segments: readonly TransactionSegment[],
    fetchOffset: number,
    endOffset: number,
  ): Promise<AbortedTransaction[]> {
    const found: AbortedTransaction[] = [];
    if (this.isEmpty) return found;
    for (const segment of segments) {
      if (!this.#indexes.has(segment.baseOffset)) continue;
      if ((await this.of(segment)).collect(fetchOffset, endOffset, found)) break;
    }
    return found;
  }

  /** A segment's entries; none where it has no file. Rejects with a DamagedTransactionIndex or a DiskError. */
  async of(segment: TransactionSegment): Promise<AbortedTransactionIndex> {
    const known = this.#indexes.get(segment.baseOffset);
    if (known !== undefined) return known;
    if (!this.#indexes.has(segment.baseOffset)) return new AbortedTransactionIndex();
    const path = transactionIndexPath(segment);
    const changes = this.#changes;
    const { entries, fault } = decodeAbortedTransactions(await readWholeFile(this.#disk, path), segment);
    if (fault !== undefined) throw new DamagedTransactionIndex(path, fault);
    const index = new AbortedTransactionIndex(entries);
    // Files went meanwhile: another one may have this name by now.
    if (this.#changes === changes) this.#indexes.set(segment.baseOffset, index);
    return index;
  }

  /** Adds the transactions that markers at the segment's end abort; durable, but for the file's name, when it resolves. */
  async add(segment: TransactionSegment, transactions: readonly AbortedTransaction[]): Promise<void> {
    if (transactions.length === 0) return;
    const index = await this.of(segment);
    const position = index.sizeBytes;
    for (const transaction of transactions) index.add(transaction);
    this.#indexes.set(segment.baseOffset, index);
    await this.#write(segment, encodeAbortedTransactions(transactions), position);
  }

  /** Drops the entries of markers at or above `endOffset`, and the file where none are left. Durable when the directory has been synced. */
  async cut(segment: TransactionSegment, endOffset: number): Promise<void> {
    const index = await this.of(segment);
    if (!index.cutAtOffset(endOffset)) return;
    await this.#replace(segment, index);
  }

  /**
   * Makes a segment's file again from its batches. `open`: the transactions that are open at its start; afterwards, at its
   * end. Durable when the directory has been synced. Rejects with a DiskError.
   */
  async rebuild(segment: TransactionSegment, open: OpenTransactions): Promise<AbortedTransactionIndex> {
    const index = new AbortedTransactionIndex();
    const file = await this.#disk.open(segment.path, 'read');
    try {
      const range = { from: 0, to: segment.writtenBytes, chunkBytes: scanChunkBytes };
      await scanBatches(file, range, (batch) => {
        const aborted = open.take(batch);
        if (aborted !== undefined) index.add(aborted);
        return undefined;
      });
    } finally {
      await file.close();
    }
    await this.#replace(segment, index);
    return index;
  }

  /** The segment or its file has been removed or replaced; `hasFile` says whether there is one now. */
  forget(baseOffset: number, hasFile: boolean): void {
    this.#changes++;
    if (hasFile) this.#indexes.set(baseOffset, undefined);
    else this.#indexes.delete(baseOffset);
  }

  async #replace(segment: TransactionSegment, index: AbortedTransactionIndex): Promise<void> {
    const path = transactionIndexPath(segment);
    if (index.entries.length === 0) {
      this.#indexes.delete(segment.baseOffset);
      if (await this.#disk.exists(path)) await this.#disk.remove(path);
      return;
    }
    this.#indexes.set(segment.baseOffset, index);
    await this.#write(segment, encodeAbortedTransactions(index.entries), 0);
  }

  /** Writes at a position and cuts what follows. */
  async #write(segment: TransactionSegment, bytes: Buffer, position: number): Promise<void> {
    const file = await this.#disk.open(transactionIndexPath(segment), 'create');
    try {
      await file.write([bytes], position);
      await file.truncate(position + bytes.length);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

function transactionIndexPath({ directory, baseOffset }: TransactionSegment): string {
  return `${directory}/${String(baseOffset).padStart(20, '0')}.txnindex`;
}
