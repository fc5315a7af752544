/** What has been told already: the same cause is not told again before it has passed. The oldest is forgotten where there are many. */
export class ToldOnce {
  readonly #causesMax: number;
  readonly #told = new Set<string>();

  constructor(causesMax: number) {
    this.#causesMax = causesMax;
  }

  /** Whether it is new, and is told with this. */
  tell(cause: string): boolean {
    if (this.#told.has(cause)) return false;
    this.#told.add(cause);
    if (this.#told.size > this.#causesMax) {
      const [oldest] = this.#told;
      this.#told.delete(oldest!);
    }
    return true;
  }

  /** All that begins so has passed. */
  pass(start: string): void {
    for (const cause of this.#told) if (cause.startsWith(start)) this.#told.delete(cause);
  }
}
