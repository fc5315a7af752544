import type { Yield } from './yield.ts';

/**
 * For tests and simulation: counts the turns and runs `between` in each, the same on every run. What `between` does (cutting a
 * log, crashing a disk, waiting for a turn of the simulation) is done before the work that yielded goes on.
 */
export class CountedYield implements Yield {
  readonly #between: (turn: number) => void | Promise<void>;
  #turns = 0;

  constructor(between: (turn: number) => void | Promise<void> = () => undefined) {
    this.#between = between;
  }

  get turns(): number {
    return this.#turns;
  }

  async turn(): Promise<void> {
    this.#turns++;
    await this.#between(this.#turns);
  }
}
