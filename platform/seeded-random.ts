import type { Random } from './random.ts';

/**
 * A repeatable source of chance: sfc32 (Chris Doty-Humphrey's PractRand), integers only. The same seed draws the same
 * run on every machine.
 */
export class SeededRandom implements Random {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number | string) {
    this.#seed = String(seed);
    const [a, b, c] = expand(this.#seed);
    this.#a = a;
    this.#b = b;
    this.#c = c;
    for (let round = 0; round < 15; round++) this.uint32();
  }

  uint32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  below(limit: number): number {
    return uniformBelow(limit, () => this.uint32());
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    let position = 0;
    for (; position + 4 <= length; position += 4) bytes.writeUInt32LE(this.uint32(), position);
    if (position < length) {
      const last = this.uint32();
      for (let shift = 0; position < length; position++, shift += 8)
        bytes[position] = (last >>> shift) & 0xff;
    }
    return bytes;
  }

  /** Depends on the seed and the label alone, not on what has been drawn. */
  fork(label: string): Random {
    return new SeededRandom(`${this.#seed}/${label}`);
  }
}

/**
 * Uniform in [0, limit) from a source of uniform 32-bit integers, without the bias of a bare remainder.
 * Throws RangeError where `limit` is not an integer in [1, 2^32].
 */
export function uniformBelow(limit: number, uint32: () => number): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > 2 ** 32) {
    throw new RangeError(`A limit is an integer in [1, 2^32], not ${limit}.`);
  }
  const fairMax = 2 ** 32 - (2 ** 32 % limit);
  for (;;) {
    const drawn = uint32();
    if (drawn < fairMax) return drawn % limit;
  }
}

/** Three well-mixed words from any text: FNV-1a over it, three times with different starts, then a finalizer. */
function expand(text: string): [number, number, number] {
  const bytes = Buffer.from(text, 'utf8');
  return [hash(bytes, 0x811c9dc5), hash(bytes, 0x9e3779b9), hash(bytes, 0x85ebca6b)];
}

function hash(bytes: Buffer, start: number): number {
  let state = start;
  for (const byte of bytes) state = Math.imul(state ^ byte, 0x01000193);
  state = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
  state = Math.imul(state ^ (state >>> 15), 0x735a2d97);
  return state ^ (state >>> 15);
}
