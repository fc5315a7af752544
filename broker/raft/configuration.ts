/**
 * The members of a group, as entries of its log say. A configuration holds from the moment it is appended, committed or not
 * (thesis, 4.1), and is taken back when its entry is truncated.
 *
 * Voters change by joint consensus (thesis, 4.3): an entry with the old and the new voters, where both need majorities, and
 * once that has committed an entry with the new ones alone. docs/decisions say why not one server at a time.
 */
import { assert } from '../../platform/assert.ts';
import type { MemberId } from './member.ts';

export interface Configuration {
  /** In order of preference: who comes first campaigns first. */
  readonly voters: readonly MemberId[];
  /** The voters before this change, while it is joint; else empty. */
  readonly outgoing: readonly MemberId[];
  /** Receive entries and never count. One that is in `outgoing` too votes until the change is complete. */
  readonly learners: readonly MemberId[];
  /** Of the intent that this carries out, as its owner numbers it; the core only hands it on. */
  readonly revision: number;
}

export interface PlacedConfiguration {
  readonly index: number;
  readonly configuration: Configuration;
}

export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

export function isVoter(configuration: Configuration, member: MemberId): boolean {
  return configuration.voters.includes(member) || configuration.outgoing.includes(member);
}

/** Whether its vote alone is a majority. */
export function isSoleVoter({ voters, outgoing }: Configuration, member: MemberId): boolean {
  return outgoing.length === 0 && voters.length === 1 && voters[0] === member;
}

/** Everyone who receives entries, each once, voters first. */
export function membersOf(configuration: Configuration): MemberId[] {
  return [...new Set([...configuration.voters, ...configuration.outgoing, ...configuration.learners])];
}

/** Whether both have the same voters, in whatever order: then going from one to the other changes no majority. */
export function haveSameVoters(one: readonly MemberId[], other: readonly MemberId[]): boolean {
  return one.length === other.length && one.every((voter) => other.includes(voter));
}

/** Which configuration holds, and which ones to return to. Those of the log's whole range are kept: changes are rare. */
export class Configurations {
  /** Ascending by index. Invariant: never empty; the first stands before or at the log's start or is committed. */
  #placed: PlacedConfiguration[];

  /** `placed` ascends by index; its first is that of the log's start. */
  constructor(placed: readonly PlacedConfiguration[]) {
    assert(placed.length > 0, 'a group is created with a configuration');
    this.#placed = [];
    for (const configuration of placed) this.append(configuration);
  }

  get current(): Configuration {
    return this.last.configuration;
  }

  get last(): PlacedConfiguration {
    const last = this.#placed.at(-1);
    assert(last !== undefined, 'a group has a configuration');
    return last;
  }

  /** The one that held at the end of the prefix of the log that ends before `endIndex`. */
  at(endIndex: number): PlacedConfiguration {
    return this.#placed.findLast(({ index }) => index < endIndex) ?? this.#placed[0]!;
  }

  append(placed: PlacedConfiguration): void {
    assert(placed.index > (this.#placed.at(-1)?.index ?? -1), 'configurations ascend by index');
    assert(placed.configuration.voters.length > 0, 'a group has a voter');
    this.#placed.push(placed);
  }

  /** Those with an index in [fromIndex, endIndex). */
  within(fromIndex: number, endIndex: number): PlacedConfiguration[] {
    if (this.last.index < fromIndex) return [];
    return this.#placed.filter(({ index }) => index >= fromIndex && index < endIndex);
  }

  /** Takes back those at or above `endIndex`. Where committed ones are lost, the oldest is the best that is known. */
  truncate(endIndex: number, isLoss = false): void {
    while (this.last.index >= endIndex) {
      const { configuration } = this.last;
      this.#placed.pop();
      if (this.#placed.length > 0) continue;
      assert(isLoss, 'the configuration that a log begins with is committed');
      this.#placed.push({ index: endIndex - 1, configuration });
    }
  }

  /** Forgets those that no entry from `startIndex` on needs. */
  compact(startIndex: number): void {
    const first = this.#placed.findLastIndex(({ index }) => index < startIndex);
    if (first > 0) this.#placed.splice(0, first);
  }

  /** The log has been replaced by one that begins with this. */
  reset(placed: readonly PlacedConfiguration[]): void {
    this.#placed = [];
    for (const configuration of placed) this.append(configuration);
  }
}
