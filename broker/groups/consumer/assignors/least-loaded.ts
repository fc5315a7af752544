/**
 * The subscriber of a topic that has the fewest partitions; the first of those that have equally few. A binary heap that is put in order
 * only where it is looked at.
 *
 * Invariant: the total that is noted for a member is never above the one that it has, or the member is not among those looked for.
 * Totals may therefore grow as they like, and shrink only in members that stay above all that `top` may still be asked for.
 */
export class LeastLoaded {
  readonly #members: Int32Array;
  readonly #noted: Int32Array;
  readonly #totals: Int32Array;

  /** Members ascending, at least one; `totals` by member, which change afterwards. */
  constructor(members: readonly number[], totals: Int32Array) {
    this.#totals = totals;
    this.#members = Int32Array.from(members);
    this.#noted = Int32Array.from(members, (member) => totals[member]!);
    for (let position = (members.length >> 1) - 1; position >= 0; position--) this.#sink(position);
  }

  get top(): number {
    for (;;) {
      const member = this.#members[0]!;
      const total = this.#totals[member]!;
      if (this.#noted[0] === total) return member;
      this.#noted[0] = total;
      this.#sink(0);
    }
  }

  #sink(start: number): void {
    const size = this.#members.length;
    for (let position = start; ;) {
      const left = 2 * position + 1;
      if (left >= size) return;
      const right = left + 1;
      const least = right < size && this.#isBefore(right, left) ? right : left;
      if (!this.#isBefore(least, position)) return;
      this.#swap(least, position);
      position = least;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const difference = this.#noted[one]! - this.#noted[other]!;
    return difference < 0 || (difference === 0 && this.#members[one]! < this.#members[other]!);
  }

  #swap(one: number, other: number): void {
    const member = this.#members[one]!;
    const noted = this.#noted[one]!;
    this.#members[one] = this.#members[other]!;
    this.#noted[one] = this.#noted[other]!;
    this.#members[other] = member;
    this.#noted[other] = noted;
  }
}
