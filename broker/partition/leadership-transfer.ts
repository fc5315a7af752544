import type { MemberId } from '../raft/member.ts';

/** The one transfer of a group's leadership that is under way here, for whoever waits for its outcome. */
export class LeadershipTransfer {
  #underWay: { readonly to: MemberId; readonly done: (isDone: boolean) => void } | undefined;

  /** Resolves when it has ended; with false where the member has not taken leadership. */
  begin(to: MemberId): Promise<boolean> {
    this.ended(false);
    return new Promise((done) => {
      this.#underWay = { to, done };
    });
  }

  isTo(member: MemberId | undefined): boolean {
    return this.#underWay?.to === member;
  }

  ended(isDone: boolean): void {
    const underWay = this.#underWay;
    this.#underWay = undefined;
    underWay?.done(isDone);
  }
}
