/**
 * Bounds the bytes of requests that are in the node at one time, arriving ones included, over all connections. A connection that meets the bound
 * stops reading its socket and is told when there is room: the peers' TCP windows do the rest.
 */
export class RequestMemory {
  readonly #limitBytes: number;
  readonly #waiting = new Set<() => void>();
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Twice the bound: what may come in while those that have begun a request finish sending it. */
  get exhausted(): boolean {
    return this.#usedBytes >= 2 * this.#limitBytes;
  }

  get full(): boolean {
    return this.#usedBytes >= this.#limitBytes;
  }

  /** A frame that has arrived is always taken; the bound decides whether more is read. */
  take(sizeBytes: number): void {
    this.#usedBytes += sizeBytes;
  }

  give(sizeBytes: number): void {
    this.#usedBytes -= sizeBytes;
    if (this.full || this.#waiting.size === 0) return;
    const woken = [...this.#waiting];
    this.#waiting.clear();
    for (const resume of woken) resume();
  }

  onRoom(resume: () => void): void {
    this.#waiting.add(resume);
  }

  forget(resume: () => void): void {
    this.#waiting.delete(resume);
  }
}
