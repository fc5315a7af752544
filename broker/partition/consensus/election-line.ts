/**
 * Members that are to ask for leadership, one after the other: of thousands of groups without a leader only some hold elections at
 * a time, so that each of these ends long before anybody gives it up, and heartbeats are not stuck behind them.
 *
 * An election that is not over soon, for want of others' answers, goes on, and keeps nobody waiting any more.
 */
import type { GroupMember } from './consensus-types.ts';

/** Elections at one time, as far as they take no longer than an election timeout. */
const electionsMax = 64;

export class ElectionLine {
  readonly #turnTicks: number;
  /** In order; whether they are to campaign whatever time it is. */
  readonly #waiting = new Map<GroupMember, boolean>();
  /** Since when. */
  readonly #campaigning = new Map<GroupMember, number>();

  constructor(electionTicks: number) {
    this.#turnTicks = electionTicks;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** It is time for the member to campaign, if it still is when its turn has come. */
  due(member: GroupMember): void {
    if (!this.#waiting.has(member)) this.#waiting.set(member, false);
  }

  /** The member is to campaign, unless there is a leader by then. */
  ask(member: GroupMember): void {
    this.#waiting.set(member, true);
  }

  leave(member: GroupMember): void {
    this.#waiting.delete(member);
    this.#campaigning.delete(member);
  }

  /** Those whose turn it is begin. */
  moveOn(now: number): void {
    for (const [member, since] of this.#campaigning) {
      if (!member.isInElection || now - since >= this.#turnTicks) this.#campaigning.delete(member);
    }
    for (const [member, isAsked] of this.#waiting) {
      if (this.#campaigning.size >= electionsMax) break;
      this.#waiting.delete(member);
      if (isAsked) member.campaign();
      else member.tick();
      if (member.isInElection) this.#campaigning.set(member, now);
    }
  }
}
