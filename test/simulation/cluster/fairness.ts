/**
 * Which faults a cluster has to survive. What is durable may be lost on the disks of a minority of the voters alone: of every
 * configuration that may still be in use, as a member with an old log may yet ask by it. A member that was harmed stays so; it is
 * another one, with another directory, that takes its place.
 */
import type { Configuration, PlacedConfiguration } from '../../../broker/raft/configuration.ts';
import type { MemberId } from '../../../broker/raft/member.ts';

export class Fairness {
  /** By group: the newest that is known to be committed, and all that were appended after it. */
  readonly #inUse: PlacedConfiguration[][];
  readonly #harmed: Set<MemberId>[];

  constructor(groups: number, first: Configuration) {
    this.#inUse = Array.from({ length: groups }, () => [{ index: 0, configuration: first }]);
    this.#harmed = Array.from({ length: groups }, () => new Set());
  }

  get groups(): number[] {
    return [...this.#inUse.keys()];
  }

  /** What a newcomer may be told of. */
  newest(group: number): Configuration {
    return this.#inUse[group]!.at(-1)!.configuration;
  }

  appended(group: number, placed: PlacedConfiguration): void {
    const known = this.#inUse[group]!;
    if (placed.index < known[0]!.index) return;
    const isKnown = known.some(
      ({ index, configuration }) =>
        index === placed.index && JSON.stringify(configuration) === JSON.stringify(placed.configuration),
    );
    if (!isKnown) known.push(placed);
  }

  committed(group: number, placed: PlacedConfiguration): void {
    const later = this.#inUse[group]!.filter(({ index }) => index > placed.index);
    if (placed.index >= this.#inUse[group]![0]!.index) this.#inUse[group] = [placed, ...later];
  }

  isHarmed(group: number, member: MemberId): boolean {
    return this.#harmed[group]!.has(member);
  }

  mayHarm(group: number, member: MemberId): boolean {
    const harmed = new Set(this.#harmed[group]).add(member);
    return this.#inUse[group]!.every(({ configuration }) => hasMajorities(configuration, harmed));
  }

  /** Whether those who neither were harmed nor are among these can elect a leader by any configuration that is in use. */
  canElectWithout(group: number, forgetful: ReadonlySet<MemberId>): boolean {
    const missed = new Set([...this.#harmed[group]!, ...forgetful]);
    return this.#inUse[group]!.every(({ configuration }) => hasMajorities(configuration, missed));
  }

  harm(group: number, member: MemberId): void {
    this.#harmed[group]!.add(member);
  }

  /** Whether a configuration may come into use. */
  allows(group: number, voters: readonly MemberId[]): boolean {
    return isMajority(voters, this.#harmed[group]!);
  }
}

function hasMajorities({ voters, outgoing }: Configuration, harmed: ReadonlySet<MemberId>): boolean {
  return isMajority(voters, harmed) && (outgoing.length === 0 || isMajority(outgoing, harmed));
}

function isMajority(voters: readonly MemberId[], harmed: ReadonlySet<MemberId>): boolean {
  return 2 * voters.filter((voter) => !harmed.has(voter)).length > voters.length;
}
