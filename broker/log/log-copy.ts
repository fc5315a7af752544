/**
 * A log as it is up to one entry, for another node to copy: all segments up to there, the last one in part, and the small files
 * that tell what segments do not. The files are held open, so that retention, compaction and a cut of what lies beyond take nothing
 * from under the one who reads; each has the bytes that it had, as segments are only appended to.
 */
import type { Disk } from '../../platform/disk.ts';
import { encodeAbortedTransactions } from './segments/aborted-transactions.ts';
import type { LogBooks } from './log-books.ts';
import type { LogParts } from './log-parts.ts';
import type { LogSearch, PlacedIndex } from './reading/log-search.ts';
import type { LogOptions } from './log-types.ts';
import type { FileLease } from './reading/open-files.ts';
import type { PositionTable } from './segments/position-table.ts';
import { kafkaEpochFile } from './recovery/recovery-leftovers.ts';
import { beginningState, encodeReplicaState } from './recovery/replica-state-file.ts';
import type { Segment } from './segments/segment.ts';

export interface CopiedFile {
  readonly name: string;
  readonly sizeBytes: number;
}

export interface LogCopy {
  /** A `replica-state` that knows the log's start and table, and vouches for none of its bytes. */
  readonly state: Buffer;
  readonly endIndex: number;
  readonly endOffset: number;
  readonly lastTerm: number;
  readonly files: readonly CopiedFile[];
  /** Bytes of one of the files; fewer than asked at its end. Rejects with a DiskError. */
  read(place: number, position: number, sizeBytes: number): Promise<Buffer>;
  /** To be called once. */
  release(): void;
}

interface HeldFile extends CopiedFile {
  readonly lease: FileLease | undefined;
  /** Where it is not read from a file. */
  readonly bytes: Buffer | undefined;
}

/** Where the set of segments has changed while they were opened, it is tried again so often. */
const attemptsMax = 8;

/** See CommitLog. */
export async function copyOf(
  options: LogOptions,
  parts: LogParts,
  endIndex: number,
): Promise<LogCopy | undefined> {
  for (let left = attemptsMax; left > 0; left--) {
    const { books, search, writer } = parts;
    if (endIndex > writer.flushedEndIndex || endIndex < books.table.start.index) return undefined;
    const { generation } = books.segments;
    const end = await placeFrom(search, books, endIndex);
    if (end === undefined || books.segments.generation !== generation) continue;
    if (end.index > writer.flushedEndIndex) return undefined;
    const copy = await new Copying(options, parts, end).run();
    if (copy !== undefined) return copy;
  }
  return undefined;
}

/** Undefined where segments have gone meanwhile. */
async function placeFrom(
  search: LogSearch,
  { segments, table }: LogBooks,
  index: number,
): Promise<PlacedIndex | undefined> {
  const { generation } = segments;
  try {
    return await search.placeFrom(index, table);
  } catch (error) {
    if (segments.generation === generation) throw error;
    return undefined;
  }
}

class Copying {
  readonly #options: LogOptions;
  readonly #parts: LogParts;
  readonly #end: PlacedIndex;
  readonly #table: PositionTable;
  readonly #generation: number;
  readonly #held: HeldFile[] = [];

  constructor(options: LogOptions, parts: LogParts, end: PlacedIndex) {
    this.#options = options;
    this.#parts = parts;
    this.#end = end;
    this.#table = parts.books.table.upTo(end.index);
    this.#generation = parts.segments.generation;
  }

  /** Undefined where the segments have changed meanwhile. */
  async run(): Promise<LogCopy | undefined> {
    try {
      if (await this.#hold()) return this.#copy();
    } catch (error) {
      this.#release();
      if (this.#isUnchanged) throw error;
      return undefined;
    }
    this.#release();
    return undefined;
  }

  /** Says whether what is held is one and the same log. */
  async #hold(): Promise<boolean> {
    const { segment: last, position } = this.#end;
    const all = this.#parts.segments.snapshot();
    for (const segment of all.slice(0, all.indexOf(last) + 1)) {
      const isPart = segment === last;
      const sizeBytes = isPart ? position : segment.appendedBytes;
      await this.#holdSegment(segment, sizeBytes);
      if (!this.#isUnchanged) return false;
    }
    await this.#holdSnapshot();
    await this.#holdBytes(kafkaEpochFile);
    return this.#isUnchanged;
  }

  async #holdSegment(segment: Segment, sizeBytes: number): Promise<void> {
    const { readPool } = this.#options;
    const name = nameOf(segment.path);
    this.#held.push({ name, sizeBytes, lease: await readPool.files.lease(segment.path), bytes: undefined });
    const { entries } = await this.#parts.transactions.of(segment);
    const decided = entries.filter(({ lastOffset }) => lastOffset < this.#endOffset);
    if (decided.length > 0)
      this.#keep(nameOf(segment.transactionIndexPath), encodeAbortedTransactions(decided));
  }

  /** Of the producers' states that are kept, the newest that the copy's end covers. */
  async #holdSnapshot(): Promise<void> {
    const { disk, directory } = this.#options;
    const names = (await disk.list(directory)).filter(
      (name) => /^\d{20}\.snapshot$/.test(name) && Number(name.slice(0, 20)) <= this.#endOffset,
    );
    const newest = names.at(-1);
    if (newest !== undefined) await this.#holdBytes(newest);
  }

  async #holdBytes(name: string): Promise<void> {
    const bytes = await readIfThere(this.#options.disk, `${this.#options.directory}/${name}`);
    if (bytes !== undefined) this.#keep(name, bytes);
  }

  #keep(name: string, bytes: Buffer): void {
    this.#held.push({ name, sizeBytes: bytes.length, lease: undefined, bytes });
  }

  get #endOffset(): number {
    return this.#table.offsetOfIndex(this.#end.index);
  }

  get #isUnchanged(): boolean {
    return this.#parts.segments.generation === this.#generation;
  }

  #release(): void {
    for (const { lease } of this.#held.splice(0)) lease?.release();
  }

  #copy(): LogCopy {
    const { logStartOffset, cleanedEndOffset } = this.#parts.books;
    const held = [...this.#held];
    const positions = {
      logStartOffset: Math.min(logStartOffset, this.#endOffset),
      cleanedEndOffset: Math.min(cleanedEndOffset, this.#endOffset),
    };
    const state = encodeReplicaState(beginningState(this.#table, positions, this.#options.clock.wallMs()));
    return {
      state,
      endIndex: this.#end.index,
      endOffset: this.#endOffset,
      lastTerm: this.#table.termAt(this.#end.index - 1),
      files: held.map(({ name, sizeBytes }) => ({ name, sizeBytes })),
      read: (place, position, sizeBytes) => readHeld(held[place], position, sizeBytes),
      release: () => this.#release(),
    };
  }
}

async function readHeld(file: HeldFile | undefined, position: number, sizeBytes: number): Promise<Buffer> {
  if (file === undefined) return Buffer.alloc(0);
  const end = Math.min(position + sizeBytes, file.sizeBytes);
  if (end <= position) return Buffer.alloc(0);
  if (file.lease === undefined) return file.bytes!.subarray(position, end);
  const bytes = Buffer.allocUnsafeSlow(end - position);
  return bytes.subarray(0, await file.lease.file.read(bytes, position));
}

async function readIfThere(disk: Disk, path: string): Promise<Buffer | undefined> {
  if (!(await disk.exists(path))) return undefined;
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(await file.size());
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
