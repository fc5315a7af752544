/**
 * Which records of a batch stay. Walks over them without making an object for any and notes the stretches of bytes that
 * stay; can be done a part at a time. One selection is used for all batches, one after the other.
 */
import { batchField } from '../../../protocol/index.ts';
import type { RecordCursor } from '../../../protocol/index.ts';
import type { KeyMap } from './key-map.ts';

export interface SelectionRules {
  readonly keys: KeyMap;
  /** The map knows the keys of records below this offset; those from it on stay. */
  readonly mapEndOffset: number;
}

const deleteHorizonBit = 0x40;

export class RecordSelection {
  readonly #rules: SelectionRules;
  /** Pairs of ends of the stretches that stay, in the cursor's buffer. */
  #stretches = new Int32Array(64);
  #stretchesEnd = 0;
  #cursor: RecordCursor | undefined;
  #left = 0;
  #baseOffset = 0;
  #baseTimestamp = 0;
  /** The batch's tombstones have been there for long enough. */
  #isPastHorizon = false;
  keptRecords = 0;
  /** Of the records that stay, those with a key and no value. */
  keptTombstones = 0;
  droppedRecords = 0;
  /** Of the dropped ones, those without a key: they have no place in a compacted log. */
  droppedKeyless = 0;
  /** Of the records that stay; -1 without any. */
  maxTimestamp = -1;

  constructor(rules: SelectionRules) {
    this.#rules = rules;
  }

  /** Begins with a batch, whose header stands at `at`; `cursor` is at its first record. */
  begin(batch: Buffer, at: number, cursor: RecordCursor, nowMs: number): void {
    this.#cursor = cursor;
    this.#left = batchField.recordCount(batch, at);
    this.#baseOffset = batchField.baseOffset(batch, at);
    this.#baseTimestamp = batchField.baseTimestamp(batch, at);
    const hasHorizon = (batchField.attributes(batch, at) & deleteHorizonBit) !== 0;
    this.#isPastHorizon = hasHorizon && this.#baseTimestamp <= nowMs;
    this.#stretchesEnd = 0;
    this.keptRecords = 0;
    this.keptTombstones = 0;
    this.droppedRecords = 0;
    this.droppedKeyless = 0;
    this.maxTimestamp = -1;
  }

  /** What the stretches are cut from. */
  get source(): Buffer {
    return this.#cursor!.buffer;
  }

  /** Pairs of ends, up to `stretchesEnd`. */
  get stretches(): Int32Array {
    return this.#stretches;
  }

  get stretchesEnd(): number {
    return this.#stretchesEnd;
  }

  /** Decides on up to so many more records; true when all are decided. Throws a ProtocolError for records that cannot be read. */
  decide(recordsMax: number): boolean {
    const cursor = this.#cursor!;
    const baseOffset = this.#baseOffset;
    for (let count = Math.min(this.#left, recordsMax); count > 0; count--) {
      const start = cursor.position;
      cursor.next();
      this.#left--;
      if (!this.#stays(cursor, baseOffset + cursor.offsetDelta)) {
        this.droppedRecords++;
        continue;
      }
      this.keptRecords++;
      if (cursor.valueLength < 0 && cursor.keyLength >= 0) this.keptTombstones++;
      const timestamp = this.#baseTimestamp + cursor.timestampDelta;
      if (timestamp > this.maxTimestamp) this.maxTimestamp = timestamp;
      this.#addStretch(start, cursor.position);
    }
    return this.#left === 0;
  }

  /** Decides that all records stay, whatever the rules. Throws a ProtocolError for records that cannot be read. */
  keepAll(): void {
    const cursor = this.#cursor!;
    const start = cursor.position;
    for (; this.#left > 0; this.#left--) {
      cursor.next();
      this.keptRecords++;
      this.maxTimestamp = Math.max(this.maxTimestamp, this.#baseTimestamp + cursor.timestampDelta);
    }
    this.#addStretch(start, cursor.position);
  }

  #stays(cursor: RecordCursor, offset: number): boolean {
    const { keys, mapEndOffset } = this.#rules;
    if (offset >= mapEndOffset) return true;
    if (cursor.keyLength < 0) {
      this.droppedKeyless++;
      return false;
    }
    if (cursor.valueLength < 0 && this.#isPastHorizon) return false;
    return offset >= keys.latestOffset(cursor.buffer, cursor.keyStart, cursor.keyLength);
  }

  #addStretch(start: number, end: number): void {
    const last = this.#stretchesEnd;
    if (last > 0 && this.#stretches[last - 1] === start) {
      this.#stretches[last - 1] = end;
      return;
    }
    if (last === this.#stretches.length) {
      const larger = new Int32Array(2 * last);
      larger.set(this.#stretches);
      this.#stretches = larger;
    }
    this.#stretches[last] = start;
    this.#stretches[last + 1] = end;
    this.#stretchesEnd = last + 2;
  }
}
