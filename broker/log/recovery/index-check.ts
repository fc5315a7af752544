/**
 * Whether the entries of a segment's indexes say what its batches are: carried along batch by batch. An entry that is wrong
 * sends readers to a wrong place, or makes lookups by time miss records; a sane-looking file of another segment is one.
 */
import type { Disk } from '../../../platform/disk.ts';
import { readWholeFile } from '../../../platform/whole-files.ts';
import { batchField } from '../../../protocol/index.ts';
import { isRaftOnly } from '../raft-only.ts';
import type { SoundBatch } from './segment-check.ts';
import { recordTimestampMax } from '../segments/segment-files.ts';
import { OffsetIndex, TimeIndex, offsetEntryBytes, timeEntryBytes } from '../segments/segment-indexes.ts';

export interface IndexFault {
  readonly index: 'index' | 'timeindex';
  /** Number of the entry; the count of all for one that lacks. */
  readonly entry: number;
  readonly reason: string;
}

export interface IndexFiles {
  readonly offsetIndex: OffsetIndex;
  readonly timeIndex: TimeIndex;
  /** A file is missing, or ends within an entry. */
  readonly faults: readonly IndexFault[];
}

/** What a segment's index files hold, whole or not. Rejects with a DiskError. */
export async function readIndexFiles(
  disk: Disk,
  paths: { readonly offsetIndexPath: string; readonly timeIndexPath: string },
): Promise<IndexFiles> {
  const faults: IndexFault[] = [];
  const read = async (index: IndexFault['index'], path: string, entryBytes: number): Promise<Buffer> => {
    if (!(await disk.exists(path))) {
      faults.push({ index, entry: 0, reason: 'the file is missing' });
      return Buffer.alloc(0);
    }
    const bytes = await readWholeFile(disk, path);
    if (bytes.length % entryBytes !== 0) {
      const entry = Math.floor(bytes.length / entryBytes);
      faults.push({ index, entry, reason: 'the last entry is cut off' });
    }
    return bytes;
  };
  const offsetIndex = new OffsetIndex(await read('index', paths.offsetIndexPath, offsetEntryBytes));
  const timeIndex = new TimeIndex(await read('timeindex', paths.timeIndexPath, timeEntryBytes));
  return { offsetIndex, timeIndex, faults };
}

export class IndexCheck {
  readonly #baseOffset: number;
  readonly #isExact: boolean;
  readonly #offsetIndex: OffsetIndex;
  readonly #timeIndex: TimeIndex;
  readonly #faults: IndexFault[];
  #offsetEntry = 0;
  #timeEntry = 0;
  #maxTimestamp = -1;

  /** `isExact`: this broker made the indexes. Those of older Kafkas may name an offset within a batch, or the last of several batches at once. */
  constructor(
    segment: { readonly baseOffset: number; readonly isExact: boolean },
    { offsetIndex, timeIndex, faults }: IndexFiles,
  ) {
    this.#faults = [...faults];
    this.#baseOffset = segment.baseOffset;
    this.#isExact = segment.isExact;
    this.#offsetIndex = offsetIndex;
    this.#timeIndex = timeIndex;
  }

  take({ buffer, at, position }: SoundBatch): void {
    if (isRaftOnly(buffer, at)) return;
    const relativeOffset = batchField.lastOffset(buffer, at) - this.#baseOffset;
    const firstRelativeOffset = batchField.baseOffset(buffer, at) - this.#baseOffset;
    this.#takeOffset(relativeOffset, position);
    const timestamp = recordTimestampMax(buffer, at);
    const isNewMaximum = timestamp > this.#maxTimestamp;
    this.#maxTimestamp = Math.max(this.#maxTimestamp, timestamp);
    this.#takeTime(firstRelativeOffset, relativeOffset, isNewMaximum);
  }

  /** All of the segment has been taken. `isFull`: then the time index has to know the segment's largest timestamp. */
  finish(isFull: boolean): readonly IndexFault[] {
    if (this.#offsetEntry < this.#offsetIndex.count)
      this.#fault('index', this.#offsetEntry, 'no batch begins at its position');
    if (this.#timeEntry < this.#timeIndex.count)
      this.#fault('timeindex', this.#timeEntry, 'no batch ends at its offset');
    const last = this.#timeIndex.last()?.timestamp ?? -1;
    if (isFull && last !== this.#maxTimestamp)
      this.#fault(
        'timeindex',
        this.#timeIndex.count,
        `its last timestamp is ${last}, and the segment's largest is ${this.#maxTimestamp}`,
      );
    return this.#faults;
  }

  #takeOffset(relativeOffset: number, position: number): void {
    const index = this.#offsetIndex;
    while (this.#offsetEntry < index.count && index.positionAt(this.#offsetEntry) <= position) {
      const entry = this.#offsetEntry++;
      if (index.positionAt(entry) < position) {
        this.#fault('index', entry, `no batch begins at its position ${index.positionAt(entry)}`);
      } else if (
        this.#isExact ? index.offsetAt(entry) !== relativeOffset : index.offsetAt(entry) < relativeOffset
      ) {
        const said = this.#baseOffset + index.offsetAt(entry);
        const is = this.#baseOffset + relativeOffset;
        this.#fault('index', entry, `it says offset ${said}, and the batch at ${position} ends at ${is}`);
      }
    }
  }

  #takeTime(firstRelativeOffset: number, relativeOffset: number, isNewMaximum: boolean): void {
    const index = this.#timeIndex;
    while (this.#timeEntry < index.count && index.entryAt(this.#timeEntry).relativeOffset <= relativeOffset) {
      const number = this.#timeEntry++;
      const entry = index.entryAt(number);
      const offset = this.#baseOffset + entry.relativeOffset;
      const isWithin = entry.relativeOffset >= firstRelativeOffset && entry.timestamp <= this.#maxTimestamp;
      if (!this.#isExact && isWithin) continue;
      if (entry.relativeOffset < relativeOffset)
        this.#fault('timeindex', number, `no batch ends at its offset ${offset}`);
      else if (!isNewMaximum || entry.timestamp !== this.#maxTimestamp)
        this.#fault(
          'timeindex',
          number,
          `it says that ${entry.timestamp} is first reached at offset ${offset}, where the largest so far is ${this.#maxTimestamp}`,
        );
    }
  }

  /** The first of each file is enough: either is made again as a whole. */
  #fault(index: IndexFault['index'], entry: number, reason: string): void {
    if (this.#faults.some((fault) => fault.index === index)) return;
    this.#faults.push({ index, entry, reason });
  }
}
