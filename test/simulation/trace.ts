/**
 * What happened in a run, in order: as a running hash always (two runs of a seed must give the same), as lines where somebody
 * wants to read them.
 */
export class Trace {
  readonly #keepsLines: boolean;
  readonly lines: string[] = [];
  readonly #textHashes = new Map<string, number>();
  #high = 0x2545f491;
  #low = 0x9e3779b9;

  constructor(options: { readonly keepsLines: boolean }) {
    this.#keepsLines = options.keepsLines;
  }

  /** One event; `event` and `subject` are from a small set of words, the numbers are what changes. */
  note(timeMs: number, event: string, subject: string, first = 0, second = 0): void {
    this.#mix(Math.round(timeMs * 1000));
    this.#mix(this.#hashOf(event));
    this.#mix(this.#hashOf(subject));
    this.#mix(first);
    this.#mix(second);
    if (this.#keepsLines) this.lines.push(`${timeMs.toFixed(3)} ${event} ${subject} ${first} ${second}`);
  }

  /** 16 hexadecimal digits that stand for all events so far. */
  get hash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }

  #mix(value: number): void {
    const low = value | 0;
    const high = Math.floor(value / 0x1_0000_0000) | 0;
    this.#high = Math.imul(this.#high ^ low, 0x01000193) ^ (this.#low >>> 13);
    this.#low = Math.imul(this.#low ^ high ^ (low << 7), 0x85ebca6b) + (this.#high | 0);
  }

  #hashOf(text: string): number {
    let hash = this.#textHashes.get(text);
    if (hash === undefined) {
      hash = 0x811c9dc5;
      for (let place = 0; place < text.length; place++) {
        hash = Math.imul(hash ^ text.charCodeAt(place), 0x01000193);
      }
      this.#textHashes.set(text, hash);
    }
    return hash;
  }
}
