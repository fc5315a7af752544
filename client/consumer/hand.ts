/** Whether the application holds messages: from when they are handed out until it asks for more, or leaves the loop. */
import type { Clock } from '../../platform/clock.ts';
import { Bell } from '../waiting.ts';

export class Hand {
  readonly #emptied = new Bell();
  #isFull = false;
  #isOpen = true;

  fill(): void {
    this.#isFull = true;
  }

  empty(): void {
    this.#isFull = false;
    this.#emptied.ring();
  }

  /** From now on nobody waits: who closes a consumer may do so with messages in hand. */
  close(): void {
    this.#isOpen = false;
    this.#emptied.ring();
  }

  /** Resolves when it holds nothing, after `limitMs` at the latest. */
  async whenEmpty(clock: Clock, limitMs: number): Promise<void> {
    if (this.#isFull && this.#isOpen) await this.#emptied.nextWithin(clock, limitMs);
  }
}
