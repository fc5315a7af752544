import type { Ids } from './ids.ts';
import type { Random } from './random.ts';

/** Version 4 UUIDs drawn from a Random: fresh ones from the real source, repeatable ones from a seeded source. */
export class RandomIds implements Ids {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  uuid(): string {
    for (;;) {
      const bytes = this.#random.bytes(16);
      bytes[6] = (bytes[6]! & 0x0f) | 0x40;
      bytes[8] = (bytes[8]! & 0x3f) | 0x80;
      const text = bytes.toString('base64url');
      if (!text.startsWith('-')) return text;
    }
  }
}
