/**
 * What was handed out of one partition and is not finished yet, in the lanes that keep their order. It comes in pieces, each of which
 * is handled at once: a message, or a batch.
 */
import type { Handout } from './handout.ts';
import type { PartitionState } from './partition-state.ts';
import type { Piece, Split } from './pieces.ts';

/** A partition gets no further ahead of a message that is not finished than this many. */
const aheadMax = 10_000;
/** With so many waiting for their lane, more are taken only when they are fewer. */
const waitingMax = 1_000;

interface Entry<Item> {
  readonly piece: Piece<Item>;
  /** Behind what is finished of it; -1 while nothing is known. */
  finishedOffset: number;
}

/** Entries that are handled one after another. */
interface Lane<Item> {
  readonly name: string;
  /** Those behind the one that is being handled. */
  readonly entries: Entry<Item>[];
}

export interface Started<Item> {
  readonly item: Item;
  /**
   * To be called once. `finishedOffset`: behind what is finished of it, `nextOffset` where that is all. Behind a piece that is not finished, its lane
   * stands still.
   */
  end(finishedOffset: number | 'all' | 'nothing'): void;
}

export class PartitionWork<Item> {
  readonly state: PartitionState;
  readonly #split: Split<Item>;
  readonly #fetchEpoch: number;
  readonly #seekEpoch: number;
  readonly #controller = new AbortController();
  /** In order of offset, from the first that is not finished. */
  readonly #unfinished: Entry<Item>[] = [];
  /** By name, while they are busy or have entries. */
  readonly #lanes = new Map<string, Lane<Item>>();
  /** Those that are not busy, each with an entry. */
  readonly #free: Lane<Item>[] = [];
  #running = 0;
  #waiting = 0;

  constructor(state: PartitionState, split: Split<Item>) {
    this.state = state;
    this.#split = split;
    this.#fetchEpoch = state.fetchEpoch;
    this.#seekEpoch = state.seekEpoch;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What was handed out still counts. */
  get isCurrent(): boolean {
    return this.state.fetchEpoch === this.#fetchEpoch;
  }

  get isIdle(): boolean {
    return this.#running === 0;
  }

  get mayStart(): boolean {
    return this.isCurrent && !this.state.isPaused && this.#free.length > 0;
  }

  /** Whether more of the partition may be taken. */
  get hasRoom(): boolean {
    if (!this.isCurrent || this.#unfinished.length >= aheadMax) return false;
    // With one lane nothing more could be started.
    return this.#lanes.size <= 1 ? this.#waiting === 0 : this.#waiting < waitingMax;
  }

  add(handout: Handout): void {
    for (const piece of this.#split(handout)) {
      const entry = { piece, finishedOffset: -1 };
      this.#unfinished.push(entry);
      this.#waiting++;
      const lane = this.#lanes.get(piece.lane);
      if (lane === undefined) this.#open({ name: piece.lane, entries: [entry] });
      else lane.entries.push(entry);
    }
  }

  /** The next piece of a lane that is not busy. Only where `mayStart`. */
  start(): Started<Item> {
    const lane = this.#free.shift()!;
    const entry = lane.entries.shift()!;
    const { item, nextOffset } = entry.piece;
    this.#running++;
    this.#waiting--;
    return {
      item,
      end: (finishedOffset) => {
        this.#running--;
        if (finishedOffset === 'nothing') return;
        entry.finishedOffset = finishedOffset === 'all' ? nextOffset : Math.min(finishedOffset, nextOffset);
        const isWhole = entry.finishedOffset === nextOffset;
        if (isWhole && lane.entries.length > 0) this.#free.push(lane);
        else if (isWhole) this.#lanes.delete(lane.name);
        this.#advance();
      },
    };
  }

  /** Tells those that run that it is not theirs any more. */
  abort(): void {
    this.#controller.abort();
  }

  /** What is not finished is handed out again. Nothing may run. */
  giveBack(): void {
    const first = this.#unfinished[0];
    if (first === undefined || !this.isCurrent) return;
    this.state.rewind(Math.max(first.piece.offset, first.finishedOffset));
  }

  #open(lane: Lane<Item>): void {
    this.#lanes.set(lane.name, lane);
    this.#free.push(lane);
  }

  #advance(): void {
    let count = 0;
    let last: Entry<Item> | undefined;
    for (; count < this.#unfinished.length; count++) {
      const entry = this.#unfinished[count]!;
      if (entry.finishedOffset < 0) break;
      last = entry;
      if (entry.finishedOffset < entry.piece.nextOffset) break;
    }
    this.#unfinished.splice(0, count);
    if (last === undefined) return;
    const { finishedOffset, piece } = last;
    // After a seek it says nothing about the position, and a commit by hand may have moved that further.
    if (this.state.seekEpoch !== this.#seekEpoch || finishedOffset <= this.state.position) return;
    this.state.finish(finishedOffset, piece.leaderEpoch);
  }
}
