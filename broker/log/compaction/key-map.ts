/**
 * The latest offset of each key, by the key's hash: open addressing over one ArrayBuffer, 24 bytes a slot, whatever the keys'
 * own sizes. Filled in ascending order of offsets, from the records of the part of a log that is to be cleaned; then asked
 * about every record. Nothing is ever taken out but all at once.
 */
import { assert } from '../../../platform/assert.ts';
import type { Yield } from '../../../platform/yield.ts';
import type { KeyHasher } from './key-hasher.ts';

/** Four words of hash, then the offset plus one as a double; 0 there means that the slot is free. */
export const slotBytes = 24;
const slotWords = 6;
const slotDoubles = 3;
const two32 = 4_294_967_296;
/** What is zeroed in one go: about a millisecond. */
const clearedBytesAtOnce = 4 * 1024 * 1024;
/** Arrays of words are indexed by 31-bit integers fastest; Kafka's own limit for one cleaner's map is the same. */
const memoryBytesMax = 2 ** 31 - 1;
/** Free room beyond this only costs cache misses. */
const sparseSlotsPerKey = 1.5;

export interface KeyMapLimits {
  readonly memoryBytes: number;
  /** The share of slots that may be taken, in (0, 1]. */
  readonly loadFactor: number;
}

export class KeyMap {
  readonly #hasher: KeyHasher;
  readonly #memoryBytes: number;
  readonly #loadFactor: number;
  #words = new Int32Array(0);
  #doubles = new Float64Array(0);
  #slots = 0;
  #keysMax = 0;
  #count = 0;
  /** Slots below this may be taken; all others are zeros. */
  #usedSlots = 0;

  /** Takes no memory before `reset`. */
  constructor(hasher: KeyHasher, limits: KeyMapLimits) {
    this.#hasher = hasher;
    this.#memoryBytes = Math.min(memoryBytesMax, limits.memoryBytes);
    this.#loadFactor = limits.loadFactor;
  }

  get count(): number {
    return this.#count;
  }

  /** Keys that fit. */
  get keysMax(): number {
    return this.#keysMax;
  }

  get sizeBytes(): number {
    return this.#doubles.byteLength;
  }

  /** The share of the slots that the limits allow which is taken. */
  get utilization(): number {
    return this.#count / this.#slotsMax();
  }

  /** Empties the map and makes room for up to `keys` keys, or for as many as the limits allow. */
  async reset(keys: number, yielding: Yield): Promise<void> {
    const slotsMax = this.#slotsMax();
    const keysMax = Math.max(1, Math.min(slotsMax - 1, Math.floor(slotsMax * this.#loadFactor)));
    this.#keysMax = Math.max(1, Math.min(keysMax, keys));
    this.#slots = Math.min(slotsMax, Math.ceil(this.#keysMax * sparseSlotsPerKey) + 1);
    this.#count = 0;
    if (this.#slots * slotDoubles > this.#doubles.length) {
      const memory = new ArrayBuffer(this.#slots * slotBytes);
      this.#words = new Int32Array(memory);
      this.#doubles = new Float64Array(memory);
    } else {
      const wordsAtOnce = clearedBytesAtOnce / 4;
      for (let from = 0; from < this.#usedSlots * slotWords; from += wordsAtOnce) {
        if (from > 0) await yielding.turn();
        this.#words.fill(0, from, Math.min(this.#usedSlots * slotWords, from + wordsAtOnce));
      }
    }
    this.#usedSlots = this.#slots;
  }

  /** Notes that a record with this key stands at `offset`. False, and nothing noted, where the map is full and the key is new. */
  put(bytes: Buffer, keyStart: number, keyLength: number, offset: number): boolean {
    const slot = this.#slotOf(bytes, keyStart, keyLength);
    const place = slot * slotDoubles + 2;
    if (this.#doubles[place] === 0) {
      if (this.#count >= this.#keysMax) return false;
      this.#count++;
      const { words } = this.#hasher;
      const at = slot * slotWords;
      this.#words[at] = words[0]!;
      this.#words[at + 1] = words[1]!;
      this.#words[at + 2] = words[2]!;
      this.#words[at + 3] = words[3]!;
    }
    this.#doubles[place] = offset + 1;
    return true;
  }

  /** The offset noted last for this key; -1 for none. */
  latestOffset(bytes: Buffer, keyStart: number, keyLength: number): number {
    if (this.#count === 0) return -1;
    return this.#doubles[this.#slotOf(bytes, keyStart, keyLength) * slotDoubles + 2]! - 1;
  }

  /** The slot that holds the key, or the free one where it belongs. There is always a free slot. */
  #slotOf(bytes: Buffer, keyStart: number, keyLength: number): number {
    this.#hasher.hash(bytes, keyStart, keyLength);
    const hash = this.#hasher.words;
    const word0 = hash[0]!;
    const words = this.#words;
    const doubles = this.#doubles;
    const slots = this.#slots;
    let slot = Math.floor(((word0 >>> 0) * slots) / two32);
    while (doubles[slot * slotDoubles + 2] !== 0) {
      const at = slot * slotWords;
      if (
        words[at] === word0 &&
        words[at + 1] === hash[1] &&
        words[at + 2] === hash[2] &&
        words[at + 3] === hash[3]
      )
        return slot;
      if (++slot === slots) slot = 0;
    }
    return slot;
  }

  #slotsMax(): number {
    const slots = Math.floor(this.#memoryBytes / slotBytes);
    assert(slots >= 2, 'a map of keys has room for one key and a free slot');
    return slots;
  }
}
