/**
 * `kappalog log dump`: what a log's files hold, in the words of Kafka's DumpLogSegments. What that tool does not know, Raft's
 * own entries and this broker's other files, and what is wrong, comes in lines that begin with `#`.
 */
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile } from '../../platform/whole-files.ts';
import {
  dumpOffsetIndex,
  dumpProducerSnapshot,
  dumpTimeIndex,
  dumpTransactionIndex,
} from './dump-indexes.ts';
import { dumpOwnFile } from './dump-own-files.ts';
import { dumpSegment } from './dump-segment.ts';
import { fileOf } from './inspected-files.ts';
import type { InspectedFile, InspectedPartition, Target } from './inspected-files.ts';
import { textOf } from './kafka-words.ts';
import type { RecordDecoder } from './record-words.ts';

export interface DumpOptions {
  /** Batches alone, each record's fields too, or its key and value as well. */
  readonly records: 'none' | 'metadata' | 'contents';
  readonly decoder: RecordDecoder;
  readonly skipRecordMetadata: boolean;
  /** Of each `.log`: no batch that ends behind it. */
  readonly maxBytes: number | undefined;
}

export interface DumpFault {
  readonly file: string;
  readonly position: number;
  readonly reason: string;
}

/** One line of text and the same as an object. */
export interface DumpedItem {
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Takes what is printed, in order; resolves when more may come. */
export type DumpSink = (item: DumpedItem) => Promise<void>;

/** Takes the items of one file; `flush` hands them on, so that no more than a batch's are held. */
export class DumpPrinter {
  faults = 0;
  readonly #file: string;
  readonly #sink: DumpSink;
  #items: DumpedItem[] = [];

  constructor(file: string, sink: DumpSink) {
    this.#file = file;
    this.#sink = sink;
  }

  async flush(): Promise<void> {
    const items = this.#items;
    this.#items = [];
    for (const item of items) await this.#sink(item);
  }

  line(text: string): void {
    this.#items.push({ text, json: { type: 'note', file: this.#file, text } });
  }

  item(type: string, fields: Readonly<Record<string, unknown>>, text: string): void {
    this.#items.push({ text, json: { type, file: this.#file, ...fields } });
  }

  /** What Kafka's tool does not print. */
  extra(type: string, fields: Readonly<Record<string, unknown>>): void {
    this.item(type, fields, `# ${type} ${textOf(fields)}`);
  }

  fault({ file, position, reason }: DumpFault): void {
    this.faults++;
    this.item('fault', { position, reason }, `# ${file}, position ${position}: ${reason}`);
  }
}

/** Faults found; the dump goes on behind them where it can. Rejects with a DiskError. */
export async function dumpTarget(
  disk: Disk,
  target: Target,
  options: DumpOptions,
  sink: DumpSink,
): Promise<number> {
  let faults = 0;
  for (const file of filesOf(target)) faults += await dumpFile(disk, file, options, sink);
  return faults;
}

function filesOf(target: Target): InspectedFile[] {
  switch (target.kind) {
    case 'file':
      return [target.file];
    case 'partition':
      return filesOfPartition(target.partition);
    case 'data-directory': {
      const { path, names, partitions } = target.directory;
      return [...filesIn(path, names), ...partitions.flatMap(filesOfPartition)];
    }
    default:
      return [];
  }
}

function filesOfPartition({ path, names }: InspectedPartition): InspectedFile[] {
  return filesIn(path, names);
}

function filesIn(directory: string, names: readonly string[]): InspectedFile[] {
  return names.map((name) => fileOf(`${directory}/${name}`)).filter((file) => file !== undefined);
}

async function dumpFile(
  disk: Disk,
  file: InspectedFile,
  options: DumpOptions,
  sink: DumpSink,
): Promise<number> {
  const printer = new DumpPrinter(file.path, sink);
  printer.line(`Dumping ${file.path}`);
  if (file.kind === 'log' || file.kind === 'checkpoint') {
    const opened = await disk.open(file.path, 'read');
    try {
      await dumpSegment(file, opened, options, printer);
    } finally {
      await opened.close();
    }
  } else {
    const bytes = await readWholeFile(disk, file.path);
    if (file.kind === 'index') await dumpOffsetIndex(disk, file, bytes, printer);
    else if (file.kind === 'timeindex') await dumpTimeIndex(disk, file, bytes, printer);
    else if (file.kind === 'txnindex') dumpTransactionIndex(file, bytes, printer);
    else if (file.kind === 'snapshot') dumpProducerSnapshot(file, bytes, printer);
    else dumpOwnFile(file, bytes, printer);
  }
  await printer.flush();
  return printer.faults;
}
