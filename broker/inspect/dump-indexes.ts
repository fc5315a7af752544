/** Prints a segment's index files and snapshots of producers' states as Kafka's DumpLogSegments does. */
import type { Disk, DiskFile } from '../../platform/disk.ts';
import { batchField, batchHeaderBytes, codec, crc32c, ProtocolError } from '../../protocol/index.ts';
import { decodeAbortedTransactions } from '../log/segments/aborted-transactions.ts';
import { OffsetIndex, TimeIndex, offsetEntryBytes, timeEntryBytes } from '../log/segments/segment-indexes.ts';
import { segmentPath } from '../log/segments/segment.ts';
import type { DumpPrinter } from './dump.ts';
import { offsetOfName, parentOf } from './inspected-files.ts';
import type { InspectedFile } from './inspected-files.ts';
import { optionalLong, textOf } from './kafka-words.ts';

export async function dumpOffsetIndex(
  disk: Disk,
  { path, name }: InspectedFile,
  bytes: Buffer,
  printer: DumpPrinter,
): Promise<void> {
  const baseOffset = offsetOfName(name);
  const index = new OffsetIndex(bytes);
  if (index.count === 0) printer.line(`${path} is empty.`);
  const log = await openLog(disk, path);
  try {
    for (let entry = 0; entry < index.count; entry++) {
      // Zeros behind the entries are a file that was made large at once, or torn.
      if (index.offsetAt(entry) === 0 && entry > 0) break;
      const fields = { offset: baseOffset + index.offsetAt(entry), position: index.positionAt(entry) };
      printer.item('offset-index-entry', fields, textOf(fields));
      const lastOffset = log === undefined ? fields.offset : await lastOffsetAt(log, fields.position);
      if (lastOffset !== fields.offset) {
        const is =
          lastOffset === undefined ? 'no batch begins there' : `the batch there ends at ${lastOffset}`;
        printer.fault({ file: path, position: entry * offsetEntryBytes, reason: `${textOf(fields)}: ${is}` });
      }
    }
  } finally {
    await log?.close();
  }
  tailFault(path, bytes, offsetEntryBytes, printer);
}

export async function dumpTimeIndex(
  _disk: Disk,
  { path, name }: InspectedFile,
  bytes: Buffer,
  printer: DumpPrinter,
): Promise<void> {
  const baseOffset = offsetOfName(name);
  const index = new TimeIndex(bytes);
  let before = -1;
  for (let entry = 0; entry < index.count; entry++) {
    const { timestamp, relativeOffset } = index.entryAt(entry);
    if (relativeOffset === 0 && entry > 0) break;
    const fields = { timestamp, offset: baseOffset + relativeOffset };
    printer.item('time-index-entry', fields, textOf(fields));
    if (timestamp <= before) {
      const reason = `${textOf(fields)}: the entry before it says ${before}`;
      printer.fault({ file: path, position: entry * timeEntryBytes, reason });
    }
    before = timestamp;
  }
  tailFault(path, bytes, timeEntryBytes, printer);
}

export function dumpTransactionIndex(
  { path, name }: InspectedFile,
  bytes: Buffer,
  printer: DumpPrinter,
): void {
  const segment = { baseOffset: offsetOfName(name), endOffset: Number.MAX_SAFE_INTEGER };
  const { entries, fault } = decodeAbortedTransactions(bytes, segment);
  for (const entry of entries) {
    const fields = { version: 0, ...entry };
    printer.item('aborted-transaction', fields, textOf(fields));
  }
  if (fault !== undefined) printer.fault({ file: path, position: entries.length * 34, reason: fault });
}

export function dumpProducerSnapshot({ path }: InspectedFile, bytes: Buffer, printer: DumpPrinter): void {
  const fault = snapshotFault(bytes);
  if (fault !== undefined) {
    printer.fault({ file: path, position: 0, reason: fault });
    return;
  }
  for (const entry of codec('ProducerSnapshot', 1).decode(bytes.subarray(2)).producerEntries) {
    const firstSequence = entry.lastSequence - entry.offsetDelta;
    const fields = {
      producerId: entry.producerId,
      producerEpoch: entry.epoch,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTxnFirstOffset: optionalLong(
        entry.currentTxnFirstOffset < 0 ? undefined : entry.currentTxnFirstOffset,
      ),
      lastTimestamp: entry.timestamp,
      ...(entry.lastOffset < 0
        ? {}
        : {
            firstSequence: firstSequence < 0 ? firstSequence + 2 ** 31 : firstSequence,
            lastSequence: entry.lastSequence,
            lastOffset: entry.lastOffset,
            offsetDelta: entry.offsetDelta,
            timestamp: entry.timestamp,
          }),
    };
    printer.item('producer', fields, textOf(fields));
  }
}

/** What is wrong with a producer snapshot; undefined for a sound one. */
export function snapshotFault(bytes: Buffer): string | undefined {
  if (bytes.length < 6) return `a snapshot of ${bytes.length} bytes`;
  const version = bytes.readInt16BE(0);
  if (version !== 1) return `a snapshot of version ${version}`;
  if (bytes.readUInt32BE(2) !== crc32c(bytes.subarray(6))) return 'the CRC does not fit the snapshot';
  try {
    codec('ProducerSnapshot', 1).decode(bytes.subarray(2));
    return undefined;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return error.message;
  }
}

async function openLog(disk: Disk, indexPath: string): Promise<DiskFile | undefined> {
  const name = indexPath.slice(indexPath.lastIndexOf('/') + 1);
  const path = segmentPath(parentOf(indexPath), offsetOfName(name), 'log');
  return (await disk.exists(path)) ? disk.open(path, 'read') : undefined;
}

async function lastOffsetAt(log: DiskFile, position: number): Promise<number | undefined> {
  if (position < 0) return undefined;
  const head = Buffer.alloc(batchHeaderBytes);
  if ((await log.read(head, position)) < batchHeaderBytes || batchField.magic(head) !== 2) return undefined;
  return batchField.lastOffset(head);
}

function tailFault(path: string, bytes: Buffer, entryBytes: number, printer: DumpPrinter): void {
  const over = bytes.length % entryBytes;
  if (over !== 0)
    printer.fault({
      file: path,
      position: bytes.length - over,
      reason: `the last ${over} bytes are no whole entry`,
    });
}
