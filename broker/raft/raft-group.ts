/**
 * The consensus core of one replicated log. Pure: its inputs are what happened, its outputs are values; it knows no clock,
 * no disk and no network, and never waits.
 *
 * A group has the voters it is given; the one form of it so far has this node as its only voter, so an election is won by
 * asking and an entry is committed when this node has synced it. What callers rely on is already final:
 *   - a term is used only after it and the vote have been persisted (`campaign` -> persist -> `voteDurable`);
 *   - every term begins with an entry of its own, and nothing commits before that entry does (thesis, 3.6.2);
 *   - `committedEndIndex` never goes back, and counts only what is durable.
 */
import { assert } from '../../platform/assert.ts';

/** What must be durable before the term is used. */
export interface HardState {
  readonly term: number;
  readonly votedFor: number;
}

export type Role = 'follower' | 'candidate' | 'leader';

export interface RaftGroupOptions {
  readonly nodeId: number;
  readonly voters: readonly number[];
  readonly hardState: HardState;
  /** Of the log at start: one past its last entry, and that entry's term. */
  readonly endIndex: number;
  readonly lastTerm: number;
}

/** The leader epoch is Kafka's int32. */
const termMax = 2 ** 31 - 1;

export class RaftGroup {
  readonly #nodeId: number;
  readonly #voters: readonly number[];
  #hardState: HardState;
  #role: Role = 'follower';
  /** One past the last entry that is known to be committed. Invariant: never goes back, never beyond what is durable. */
  #committedEndIndex = 0;
  /** Index of the entry that began this leader's term. Invariant: set exactly while leader and appended. */
  #termStartIndex: number | undefined;
  #lastTerm: number;

  constructor(options: RaftGroupOptions) {
    assert(
      options.voters.length === 1 && options.voters[0] === options.nodeId,
      'a group has this node as its only voter',
    );
    this.#nodeId = options.nodeId;
    this.#voters = options.voters;
    this.#hardState = options.hardState;
    this.#lastTerm = options.lastTerm;
  }

  get role(): Role {
    return this.#role;
  }

  get term(): number {
    return this.#hardState.term;
  }

  get voters(): readonly number[] {
    return this.#voters;
  }

  get committedEndIndex(): number {
    return this.#committedEndIndex;
  }

  /** Whether the first entry of this leader's own term has committed: only then does it know all that is committed. */
  get termStartCommitted(): boolean {
    return this.#termStartIndex !== undefined && this.#committedEndIndex > this.#termStartIndex;
  }

  /** Asks for leadership in a new term; the state returned must be durable before `voteDurable` is called. */
  campaign(): HardState {
    const term = Math.max(this.#hardState.term, this.#lastTerm) + 1;
    assert(term <= termMax, 'terms fit Kafka leader epochs');
    this.#role = 'candidate';
    this.#hardState = { term, votedFor: this.#nodeId };
    return this.#hardState;
  }

  /** The vote for itself is durable, and it is the only one needed: the caller appends the term's first entry. */
  voteDurable(): void {
    assert(this.#role === 'candidate', 'only a candidate waits for its vote');
    this.#role = 'leader';
  }

  /** The term's first entry stands at `index`. */
  termStarted(index: number): void {
    assert(this.#role === 'leader' && this.#termStartIndex === undefined, 'a term starts once');
    this.#termStartIndex = index;
    this.#lastTerm = this.term;
  }

  /** All entries below `flushedEndIndex` are durable here. Returns whether that committed anything. */
  flushed(flushedEndIndex: number): boolean {
    if (this.#termStartIndex === undefined || flushedEndIndex <= this.#termStartIndex) return false;
    if (flushedEndIndex <= this.#committedEndIndex) return false;
    this.#committedEndIndex = flushedEndIndex;
    return true;
  }

  /** The log can take no more (a failed sync is final): leadership ends and nothing further commits here. */
  resign(): void {
    this.#role = 'follower';
    this.#termStartIndex = undefined;
  }
}
