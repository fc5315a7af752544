/** The newest members of a set that would otherwise grow for ever; which ones are kept depends on the order of additions alone. */
export class BoundedSet<Member> {
  readonly #limit: number;
  readonly #members = new Set<Member>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  has(member: Member): boolean {
    return this.#members.has(member);
  }

  /** A member that is added again counts from then. */
  add(member: Member): void {
    this.#members.delete(member);
    this.#members.add(member);
    if (this.#members.size <= this.#limit) return;
    const [oldest] = this.#members;
    this.#members.delete(oldest!);
  }

  delete(member: Member): void {
    this.#members.delete(member);
  }

  /** In the order in which they were added. */
  [Symbol.iterator](): IterableIterator<Member> {
    return this.#members.values();
  }
}
