/** Who waits for one of a log's ends to move so far. */
interface Waiter {
  readonly endIndex: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class EndWaiters {
  #waiting: Waiter[] = [];

  /** Resolves when the end has reached this index, which it has not now; rejects when it will not. */
  until(endIndex: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ endIndex, resolve, reject });
    });
  }

  reached(endIndex: number): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) {
      if (endIndex >= waiter.endIndex) waiter.resolve();
      else this.#waiting.push(waiter);
    }
  }

  reject(error: unknown): void {
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
  }
}
