/**
 * Linearizable reads without a log entry (thesis, 6.4). A read is served from all that was committed when it was asked, once
 * it is certain that this member was still the leader then: a quorum has answered a message that was sent later (read-index), or
 * has promised to elect nobody else yet (lease, 6.4.1).
 *
 * Nothing is served before the term's first entry has committed: the leader does not know before what is committed.
 */
import type { Group } from './group.ts';

interface Read {
  readonly token: number;
  readonly endIndex: number;
}

export class Reads {
  readonly #group: Group;
  readonly #barrier: () => number;
  /** Asked before the first entry of the term had committed. */
  #early: number[] = [];
  /** Wait for the answers to the barrier under way. */
  #asked: Read[] = [];
  /** Came after that barrier went out, and take the next one together. */
  #next: Read[] = [];
  #sequence = 0;

  /** `barrier` sends a message to everybody and returns its number. */
  constructor(group: Group, barrier: () => number) {
    this.#group = group;
    this.#barrier = barrier;
  }

  get isWaiting(): boolean {
    return this.#early.length + this.#asked.length + this.#next.length > 0;
  }

  add(token: number, isTermStartCommitted: boolean, holdsLease: boolean): void {
    const { committedEndIndex: endIndex, outbox } = this.#group;
    if (!isTermStartCommitted) this.#early.push(token);
    else if (holdsLease) outbox.put({ kind: 'read', token, endIndex });
    else {
      this.#next.push({ token, endIndex });
      if (this.#asked.length === 0) this.#ask();
    }
  }

  /** The term's first entry has committed. */
  termStartCommitted(): void {
    const { committedEndIndex: endIndex } = this.#group;
    for (const token of this.#early) this.#next.push({ token, endIndex });
    this.#early = [];
    if (this.#asked.length === 0) this.#ask();
  }

  /** A quorum has answered the barrier `sequence`, or a later one. */
  confirmed(sequence: number): void {
    if (this.#asked.length === 0 || sequence < this.#sequence) return;
    for (const read of this.#asked) this.#group.outbox.put({ kind: 'read', ...read });
    this.#asked = [];
    this.#ask();
  }

  /** Leadership is lost: whether the reads would have been current cannot be known. */
  abort(): void {
    const tokens = [...this.#early, ...[...this.#asked, ...this.#next].map(({ token }) => token)];
    for (const token of tokens) this.#group.outbox.put({ kind: 'read', token, endIndex: undefined });
  }

  #ask(): void {
    if (this.#next.length === 0) return;
    this.#asked = this.#next;
    this.#next = [];
    this.#sequence = this.#barrier();
  }
}
