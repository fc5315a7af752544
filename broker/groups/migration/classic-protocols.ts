/** Which classic protocols the members of a consumer group support that take part by the classic protocol: with one that all do, they can go on as a classic group. */
import type { ConsumerMember } from '../consumer/consumer-member.ts';

export class ClassicProtocols {
  #memberCount = 0;
  /** How many members support each. */
  readonly #support = new Map<string, number>();

  get memberCount(): number {
    return this.#memberCount;
  }

  count({ classic }: ConsumerMember, by: 1 | -1): void {
    if (classic === null) return;
    this.#memberCount += by;
    for (const name of namesOf(classic.protocols)) {
      const support = (this.#support.get(name) ?? 0) + by;
      if (support === 0) this.#support.delete(name);
      else this.#support.set(name, support);
    }
  }

  /** Whether one of the protocols is supported by all members but `member`, whose own these are, or are to be. */
  areSupported(
    protocols: readonly { readonly name: string }[],
    { classic }: Pick<ConsumerMember, 'classic'> = { classic: null },
  ): boolean {
    const own = namesOf(classic?.protocols ?? []);
    const others = this.#memberCount - (classic === null ? 0 : 1);
    return protocols.some(({ name }) => (this.#support.get(name) ?? 0) - (own.has(name) ? 1 : 0) === others);
  }
}

function namesOf(protocols: readonly { readonly name: string }[]): Set<string> {
  return new Set(protocols.map(({ name }) => name));
}
