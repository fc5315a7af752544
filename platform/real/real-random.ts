import { randomBytes, randomFillSync } from 'node:crypto';
import type { Random } from '../random.ts';
import { uniformBelow } from '../seeded-random.ts';

/** The machine's secure source of chance, drawn in blocks, as a call for four bytes costs as much as one for 4 KiB. */
export class RealRandom implements Random {
  readonly #block = Buffer.alloc(4096);
  #position = this.#block.length;

  uint32(): number {
    if (this.#position === this.#block.length) {
      randomFillSync(this.#block);
      this.#position = 0;
    }
    const drawn = this.#block.readUInt32LE(this.#position);
    this.#position += 4;
    return drawn;
  }

  below(limit: number): number {
    return uniformBelow(limit, () => this.uint32());
  }

  bytes(length: number): Buffer {
    return randomBytes(length);
  }

  /** What is drawn tells nothing of what else is drawn: all may draw from one block. */
  fork(_label: string): Random {
    return this;
  }
}
