/**
 * Which members of groups are to be given which tick: a list for each tick that somebody waits for, so that a tick costs what is due
 * then, however many groups want ticks. A member that has asked for an earlier one since is passed over at the later one.
 */
import type { GroupMember } from './consensus-types.ts';

export class DueMembers {
  readonly #byTick = new Map<number, GroupMember[]>();
  #next = Infinity;

  /** The first tick that anybody waits for, or has waited for; Infinity: none. */
  get next(): number {
    return this.#next;
  }

  add(member: GroupMember, tick: number): void {
    const members = this.#byTick.get(tick);
    if (members === undefined) this.#byTick.set(tick, [member]);
    else members.push(member);
    if (tick < this.#next) this.#next = tick;
  }

  /** Those that this tick is for. To be asked for each tick, in order. */
  take(tick: number): readonly GroupMember[] {
    const members = this.#byTick.get(tick);
    if (members === undefined) return [];
    this.#byTick.delete(tick);
    this.#next = Infinity;
    for (const each of this.#byTick.keys()) if (each < this.#next) this.#next = each;
    return members;
  }
}
