/** How long each partition took no writes, as its producers see it: the longest time between two acknowledgements. */
export class WriteGaps {
  readonly #lastMs: number[] = [];
  readonly #longestMs: number[] = [];

  acknowledged(partition: number): void {
    const nowMs = performance.now();
    const lastMs = this.#lastMs[partition] ?? nowMs;
    this.#longestMs[partition] = Math.max(this.#longestMs[partition] ?? 0, nowMs - lastMs);
    this.#lastMs[partition] = nowMs;
  }

  /** The longest gap of any partition since the last call; one that has not ended yet counts as far as it has come. */
  takeLongestMs(): number {
    const nowMs = performance.now();
    let longestMs = 0;
    for (const [partition, lastMs] of this.#lastMs.entries()) {
      longestMs = Math.max(longestMs, this.#longestMs[partition] ?? 0, nowMs - lastMs);
    }
    this.#longestMs.length = 0;
    return longestMs;
  }
}
