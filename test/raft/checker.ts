/**
 * What must hold of a group at every step, seen from above: from the logs, terms and commitments of all members at once (Raft paper,
 * figure 3). Throws at the first violation.
 */
import type { MemberId } from '../../broker/raft/member.ts';
import type { Configuration } from '../../broker/raft/configuration.ts';
import type { Message } from '../../broker/raft/messages.ts';
import type { HardState } from '../../broker/raft/outbox.ts';

export interface Entry {
  readonly term: number;
  readonly value: number;
  /** Entries of one batch are sent and stored whole. */
  readonly batch: number;
  readonly configuration?: Configuration;
}

interface Committed {
  readonly entry: Entry;
  /** The term of the leader that first committed it. */
  readonly inTerm: number;
}

export class Violation extends Error {
  constructor(property: string, detail: string) {
    super(`${property}: ${detail}`);
    this.name = 'Violation';
  }
}

export class Checker {
  readonly #leaders = new Map<number, MemberId>();
  readonly #entries = new Map<string, { readonly value: number; readonly previousTerm: number }>();
  readonly #hardStates = new Map<MemberId, HardState>();
  /** By index; everything that any member has ever known to be committed. */
  readonly committed: (Committed | undefined)[] = [];
  elections = 0;

  get committedEndIndex(): number {
    return this.committed.length;
  }

  /** Election safety, and leader completeness for all that was committed in earlier terms. */
  leads(member: MemberId, term: number, entryAt: (index: number) => Entry | undefined): void {
    const other = this.#leaders.get(term);
    if (other !== undefined)
      throw new Violation('election safety', `${other} and ${member} lead term ${term}`);
    this.#leaders.set(term, member);
    this.elections++;
    this.committed.forEach((committed, index) => {
      if (committed === undefined || committed.inTerm >= term) return;
      const own = entryAt(index);
      if (own !== undefined && own.value !== committed.entry.value) {
        throw new Violation('leader completeness', `${member} leads ${term} with another entry ${index}`);
      }
    });
  }

  /** That the log of a new leader is long enough is asked apart, as entries below its start are not there to be compared. */
  hasAll(member: MemberId, term: number, endIndex: number): void {
    const missing = this.committed.findIndex(
      (committed, index) => committed !== undefined && committed.inTerm < term && index >= endIndex,
    );
    if (missing >= 0)
      throw new Violation('leader completeness', `${member} leads ${term} without ${missing}`);
  }

  /** Log matching: an index and a term name one entry, and one entry before it. */
  appended(member: MemberId, index: number, entry: Entry, previousTerm: number): void {
    const key = `${index}:${entry.term}`;
    const known = this.#entries.get(key);
    if (known === undefined) this.#entries.set(key, { value: entry.value, previousTerm });
    else if (known.value !== entry.value || known.previousTerm !== previousTerm) {
      throw new Violation('log matching', `${member} has another entry ${index} of term ${entry.term}`);
    }
  }

  /** State machine safety. */
  commits(member: MemberId, index: number, entry: Entry, term: number): boolean {
    const known = this.committed[index];
    if (known === undefined) {
      this.committed[index] = { entry, inTerm: term };
      return true;
    }
    if (known.entry.value !== entry.value || known.entry.term !== entry.term) {
      throw new Violation('state machine safety', `${member} commits another entry ${index} in term ${term}`);
    }
    return false;
  }

  /** Commit durability: what is committed is on the disks of a majority of each set of voters. */
  isHeld(index: number, configuration: Configuration, holds: (voter: MemberId) => boolean): void {
    for (const voters of [configuration.voters, configuration.outgoing]) {
      const holders = voters.filter(holds).length;
      if (voters.length > 0 && holders * 2 <= voters.length) {
        throw new Violation('commit durability', `entry ${index} is on ${holders} of ${voters.length} disks`);
      }
    }
  }

  /** Terms and votes never go back, over restarts too. */
  hardState(member: MemberId, state: HardState): void {
    const before = this.#hardStates.get(member);
    if (before !== undefined) {
      const isVoteChanged =
        state.term === before.term && before.votedFor !== undefined && state.votedFor !== before.votedFor;
      if (state.term < before.term || isVoteChanged) {
        throw new Violation('term and vote', `${member} goes from ${show(before)} to ${show(state)}`);
      }
    }
    this.#hardStates.set(member, state);
  }

  /** Nothing is said that a crash could make untrue: the term is durable, and a vote that is given or asked on. */
  says(message: Message, durable: HardState): void {
    const { from, kind, term, to } = message;
    const isPromise = kind === 'pre-vote' || (kind === 'pre-vote-answer' && message.isGranted);
    const isVote = kind === 'vote' || (kind === 'vote-answer' && message.isGranted);
    const isDurable = isPromise || durable.term >= term;
    const isVoteDurable =
      !isVote || durable.term > term || durable.votedFor === (kind === 'vote' ? from : to);
    if (isDurable && isVoteDurable) return;
    throw new Violation(
      'term and vote',
      `${from} says ${kind} of term ${term} with ${show(durable)} on disk`,
    );
  }

  /** A read sees what was committed when it was asked. */
  read(member: MemberId, endIndex: number, committedWhenAsked: number): void {
    if (endIndex < committedWhenAsked) {
      throw new Violation(
        'linearizable read',
        `${member} reads up to ${endIndex}, not ${committedWhenAsked}`,
      );
    }
  }
}

function show({ term, votedFor }: HardState): string {
  return `${term}/${votedFor ?? 'none'}`;
}
