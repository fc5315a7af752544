/**
 * Whether a group has read what it should, by content, from what all its members told. Events are put in order of their times.
 *
 * - A record holds the number of its place.
 * - A member's records of a partition follow each other; wherever they do not, and wherever it begins, stands the offset that the group
 *   had committed then. An attempt to commit that had no answer, as its member was killed, may or may not have counted.
 * - No record is read of which the group had committed that it is done; commits never go back.
 * - Every record was read by somebody.
 */
import type { JournalEntry } from './journal.ts';
import { type MemberEvent, type Offsets, recordValue } from './line-protocol.ts';

export interface LedgerSums {
  readonly records: number;
  /** Records that were read more than once, as nobody had committed them. */
  readonly repeated: number;
  readonly commits: number;
}

interface PartitionLedger {
  committed: number;
  /** Attempts of which it is not known whether they counted, above `committed`. */
  readonly uncertain: Set<number>;
  readonly seen: Set<number>;
  /** By member: what it should read next. */
  readonly next: Map<string, number>;
}

export interface LedgerOptions {
  /** By `topic/partition`: what was produced. */
  readonly ends: ReadonlyMap<string, number>;
  /** There are members that do not tell of their commits. */
  readonly hasSilentMembers: boolean;
  /** There are members that go on reading, and committing, what they own no more: where they begin cannot be judged. */
  readonly readsOn: boolean;
}

/** Throws with the first fault. */
export function checkLedger(entries: readonly JournalEntry[], options: LedgerOptions): LedgerSums {
  const ledger = new Ledger(options);
  const inOrder = [...entries].sort((a, b) => a.event.at - b.event.at);
  for (const { member, event } of inOrder) ledger.take(member, event);
  for (const [place, end] of options.ends) ledger.checkComplete(place, end);
  return ledger.sums;
}

class Ledger {
  sums = { records: 0, repeated: 0, commits: 0 };
  readonly #partitions = new Map<string, PartitionLedger>();
  readonly #options: LedgerOptions;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  take(member: string, event: MemberEvent): void {
    if (event.event === 'record') this.#record(member, event);
    else if (event.event === 'owns') this.#owns(member, event.partitions);
    else if (event.event === 'commit') {
      each(event.offsets, (place, offset) => this.#at(place).uncertain.add(offset));
    } else if (event.event === 'committed') this.#committed(member, event.offsets);
    else if (event.event === 'commit-failed' && refused.test(event.error)) {
      each(event.offsets, (place, offset) => this.#at(place).uncertain.delete(offset));
    }
  }

  checkComplete(place: string, end: number): void {
    const { seen } = this.#at(place);
    for (let offset = 0; offset < end; offset++) {
      if (!seen.has(offset)) throw new Error(`${place}: nobody has read ${offset} of ${end} records.`);
    }
    if (seen.size !== end) throw new Error(`${place}: ${seen.size} records were read, ${end} produced.`);
  }

  #record(member: string, record: Extract<MemberEvent, { event: 'record' }>): void {
    const { topic, partition, offset, value } = record;
    const place = `${topic}/${partition}`;
    const due = recordValue(topic, partition, offset);
    if (value !== due) throw new Error(`${place}: at ${offset} ${member} read '${value}', not '${due}'.`);
    const state = this.#at(place);
    if (!this.#options.readsOn) this.#checkPlace(state, member, { place, offset });
    state.next.set(member, offset + 1);
    this.sums.records += 1;
    if (state.seen.has(offset)) this.sums.repeated += 1;
    state.seen.add(offset);
  }

  #checkPlace(state: PartitionLedger, member: string, at: { place: string; offset: number }): void {
    const { place, offset } = at;
    const says = `the group had committed ${state.committed}`;
    if (offset < state.committed) throw new Error(`${place}: ${member} read ${offset} again; ${says}.`);
    const next = state.next.get(member);
    if (offset !== next && !this.#mayStart(state, offset)) {
      const before = next === undefined ? 'began' : `went on from ${next}`;
      const unsure =
        state.uncertain.size === 0 ? '' : `, perhaps ${[...state.uncertain].slice(-5).join(', ')}`;
      throw new Error(`${place}: ${member} ${before} at ${offset}; ${says}${unsure}.`);
    }
  }

  #mayStart(state: PartitionLedger, offset: number): boolean {
    if (offset === state.committed || state.uncertain.has(offset)) return true;
    // Wherever they had committed: what that passed over would be missing at the end.
    return this.#options.hasSilentMembers;
  }

  #owns(member: string, partitions: Readonly<Record<string, readonly number[]>>): void {
    for (const [place, { next }] of this.#partitions) {
      const at = place.lastIndexOf('/');
      const list = partitions[place.slice(0, at)] ?? [];
      if (!list.includes(Number(place.slice(at + 1)))) next.delete(member);
    }
  }

  #committed(member: string, offsets: Offsets): void {
    each(offsets, (place, offset) => {
      const state = this.#at(place);
      if (offset < state.committed && !this.#options.readsOn)
        throw new Error(`${place}: ${member} could commit ${offset} after ${state.committed}.`);
      state.committed = offset;
      for (const attempt of state.uncertain) if (attempt <= offset) state.uncertain.delete(attempt);
      this.sums.commits += 1;
    });
  }

  #at(place: string): PartitionLedger {
    let state = this.#partitions.get(place);
    if (state === undefined) {
      state = { committed: 0, uncertain: new Set(), seen: new Set(), next: new Map() };
      this.#partitions.set(place, state);
    }
    return state;
  }
}

/** The group has moved on, and such a commit does not count; after any other error it may have. */
const refused = /REBALANCE|GENERATION|MEMBER|FENCED|STALE|rebalanc/i;

function each(offsets: Offsets, take: (place: string, offset: number) => void): void {
  for (const [topic, partitions] of Object.entries(offsets))
    for (const [partition, offset] of Object.entries(partitions)) take(`${topic}/${partition}`, offset);
}
