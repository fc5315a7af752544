/** Prints a `.log` file (or one of Kafka's snapshots) batch by batch, and record by record where that is asked for. */
import type { DiskFile } from '../../platform/disk.ts';
import {
  ProtocolError,
  batchField,
  batchHeaderBytes,
  decodeBatch,
  readBatchHeader,
  verifyBatchCrc,
} from '../../protocol/index.ts';
import type { BatchHeader } from '../../protocol/index.ts';
import { isCleanedHeader, readCleanedHeader } from '../log/segments/cleaned-header.ts';
import { decodeDeleteRecords, isRaftOnly, readRaftOnly } from '../log/raft-only.ts';
import type { DumpOptions, DumpPrinter } from './dump.ts';
import { offsetOfName } from './inspected-files.ts';
import type { InspectedFile } from './inspected-files.ts';
import { batchFields, recordFields, textOf } from './kafka-words.ts';
import { recordWords } from './record-words.ts';

export async function dumpSegment(
  { name, path, kind }: InspectedFile,
  file: DiskFile,
  options: DumpOptions,
  printer: DumpPrinter,
): Promise<void> {
  if (kind === 'checkpoint') {
    const [, offset, epoch] = /^(\d{20})-(\d{10})/.exec(name) ?? [];
    printer.line(`Snapshot end offset: ${Number(offset)}, epoch: ${Number(epoch)}`);
  } else printer.line(`Log starting offset: ${offsetOfName(name)}`);
  const sizeBytes = await file.size();
  const end = Math.min(sizeBytes, options.maxBytes ?? sizeBytes);
  let position = 0;
  for (;;) {
    const read = await readBatch(file, position, end);
    if (typeof read === 'string') {
      if (position < end && options.maxBytes === undefined) {
        printer.line(`Found ${sizeBytes - position} invalid bytes at the end of ${name}`);
        printer.fault({ file: path, position, reason: read });
      }
      return;
    }
    dumpBatch(read, { path, position }, options, printer);
    await printer.flush();
    position += read.length;
  }
}

/** The batch that begins here, whole; else why there is none. */
async function readBatch(file: DiskFile, position: number, end: number): Promise<Buffer | string> {
  const head = Buffer.alloc(Math.min(batchHeaderBytes, end - position));
  await file.read(head, position);
  if (head.length < batchHeaderBytes) return 'the last batch is cut off';
  const sizeBytes = batchField.sizeBytes(head);
  const magic = batchField.magic(head);
  if (sizeBytes < batchHeaderBytes) return 'no batch has this length';
  if (magic !== 2) return `a batch of format ${magic}: only format 2 is read`;
  if (sizeBytes > end - position) return 'the last batch is cut off';
  const batch = Buffer.alloc(sizeBytes);
  await file.read(batch, position);
  return batch;
}

function dumpBatch(
  batch: Buffer,
  { path, position }: { readonly path: string; readonly position: number },
  options: DumpOptions,
  printer: DumpPrinter,
): void {
  let header: BatchHeader;
  try {
    header = readBatchHeader(batch);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    printer.fault({ file: path, position, reason: error.message });
    return;
  }
  const isValid = verifyBatchCrc(batch);
  const fields = batchFields({ header, position, isValid });
  const own = isValid ? ownFields(batch) : undefined;
  printer.item('batch', fields, textOf(fields));
  if (own !== undefined) printer.extra('raftOnly', own);
  if (!isValid) printer.fault({ file: path, position, reason: 'the CRC does not fit the batch' });
  else if (options.records !== 'none') dumpRecords(batch, header, { path, position }, options, printer);
}

function dumpRecords(
  batch: Buffer,
  header: BatchHeader,
  place: { readonly path: string; readonly position: number },
  { records, decoder, skipRecordMetadata }: DumpOptions,
  printer: DumpPrinter,
): void {
  try {
    for (const record of decodeBatch(batch)) {
      const metadata = skipRecordMetadata ? {} : recordFields(header, record);
      const words = records === 'contents' && !header.isControl ? recordWords(record, decoder) : undefined;
      const contents = {
        ...(words?.key === undefined ? {} : { key: words.key }),
        ...(words?.payload === undefined ? {} : { payload: words.payload }),
      };
      const fields = { ...metadata, ...contents };
      const isEmpty = Object.keys(fields).length === 0;
      printer.item('record', fields, isEmpty ? '' : `| ${textOf(fields)}`);
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    printer.fault({ file: place.path, position: place.position, reason: error.message });
  }
}

/** What a batch of Raft's own says; Kafka's tool sees an empty control batch. */
function ownFields(batch: Buffer): Record<string, unknown> | undefined {
  if (!isRaftOnly(batch, 0)) return undefined;
  if (isCleanedHeader(batch, 0)) return { kind: 'cleaned', ...readCleanedHeader(batch, 0) };
  const entry = readRaftOnly(batch, 0);
  if (entry === undefined) return { kind: 'unknown' };
  const { kind, term, index, offset, payload } = entry;
  const content =
    kind === 'delete-records'
      ? { logStartOffset: decodeDeleteRecords(payload) }
      : { payloadBytes: payload.length };
  return { kind, term, index, offset, ...content };
}
