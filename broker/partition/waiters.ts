/**
 * Those who wait for a log to reach an index, first come first served. Ends are taken in the order in which entries were
 * appended, so the line is sorted by itself. No object is made for a waiter but its entry here.
 */
import { assert } from '../../platform/assert.ts';

/** `true`: reached. `false`: it never will be, the log has failed or is closing. */
export type Outcome = (reached: boolean) => void;

export class Waiters {
  readonly #ends: number[] = [];
  readonly #outcomes: Outcome[] = [];
  #head = 0;

  get count(): number {
    return this.#ends.length - this.#head;
  }

  /** Waits until the position is at or beyond `endIndex`, which is at or beyond that of everyone before. */
  add(endIndex: number, outcome: Outcome): void {
    assert(this.count === 0 || endIndex >= this.#ends.at(-1)!, 'waiters come in the order of their entries');
    this.#ends.push(endIndex);
    this.#outcomes.push(outcome);
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
