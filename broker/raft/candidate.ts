/**
 * A member that asks for leadership: first whether it could have it ('pre-vote', no term begun), then for the votes of a new
 * term. Its own vote counts once it is durable, and nobody is asked before that: a candidate that has forgotten its term could
 * gather votes for a longer log than it then has.
 */
import { drawJitter } from './election.ts';
import type { Group } from './group.ts';
import type { MemberId } from './member.ts';
import type { VoteAnswer } from './messages.ts';
import { voteResult } from './quorum.ts';
import type { VoterSets, VoteResult } from './quorum.ts';

export class Candidate {
  readonly #group: Group;
  readonly kind: 'pre-vote' | 'vote';
  readonly #isTransfer: boolean;
  readonly #votes = new Map<MemberId, boolean>();
  readonly #deadline: number;
  /** Whose votes decide; the group's own but in a forced recovery. */
  readonly #sets: VoterSets;

  constructor(
    group: Group,
    kind: 'pre-vote' | 'vote',
    options: { readonly isTransfer: boolean; readonly sets: VoterSets; readonly patienceTicks: number },
  ) {
    this.#group = group;
    this.kind = kind;
    this.#isTransfer = options.isTransfer;
    this.#sets = options.sets;
    this.#deadline = group.peers.now + options.patienceTicks + drawJitter(group, options.patienceTicks);
  }

  get isOverdue(): boolean {
    return this.#group.peers.now >= this.#deadline;
  }

  get quietUntil(): number {
    return this.#deadline;
  }

  /** Asks everybody else. Requests of a vote leave when the hard state is durable. */
  request(): void {
    const { id, log, outbox, term } = this.#group;
    const others = new Set([...this.#sets.voters, ...this.#sets.outgoing]);
    others.delete(id);
    for (const to of others) {
      outbox.send({
        kind: this.kind,
        to,
        term: this.kind === 'pre-vote' ? term + 1 : term,
        lastIndex: log.lastIndex,
        lastTerm: log.lastTerm,
        isTransfer: this.#isTransfer,
      });
    }
  }

  /** Its own vote: at once in a pre-vote, when durable in an election. */
  voteForItself(): VoteResult {
    return this.#count(this.#group.id, true);
  }

  answered(answer: VoteAnswer): VoteResult {
    const { term } = this.#group;
    const isOfThis =
      answer.kind === `${this.kind}-answer` &&
      (!answer.isGranted || answer.term === (this.kind === 'pre-vote' ? term + 1 : term));
    if (!isOfThis) return this.#result();
    return this.#count(answer.from, answer.isGranted);
  }

  #count(voter: MemberId, isGranted: boolean): VoteResult {
    if (!this.#votes.has(voter)) this.#votes.set(voter, isGranted);
    return this.#result();
  }

  #result(): VoteResult {
    return voteResult(this.#sets, (voter) => this.#votes.get(voter));
  }
}
