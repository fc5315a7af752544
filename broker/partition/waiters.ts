/**
 * Those who wait for a log to reach an index, in the order of their ends. Entries are appended in that order, so the line is
 * nearly sorted by itself: only a batch that is sent again waits for an end before the last. No object is made for a waiter
 * but its entry here.
 */

/** `true`: reached. `false`: it never will be, the log has failed or is closing. */
export type Outcome = (reached: boolean) => void;

export class Waiters {
  readonly #ends: number[] = [];
  readonly #outcomes: Outcome[] = [];
  #head = 0;

  get count(): number {
    return this.#ends.length - this.#head;
  }

  /** Waits until the position is at or beyond `endIndex`; behind those who wait for the same. */
  add(endIndex: number, outcome: Outcome): void {
    let place = this.#ends.length;
    while (place > this.#head && this.#ends[place - 1]! > endIndex) place--;
    if (place === this.#ends.length) {
      this.#ends.push(endIndex);
      this.#outcomes.push(outcome);
    } else {
      this.#ends.splice(place, 0, endIndex);
      this.#outcomes.splice(place, 0, outcome);
    }
  }

  /** Tells all whose end is at or below `endIndex`. */
  reached(endIndex: number): void {
    while (this.#head < this.#ends.length && this.#ends[this.#head]! <= endIndex) {
      const outcome = this.#outcomes[this.#head]!;
      this.#head++;
      outcome(true);
    }
    this.#compact();
  }

  /** Tells all whose end is at or below `endIndex` that they wait for what will not come. */
  failed(endIndex: number): void {
    while (this.#head < this.#ends.length && this.#ends[this.#head]! <= endIndex) {
      const outcome = this.#outcomes[this.#head]!;
      this.#head++;
      outcome(false);
    }
    this.#compact();
  }

  /** Tells all that are left that it will not be reached. */
  fail(): void {
    const left = this.#outcomes.slice(this.#head);
    this.#ends.length = 0;
    this.#outcomes.length = 0;
    this.#head = 0;
    for (const outcome of left) outcome(false);
  }

  #compact(): void {
    if (this.#head === this.#ends.length) {
      this.#ends.length = 0;
      this.#outcomes.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#ends.splice(0, this.#head);
      this.#outcomes.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
