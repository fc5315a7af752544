/**
 * What consensus needs to know of a log: where it begins and ends, and which term each index has. Entries themselves are
 * never seen. As every term begins with an entry of its own, a few (index, term) pairs describe a log of any length.
 *
 * Positions are logical: what has been told to the shell to append or cut counts at once, whether or not the disk has done it.
 * Ends are exclusive. Invariant: startIndex <= endIndex; starts ascend in index and in term.
 */
import { assert } from '../../platform/assert.ts';

/** The entry at `index` is the first of `term`. */
export interface TermStart {
  readonly index: number;
  readonly term: number;
}

export interface TermEnd {
  readonly term: number;
  /** One past the last entry of that term. */
  readonly endIndex: number;
}

export interface TermLogState {
  /** The first entry that is there. */
  readonly startIndex: number;
  /** Term of the entry before it; 0 where none ever was. */
  readonly startTerm: number;
  readonly endIndex: number;
  /** Of the terms that begin in [startIndex, endIndex), ascending. */
  readonly terms: readonly TermStart[];
}

export class TermLog {
  #startIndex: number;
  #startTerm: number;
  #endIndex: number;
  #starts: TermStart[];

  constructor(state: TermLogState) {
    this.#startIndex = state.startIndex;
    this.#startTerm = state.startTerm;
    this.#endIndex = state.startIndex;
    this.#starts = [];
    this.append(state.endIndex, state.terms);
  }

  get startIndex(): number {
    return this.#startIndex;
  }

  get endIndex(): number {
    return this.#endIndex;
  }

  get lastIndex(): number {
    return this.#endIndex - 1;
  }

  get lastTerm(): number {
    return this.#starts.at(-1)?.term ?? this.#startTerm;
  }

  /** `index` lies in [startIndex - 1, endIndex). */
  termAt(index: number): number {
    assert(index >= this.#startIndex - 1 && index < this.#endIndex, 'an index whose term is known');
    return this.#starts.findLast((start) => start.index <= index)?.term ?? this.#startTerm;
  }

  /**
   * Whether the entry at `index` has `term` here (log matching: then all before it are the same too). What lies before the
   * start was committed when it was removed, so that every later leader has it, unless it has lost what was committed: then what it
   * has there instead is of a later term.
   */
  matches(index: number, term: number): boolean {
    if (index < this.#startIndex - 1) return term <= this.#startTerm;
    return index < this.#endIndex && this.termAt(index) === term;
  }

  /**
   * The first index at which the two are known to have other entries. Where one has removed them only the term that it had there
   * last tells; terms are runs, which can only part where one begins.
   */
  firstDifference(other: TermLog): number | undefined {
    const endIndex = Math.min(this.#endIndex, other.#endIndex);
    const borders = [...this.#borders(), ...other.#borders()].sort((a, b) => a - b);
    return borders.find(
      (index) => index < endIndex && (this.#hasOtherThan(other, index) || other.#hasOtherThan(this, index)),
    );
  }

  /** Whether a log that ends with this entry is at least as complete as this one (thesis, 3.6.1). */
  isCoveredBy(lastTerm: number, lastIndex: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** The largest term at or below `term` that has entries here, and where it ends: the question of OffsetForLeaderEpoch. */
  endOfTermAtMost(term: number): TermEnd {
    const next = this.#starts.findIndex((start) => start.term > term);
    const place = next === -1 ? this.#starts.length : next;
    const endIndex = next === -1 ? this.#endIndex : this.#starts[next]!.index;
    return { term: this.#starts[place - 1]?.term ?? this.#startTerm, endIndex };
  }

  /** The terms that begin in [fromIndex, endIndex). */
  startsWithin(fromIndex: number, endIndex: number): TermStart[] {
    return this.#starts.filter(({ index }) => index >= fromIndex && index < endIndex);
  }

  /** Extends the log up to `endIndex`, where `starts` lists the terms that begin on the way. */
  append(endIndex: number, starts: readonly TermStart[]): void {
    assert(endIndex >= this.#endIndex, 'an append extends the log');
    for (const start of starts) {
      assert(start.index >= this.#endIndex && start.index < endIndex, 'a term begins in its range');
      assert(start.term > this.lastTerm, 'terms ascend');
      this.#starts.push(start);
    }
    this.#endIndex = endIndex;
  }

  truncate(endIndex: number): void {
    assert(endIndex >= this.#startIndex && endIndex <= this.#endIndex, 'a cut within the log');
    while ((this.#starts.at(-1)?.index ?? -1) >= endIndex) this.#starts.pop();
    this.#endIndex = endIndex;
  }

  /** Entries below `startIndex` are gone; the caller answers for their being committed. */
  compact(startIndex: number): void {
    if (startIndex <= this.#startIndex) return;
    assert(startIndex <= this.#endIndex, 'a log is compacted up to its end at most');
    this.#startTerm = this.termAt(startIndex - 1);
    this.#starts = this.#starts.filter(({ index }) => index >= startIndex);
    this.#startIndex = startIndex;
  }

  /** Another log has taken this one's place: a snapshot, or segments copied from the leader. */
  reset(state: TermLogState): void {
    this.#startIndex = state.startIndex;
    this.#startTerm = state.startTerm;
    this.#endIndex = state.startIndex;
    this.#starts = [];
    this.append(state.endIndex, state.terms);
  }

  #borders(): number[] {
    return [this.#startIndex - 1, ...this.#starts.map(({ index }) => index)];
  }

  #hasOtherThan(other: TermLog, index: number): boolean {
    return index >= this.#startIndex - 1 && !other.matches(index, this.termAt(index));
  }
}
