/**
 * A keyed hash of 128 bits, straight from the bytes of a buffer: HalfSipHash-2-4 with its 64-bit output, run under two
 * independent keys in one pass.
 *
 * The cleaner drops a record when a later one has a key with the same hash, so two keys of one hash would cost a live value.
 * For keys that were not chosen against it, the chance of one such pair among n keys is n^2 / 2^129: for a thousand million
 * keys about 10^-21. Whoever chooses keys on purpose cannot find a pair either, as HalfSipHash is a pseudorandom function and its
 * keys are drawn anew from the platform's randomness for each run and never leave the process; that is more than an unkeyed
 * MD5 gives, for which colliding keys can be made at will. Measured at 16-byte keys: 73 ns, where MD5 through node:crypto
 * takes 900 ns, most of it the call.
 */
import { assert } from '../../../platform/assert.ts';

export const hashKeyBytes = 16;

/** What the published algorithm mixes into the state. */
const initial2 = 0x6c796765;
const initial3 = 0x74656462;

export class KeyHasher {
  /** Of the last call: used again by the next one. */
  readonly words = new Int32Array(4);
  readonly #key0: number;
  readonly #key1: number;
  readonly #key2: number;
  readonly #key3: number;

  /** `key`: 16 secret bytes. */
  constructor(key: Buffer) {
    assert(key.length === hashKeyBytes, 'a hash key has 16 bytes');
    this.#key0 = key.readInt32LE(0);
    this.#key1 = key.readInt32LE(4);
    this.#key2 = key.readInt32LE(8);
    this.#key3 = key.readInt32LE(12);
  }

  /** Leaves the hash of `length` bytes from `start` on in `words`. */
  hash(bytes: Buffer, start: number, length: number): void {
    // v is the state under the first key, w under the second: two chains that a processor works on side by side.
    let v0 = this.#key0;
    let v1 = this.#key1 ^ 0xee;
    let v2 = this.#key0 ^ initial2;
    let v3 = this.#key1 ^ initial3;
    let w0 = this.#key2;
    let w1 = this.#key3 ^ 0xee;
    let w2 = this.#key2 ^ initial2;
    let w3 = this.#key3 ^ initial3;
    const words = this.words;
    const blocks = (length >>> 2) + 1;
    const lastBlock = blocks - 1;
    let position = start;
    // Two rounds for each block of four bytes, the last of which holds the length; then four and four rounds more.
    for (let block = 0; block < blocks + 4; block++) {
      let message = 0;
      if (block < lastBlock) {
        message =
          bytes[position]! |
          (bytes[position + 1]! << 8) |
          (bytes[position + 2]! << 16) |
          (bytes[position + 3]! << 24);
        position += 4;
      } else if (block === lastBlock) {
        message = length << 24;
        const rest = length & 3;
        if (rest > 0) message |= bytes[position]!;
        if (rest > 1) message |= bytes[position + 1]! << 8;
        if (rest > 2) message |= bytes[position + 2]! << 16;
      } else if (block === blocks) {
        v2 ^= 0xee;
        w2 ^= 0xee;
      } else if (block === blocks + 2) {
        words[0] = v1 ^ v3;
        words[2] = w1 ^ w3;
        v1 ^= 0xdd;
        w1 ^= 0xdd;
      }
      v3 ^= message;
      w3 ^= message;
      // The two rounds are written out: as a loop they take 60 % longer.
      v0 = (v0 + v1) | 0;
      w0 = (w0 + w1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      w1 = ((w1 << 5) | (w1 >>> 27)) ^ w0;
      v0 = (v0 << 16) | (v0 >>> 16);
      w0 = (w0 << 16) | (w0 >>> 16);
      v2 = (v2 + v3) | 0;
      w2 = (w2 + w3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      w3 = ((w3 << 8) | (w3 >>> 24)) ^ w2;
      v0 = (v0 + v3) | 0;
      w0 = (w0 + w3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      w3 = ((w3 << 7) | (w3 >>> 25)) ^ w0;
      v2 = (v2 + v1) | 0;
      w2 = (w2 + w1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      w1 = ((w1 << 13) | (w1 >>> 19)) ^ w2;
      v2 = (v2 << 16) | (v2 >>> 16);
      w2 = (w2 << 16) | (w2 >>> 16);
      v0 = (v0 + v1) | 0;
      w0 = (w0 + w1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      w1 = ((w1 << 5) | (w1 >>> 27)) ^ w0;
      v0 = (v0 << 16) | (v0 >>> 16);
      w0 = (w0 << 16) | (w0 >>> 16);
      v2 = (v2 + v3) | 0;
      w2 = (w2 + w3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      w3 = ((w3 << 8) | (w3 >>> 24)) ^ w2;
      v0 = (v0 + v3) | 0;
      w0 = (w0 + w3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      w3 = ((w3 << 7) | (w3 >>> 25)) ^ w0;
      v2 = (v2 + v1) | 0;
      w2 = (w2 + w1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      w1 = ((w1 << 13) | (w1 >>> 19)) ^ w2;
      v2 = (v2 << 16) | (v2 >>> 16);
      w2 = (w2 << 16) | (w2 >>> 16);
      v0 ^= message;
      w0 ^= message;
    }
    words[1] = v1 ^ v3;
    words[3] = w1 ^ w3;
  }
}
