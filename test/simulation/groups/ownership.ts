/**
 * Who reads which partitions, as the members themselves believe. No partition is with two members of one generation or epoch of a group;
 * and a member is told to read one only once whoever had it has given it up, is gone, or has not been heard of for so long that it was
 * put out.
 */
import { intersection } from '../../../broker/groups/consumer/assigned-partitions.ts';
import type { AssignedPartitions } from '../../../broker/groups/consumer/assigned-partitions.ts';
import { check } from '../simulation-failure.ts';

/** A member, as far as others may not take what it has. */
export interface Owner {
  readonly name: string;
  /** The same for a static member that has come back. */
  readonly identity: string;
  readonly groupId: string;
  /** Generation, or member epoch. */
  readonly round: number;
  readonly owned: AssignedPartitions;
  /** Until then the coordinator may not put it out, whatever it does. */
  readonly heldUntilMs: number;
}

/** When a group has had members for certain, without a break. */
interface Inhabited {
  sinceMs: number;
  untilMs: number;
}

export class Ownership {
  readonly #nowMs: () => number;
  /** With the time at which each was last assigned something. */
  readonly #owners = new Map<Owner, number>();
  readonly #inhabited = new Map<string, Inhabited>();
  readonly counts = { begun: 0 };

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** From now on `owner` may have partitions. */
  enter(owner: Owner): void {
    this.#owners.set(owner, -Infinity);
  }

  /** It has none any more, or nobody need wait for it. */
  exit(owner: Owner): void {
    this.#owners.delete(owner);
    const inhabited = this.#inhabited.get(owner.groupId);
    if (inhabited === undefined) return;
    const others = Array.from(this.#othersThan(owner), ([{ heldUntilMs }]) => heldUntilMs);
    inhabited.untilMs = Math.max(this.#nowMs(), ...others);
  }

  /** The coordinator has heard of the member at `sinceMs`, so that the group has had it since. */
  heard({ groupId, heldUntilMs }: Owner, sinceMs: number): void {
    const inhabited = this.#inhabited.get(groupId);
    if (inhabited === undefined || inhabited.untilMs < sinceMs) {
      this.#inhabited.set(groupId, { sinceMs, untilMs: heldUntilMs });
    } else {
      inhabited.untilMs = Math.max(inhabited.untilMs, heldUntilMs);
    }
  }

  /** In its generation or epoch the member is to read these: nobody else may in the same. A group that was empty may count anew. */
  assigned(member: Owner, partitions: AssignedPartitions): void {
    const sinceMs = this.#inhabited.get(member.groupId)?.sinceMs ?? Infinity;
    for (const [other, assignedMs] of this.#othersThan(member)) {
      if (other.round !== member.round || assignedMs < sinceMs) continue;
      const both = common(partitions, other.owned);
      check(
        both === undefined,
        () => `${both} is with ${other.name} and ${member.name}, both in round ${member.round}`,
      );
    }
    this.#owners.set(member, this.#nowMs());
  }

  /** The member begins to read these: nobody may have them who is in the group still. */
  begins(member: Owner, partitions: AssignedPartitions): void {
    this.counts.begun++;
    // Who hung for so long that it was put out learns of that later, as in any cluster.
    if (member.heldUntilMs <= this.#nowMs()) return;
    for (const [other] of this.#othersThan(member)) {
      if (other.heldUntilMs <= this.#nowMs()) continue;
      const both = common(partitions, other.owned);
      check(both === undefined, () => `${member.name} begins with ${both}, which ${other.name} still has`);
    }
  }

  /** In its group. A static member that has come back is who it was. */
  *#othersThan(member: Owner): Generator<readonly [Owner, number]> {
    for (const entry of this.#owners) {
      const [other] = entry;
      if (other.groupId === member.groupId && other.identity !== member.identity) yield entry;
    }
  }
}

function common(one: AssignedPartitions, other: AssignedPartitions): string | undefined {
  const [both] = intersection(one, other);
  return both && `${both[0]}-${both[1].join()}`;
}
