/**
 * Whether a segment's `.txnindex` says what its markers do: carried along batch by batch. Begins with the transactions that are
 * open where the segment begins; without them, those that began before the segment are not missed in the file.
 */
import type { Disk } from '../../../platform/disk.ts';
import { readWholeFile } from '../../../platform/whole-files.ts';
import { batchField } from '../../../protocol/index.ts';
import { decodeAbortedTransactions, readMarker } from '../segments/aborted-transactions.ts';
import type { AbortedTransaction, OpenTransactions } from '../segments/aborted-transactions.ts';
import { checkBlockBytes } from './segment-check.ts';
import type { SoundBatch } from './segment-check.ts';

const controlAttribute = 0x20;

export class TransactionIndexCheck {
  /** What the file has to hold, as far as is known. */
  readonly aborted: AbortedTransaction[] = [];
  /** Offsets of all markers that abort. */
  readonly abortMarkers = new Set<number>();
  readonly #open: OpenTransactions;

  /** `open` goes along, and is afterwards what is open at the segment's end. */
  constructor(open: OpenTransactions) {
    this.#open = open;
  }

  /** Throws a ProtocolError for a control batch that cannot be read. */
  take(batch: SoundBatch): void {
    // Of a larger batch the header alone is in memory: enough for one that belongs to a transaction, and no marker is as large.
    if (batch.sizeBytes > checkBlockBytes && isControl(batch)) return;
    const marker = readMarker(batch);
    if (marker?.type === 'ABORT') this.abortMarkers.add(marker.offset);
    const aborted = this.#open.take(batch);
    if (aborted !== undefined) this.aborted.push(aborted);
  }

  /** All of the segment has been taken: what is wrong with its file, or with the lack of one. Rejects with a DiskError. */
  async fault(
    disk: Disk,
    segment: {
      readonly baseOffset: number;
      readonly endOffset: number;
      readonly transactionIndexPath: string;
    },
  ): Promise<string | undefined> {
    const path = segment.transactionIndexPath;
    const bytes = (await disk.exists(path)) ? await readWholeFile(disk, path) : Buffer.alloc(0);
    const { entries, fault } = decodeAbortedTransactions(bytes, segment);
    if (fault !== undefined) return fault;
    const markers = new Set(entries.map(({ lastOffset }) => lastOffset));
    const lacking = this.aborted.find(({ lastOffset }) => !markers.has(lastOffset));
    if (lacking !== undefined)
      return `the transaction that was aborted at offset ${lacking.lastOffset} is missing`;
    // The batches of an entry's transaction may be gone, by a compaction or with the log's beginning; its marker may not.
    const stray = entries.find(({ lastOffset }) => !this.abortMarkers.has(lastOffset));
    return stray === undefined ? undefined : `nothing is aborted at offset ${stray.lastOffset}`;
  }
}

function isControl({ buffer, at }: SoundBatch): boolean {
  return (batchField.attributes(buffer, at) & controlAttribute) !== 0;
}
