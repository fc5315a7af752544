/** What the application holds: of which partitions it has messages, from when they are handed out until it has finished with them, or leaves. */
import type { Clock } from '../../platform/clock.ts';
import { Bell } from '../waiting.ts';
import type { PartitionState } from './partition-state.ts';

export class Hand {
  readonly #emptied = new Bell();
  /** How many times it was filled and not emptied, for each partition. */
  readonly #held = new Map<PartitionState, number>();
  #isOpen = true;

  fill(state: PartitionState): void {
    this.#held.set(state, (this.#held.get(state) ?? 0) + 1);
  }

  empty(state: PartitionState): void {
    const left = (this.#held.get(state) ?? 0) - 1;
    if (left > 0) {
      this.#held.set(state, left);
      return;
    }
    this.#held.delete(state);
    this.#emptied.ring();
  }

  /** From now on nobody waits: who closes a consumer may do so with messages in hand. */
  close(): void {
    this.#isOpen = false;
    this.#emptied.ring();
  }

  /** Resolves when it holds nothing of these partitions, or of any; after `limitMs` at the latest. */
  async whenEmpty(clock: Clock, limitMs: number, states?: readonly PartitionState[]): Promise<void> {
    const deadlineMs = clock.monotonicMs() + limitMs;
    const holds = (): boolean =>
      states === undefined ? this.#held.size > 0 : states.some((state) => this.#held.has(state));
    while (this.#isOpen && holds()) {
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) return;
      await this.#emptied.nextWithin(clock, leftMs);
    }
  }
}
