/** Hands out producer ids from blocks that are this node's alone. What is left of a block is lost with a restart. */
import type { ProducerIdBlock } from './controller/controller.ts';

export class ProducerIds {
  readonly #allocate: () => Promise<ProducerIdBlock>;
  #next = 0;
  #end = 0;
  /** The allocation under way, which all who wait share. */
  #pending: Promise<void> | undefined;

  /** `allocate` resolves when a block is durably this node's. */
  constructor(allocate: () => Promise<ProducerIdBlock>) {
    this.#allocate = allocate;
  }

  async next(): Promise<number> {
    while (this.#next === this.#end) {
      this.#pending ??= this.#refill();
      await this.#pending;
    }
    return this.#next++;
  }

  async #refill(): Promise<void> {
    try {
      const { first, count } = await this.#allocate();
      this.#next = first;
      this.#end = first + count;
    } finally {
      this.#pending = undefined;
    }
  }
}
