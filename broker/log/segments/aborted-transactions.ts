/**
 * The transactions that were aborted by a marker in a segment, in Kafka's `.txnindex` format: what a read_committed consumer
 * has to be told beside the batches of a fetch, and what the cleaner may drop. An entry belongs to the segment that holds the
 * abort marker, while the transaction's batches may lie in earlier ones. Entries ascend by the marker's offset.
 *
 * A file exists only where it has entries. It has no checksum, as Kafka's has none: what is checked when it is read is that
 * whole entries of version 0 ascend within the segment and contradict neither themselves nor each other. Entries follow
 * from the log, so a file that fails this is made again; one that is missing is noticed by who reads all batches anyway
 * (scrubbing, `kappalog log verify`), as nothing else says that a segment has markers of aborts.
 */
import { batchField, decodeBatch, decodeControlRecord } from '../../../protocol/index.ts';
import type { ScannedBatch } from '../reading/batch-scan.ts';
import { isRaftOnly, readInt64, writeInt64 } from '../raft-only.ts';

/** version int16, producer id int64, first offset int64, last offset int64, last stable offset int64 */
export const abortedTransactionBytes = 34;
const formatVersion = 0;

export interface AbortedTransaction {
  readonly producerId: number;
  /** Of its first batch in the partition. */
  readonly firstOffset: number;
  /** Of the marker that aborts it. */
  readonly lastOffset: number;
  /** Where the earliest transaction that was open after the marker begins; after the marker where there was none. */
  readonly lastStableOffset: number;
}

/** The entries of one segment, in memory. */
export class AbortedTransactionIndex {
  readonly #entries: AbortedTransaction[];

  constructor(entries: readonly AbortedTransaction[] = []) {
    this.#entries = [...entries];
  }

  get entries(): readonly AbortedTransaction[] {
    return this.#entries;
  }

  get sizeBytes(): number {
    return this.#entries.length * abortedTransactionBytes;
  }

  /** Adds the transaction of the newest marker. */
  add(transaction: AbortedTransaction): void {
    const last = this.#entries.at(-1);
    if (last !== undefined && transaction.lastOffset <= last.lastOffset)
      throw new RangeError(`markers ascend: ${transaction.lastOffset} comes after ${last.lastOffset}`);
    this.#entries.push(transaction);
  }

  /** Drops the entries whose markers are at or above `offset`; tells whether there were any. */
  cutAtOffset(offset: number): boolean {
    const kept = this.#entries.findIndex(({ lastOffset }) => lastOffset >= offset);
    if (kept < 0) return false;
    this.#entries.length = kept;
    return true;
  }

  /**
   * Adds to `found` the transactions with offsets in [fetchOffset, endOffset). True: no later segment can have more, because
   * everything below `endOffset` was decided when one of these markers was written.
   */
  collect(fetchOffset: number, endOffset: number, found: AbortedTransaction[]): boolean {
    for (const entry of this.#entries) {
      if (entry.lastOffset >= fetchOffset && entry.firstOffset < endOffset) found.push(entry);
      if (entry.lastStableOffset >= endOffset) return true;
    }
    return false;
  }
}

export function encodeAbortedTransactions(entries: readonly AbortedTransaction[]): Buffer {
  const bytes = Buffer.alloc(entries.length * abortedTransactionBytes);
  for (const [place, entry] of entries.entries()) {
    const position = place * abortedTransactionBytes;
    bytes.writeInt16BE(formatVersion, position);
    writeInt64(bytes, entry.producerId, position + 2);
    writeInt64(bytes, entry.firstOffset, position + 10);
    writeInt64(bytes, entry.lastOffset, position + 18);
    writeInt64(bytes, entry.lastStableOffset, position + 26);
  }
  return bytes;
}

export interface ReadAbortedTransactions {
  /** Up to the first fault. */
  readonly entries: AbortedTransaction[];
  /** What is wrong with the bytes after these entries; undefined for a sound file. */
  readonly fault: string | undefined;
}

/** What a file holds. `segment`: the offsets that its markers must lie in. */
export function decodeAbortedTransactions(
  bytes: Buffer,
  segment: { readonly baseOffset: number; readonly endOffset: number },
): ReadAbortedTransactions {
  const entries: AbortedTransaction[] = [];
  for (let position = 0; position < bytes.length; position += abortedTransactionBytes) {
    if (bytes.length - position < abortedTransactionBytes)
      return { entries, fault: 'the last entry is cut off' };
    const version = bytes.readInt16BE(position);
    if (version !== formatVersion)
      return { entries, fault: `entry ${entries.length} is of version ${version}` };
    const entry = readEntry(bytes, position);
    const fault = faultOf(entry, entries.at(-1), segment);
    if (fault !== undefined) return { entries, fault: `entry ${entries.length} ${fault}` };
    entries.push(entry);
  }
  return { entries, fault: undefined };
}

function readEntry(bytes: Buffer, position: number): AbortedTransaction {
  return {
    producerId: readInt64(bytes, position + 2),
    firstOffset: readInt64(bytes, position + 10),
    lastOffset: readInt64(bytes, position + 18),
    lastStableOffset: readInt64(bytes, position + 26),
  };
}

function faultOf(
  entry: AbortedTransaction,
  before: AbortedTransaction | undefined,
  { baseOffset, endOffset }: { readonly baseOffset: number; readonly endOffset: number },
): string | undefined {
  const { producerId, firstOffset, lastOffset, lastStableOffset } = entry;
  if (producerId < 0) return `has the producer id ${producerId}`;
  if (firstOffset < 0 || firstOffset >= lastOffset)
    return `is of a transaction from offset ${firstOffset} to its marker at ${lastOffset}`;
  if (lastOffset < baseOffset || lastOffset >= endOffset)
    return `has its marker at offset ${lastOffset}, outside the segment's ${baseOffset} to ${endOffset}`;
  if (before !== undefined && lastOffset <= before.lastOffset)
    return `has its marker at offset ${lastOffset}, after one at ${before.lastOffset}`;
  if (lastStableOffset < 0 || lastStableOffset > lastOffset + 1)
    return `says ${lastStableOffset} was stable at its marker at ${lastOffset}`;
  return undefined;
}

/**
 * The transactions that are open at a place in the log, by producer: carried along batch by batch, it yields the entries of
 * the index. Begins with those that were open where the first batch stands: none at the log's start, those of a producer
 * snapshot elsewhere.
 */
export class OpenTransactions {
  /** First offsets by producer id, ascending, as transactions are added when they begin. */
  readonly #firstOffsets: Map<number, number>;

  constructor(open: Iterable<readonly [producerId: number, firstOffset: number]> = []) {
    this.#firstOffsets = new Map([...open].sort(([, a], [, b]) => a - b));
  }

  /** Producer id and first offset of each, ascending by offset. */
  get all(): readonly (readonly [producerId: number, firstOffset: number])[] {
    return [...this.#firstOffsets];
  }

  /** Takes the next batch, whose CRC has been checked; the entry of the transaction that it aborts, if it does. Throws a ProtocolError for a control batch that cannot be read. */
  take(batch: ScannedBatch): AbortedTransaction | undefined {
    const { buffer, at } = batch;
    const attributes = batchField.attributes(buffer, at);
    if ((attributes & transactionalAttribute) === 0 || isRaftOnly(buffer, at)) return undefined;
    if ((attributes & controlAttribute) !== 0) return this.#end(readMarker(batch));
    // A compaction may have left the batch without records, and the transaction is as open.
    const producerId = batchField.producerId(buffer, at);
    if (!this.#firstOffsets.has(producerId))
      this.#firstOffsets.set(producerId, batchField.baseOffset(buffer, at));
    return undefined;
  }

  #end(marker: Marker | undefined): AbortedTransaction | undefined {
    if (marker === undefined) return undefined;
    const { producerId, offset } = marker;
    const firstOffset = this.#firstOffsets.get(producerId);
    // A marker of a transaction that wrote nothing here ends nothing.
    if (firstOffset === undefined) return undefined;
    this.#firstOffsets.delete(producerId);
    if (marker.type === 'COMMIT') return undefined;
    const [next] = this.#firstOffsets.values();
    return { producerId, firstOffset, lastOffset: offset, lastStableOffset: next ?? offset + 1 };
  }
}

export interface Marker {
  readonly producerId: number;
  readonly offset: number;
  readonly type: 'ABORT' | 'COMMIT';
}

/** The marker of a transaction's end that the batch holds, if it does. Throws a ProtocolError for a control batch that cannot be read. */
export function readMarker({ buffer, at, sizeBytes }: ScannedBatch): Marker | undefined {
  const attributes = batchField.attributes(buffer, at);
  const isMarker = (attributes & transactionalAttribute) !== 0 && (attributes & controlAttribute) !== 0;
  if (!isMarker || isRaftOnly(buffer, at)) return undefined;
  const [record] = decodeBatch(buffer.subarray(at, at + sizeBytes));
  if (record === undefined) return undefined;
  const { type } = decodeControlRecord(record);
  if (type !== 'ABORT' && type !== 'COMMIT') return undefined;
  return { producerId: batchField.producerId(buffer, at), offset: record.offset, type };
}

const transactionalAttribute = 0x10;
const controlAttribute = 0x20;
