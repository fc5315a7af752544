/**
 * A segment's offset index and time index, held in memory in Kafka's file format: entries of a fixed size, ascending.
 * `.index`: last offset of a batch, relative to the segment's base (int32), and the batch's position (int32).
 * `.timeindex`: largest timestamp so far (int64) and the last offset of the first batch that holds it, relative (int32).
 */
import { assert } from '../../../platform/assert.ts';
import { readInt64, writeInt64 } from '../raft-only.ts';

export const offsetEntryBytes = 8;
export const timeEntryBytes = 12;

export interface TimeEntry {
  readonly timestamp: number;
  readonly relativeOffset: number;
}

export class OffsetIndex {
  #bytes: Buffer;
  #sizeBytes: number;

  /** `bytes` is what the file holds; a cut last entry is ignored. The index owns it from here on. */
  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.#bytes = bytes;
    this.#sizeBytes = bytes.length - (bytes.length % offsetEntryBytes);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get count(): number {
    return this.#sizeBytes / offsetEntryBytes;
  }

  /** The entries from byte `from` on, as the file holds them. Valid until the next change. */
  bytes(from = 0): Buffer {
    return this.#bytes.subarray(from, this.#sizeBytes);
  }

  offsetAt(entry: number): number {
    return this.#bytes.readInt32BE(entry * offsetEntryBytes);
  }

  positionAt(entry: number): number {
    return this.#bytes.readInt32BE(entry * offsetEntryBytes + 4);
  }

  add(relativeOffset: number, position: number): void {
    assert(
      this.count === 0 ||
        (relativeOffset > this.offsetAt(this.count - 1) && position > this.positionAt(this.count - 1)),
      'offset index entries ascend',
    );
    this.#bytes = withRoom(this.#bytes, this.#sizeBytes + offsetEntryBytes);
    this.#bytes.writeInt32BE(relativeOffset, this.#sizeBytes);
    this.#bytes.writeInt32BE(position, this.#sizeBytes + 4);
    this.#sizeBytes += offsetEntryBytes;
  }

  /** Where to begin looking for `relativeOffset`: the batch at the position returned begins at or before it; 0 is the segment's first. */
  lookUp(relativeOffset: number): number {
    const entry = lastEntry(this.count, (entry) => this.offsetAt(entry) <= relativeOffset);
    return entry < 0 ? 0 : this.positionAt(entry);
  }

  /** Drops the entries at or above `position`. */
  cutAt(position: number): void {
    this.#sizeBytes =
      (lastEntry(this.count, (entry) => this.positionAt(entry) < position) + 1) * offsetEntryBytes;
  }

  /** Whether the entries ascend and stay below these ends: what has been read from a file may be anything. */
  isSane(relativeOffsetEnd: number, positionEnd: number): boolean {
    for (let entry = 0; entry < this.count; entry++) {
      const ascends =
        entry === 0
          ? this.offsetAt(0) >= 0 && this.positionAt(0) >= 0
          : this.offsetAt(entry) > this.offsetAt(entry - 1) &&
            this.positionAt(entry) > this.positionAt(entry - 1);
      if (!ascends) return false;
    }
    const last = this.count - 1;
    return last < 0 || (this.offsetAt(last) < relativeOffsetEnd && this.positionAt(last) < positionEnd);
  }
}

export class TimeIndex {
  #bytes: Buffer;
  #sizeBytes: number;

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.#bytes = bytes;
    this.#sizeBytes = bytes.length - (bytes.length % timeEntryBytes);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get count(): number {
    return this.#sizeBytes / timeEntryBytes;
  }

  bytes(from = 0): Buffer {
    return this.#bytes.subarray(from, this.#sizeBytes);
  }

  entryAt(entry: number): TimeEntry {
    return { timestamp: this.#timestampAt(entry), relativeOffset: this.#offsetAt(entry) };
  }

  last(): TimeEntry | undefined {
    return this.count === 0 ? undefined : this.entryAt(this.count - 1);
  }

  /** Adds an entry if its timestamp is above all before it; otherwise does nothing. */
  maybeAdd(timestamp: number, relativeOffset: number): void {
    if (timestamp < 0 || (this.count > 0 && timestamp <= this.#timestampAt(this.count - 1))) return;
    this.#bytes = withRoom(this.#bytes, this.#sizeBytes + timeEntryBytes);
    writeInt64(this.#bytes, timestamp, this.#sizeBytes);
    this.#bytes.writeInt32BE(relativeOffset, this.#sizeBytes + 8);
    this.#sizeBytes += timeEntryBytes;
  }

  /** The first entry whose timestamp is at or after this one: its batch is the first of the segment that reaches its timestamp. */
  firstFrom(timestamp: number): TimeEntry | undefined {
    const before = lastEntry(this.count, (entry) => this.#timestampAt(entry) < timestamp);
    return before + 1 < this.count ? this.entryAt(before + 1) : undefined;
  }

  /** The last entry that speaks only of offsets below this one. */
  lastBelowOffset(relativeOffset: number): TimeEntry | undefined {
    const entry = lastEntry(this.count, (entry) => this.#offsetAt(entry) < relativeOffset);
    return entry < 0 ? undefined : this.entryAt(entry);
  }

  /** Drops the entries at or above `relativeOffset`. */
  cutAtOffset(relativeOffset: number): void {
    this.#sizeBytes =
      (lastEntry(this.count, (entry) => this.#offsetAt(entry) < relativeOffset) + 1) * timeEntryBytes;
  }

  isSane(relativeOffsetEnd: number): boolean {
    for (let entry = 0; entry < this.count; entry++) {
      const ascends =
        entry === 0
          ? this.#timestampAt(0) >= 0 && this.#offsetAt(0) >= 0
          : this.#timestampAt(entry) > this.#timestampAt(entry - 1) &&
            this.#offsetAt(entry) >= this.#offsetAt(entry - 1);
      if (!ascends) return false;
    }
    return this.count === 0 || this.#offsetAt(this.count - 1) < relativeOffsetEnd;
  }

  #timestampAt(entry: number): number {
    return readInt64(this.#bytes, entry * timeEntryBytes);
  }

  #offsetAt(entry: number): number {
    return this.#bytes.readInt32BE(entry * timeEntryBytes + 8);
  }
}

/** The last of `count` entries for which `holds`, or -1; those for which it holds stand before all others. */
function lastEntry(count: number, holds: (entry: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Doubles: an idle segment holds no bytes, a busy one is copied a logarithmic number of times. */
function withRoom(bytes: Buffer, neededBytes: number): Buffer {
  if (neededBytes <= bytes.length) return bytes;
  const larger = Buffer.alloc(Math.max(neededBytes, 2 * bytes.length, 96));
  bytes.copy(larger);
  return larger;
}
