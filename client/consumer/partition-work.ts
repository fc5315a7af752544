/** The messages of one partition that were handed out and are not finished yet, in the lanes that keep their order. */
import type { Message } from '../messages.ts';
import type { Handout } from './iterators.ts';
import type { PartitionState } from './partition-state.ts';

/** A partition gets no further ahead of a message that is not finished than this many. */
const aheadMax = 10_000;
/** With so many waiting for their lane, more are taken only when they are fewer. */
const waitingMax = 1_000;

interface Entry {
  readonly message: Message;
  /** Where the partition stands when this and all before it are finished. */
  readonly nextOffset: number;
  isFinished: boolean;
}

/** Entries that are handled one after another. */
interface Lane {
  readonly name: string;
  /** Those behind the one that is being handled. */
  readonly entries: Entry[];
}

export interface Started {
  readonly message: Message;
  /** To be called once. Behind a message that is not finished its lane stands still. */
  end(isFinished: boolean): void;
}

export class PartitionWork {
  readonly state: PartitionState;
  readonly #order: 'partition' | 'key';
  readonly #fetchEpoch: number;
  readonly #seekEpoch: number;
  readonly #controller = new AbortController();
  /** In order of offset, from the first that is not finished. */
  readonly #unfinished: Entry[] = [];
  /** By name, while they are busy or have entries. */
  readonly #lanes = new Map<string, Lane>();
  /** Those that are not busy, each with an entry. */
  readonly #free: Lane[] = [];
  #running = 0;
  #waiting = 0;

  constructor(state: PartitionState, order: 'partition' | 'key') {
    this.state = state;
    this.#order = order;
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
    return this.#order === 'partition' ? this.#waiting === 0 : this.#waiting < waitingMax;
  }

  add({ messages, nextOffset }: Handout): void {
    for (const [at, message] of messages.entries()) {
      const isLast = at + 1 === messages.length;
      const entry = { message, nextOffset: isLast ? nextOffset : message.offset + 1, isFinished: false };
      this.#unfinished.push(entry);
      this.#waiting++;
      const name = this.#laneOf(message);
      const lane = this.#lanes.get(name);
      if (lane === undefined) this.#open({ name, entries: [entry] });
      else lane.entries.push(entry);
    }
  }

  /** The next message of a lane that is not busy. Only where `mayStart`. */
  start(): Started {
    const lane = this.#free.shift()!;
    const entry = lane.entries.shift()!;
    this.#running++;
    this.#waiting--;
    return {
      message: entry.message,
      end: (isFinished) => {
        this.#running--;
        if (!isFinished) return;
        entry.isFinished = true;
        if (lane.entries.length > 0) this.#free.push(lane);
        else this.#lanes.delete(lane.name);
        this.#advance();
      },
    };
  }

  /** Tells those that run that it is not theirs any more. */
  abort(): void {
    this.#controller.abort();
  }

  /** What is not finished is handed out again to who reads next. Nothing may run. */
  giveBack(): void {
    const first = this.#unfinished[0];
    if (first !== undefined && this.isCurrent) this.state.rewind(first.message.offset);
  }

  #laneOf({ key, offset }: Message): string {
    if (this.#order === 'partition') return '';
    // Without a key it has no order to keep.
    return key === null ? `@${offset}` : `=${key.toString('latin1')}`;
  }

  #open(lane: Lane): void {
    this.#lanes.set(lane.name, lane);
    this.#free.push(lane);
  }

  #advance(): void {
    let count = 0;
    while (this.#unfinished[count]?.isFinished === true) count++;
    if (count === 0) return;
    const [last] = this.#unfinished.splice(0, count).slice(-1);
    const { nextOffset, message } = last!;
    // After a seek it says nothing about the position, and a commit by hand may have moved that further.
    if (this.state.seekEpoch !== this.#seekEpoch || nextOffset <= this.state.position) return;
    this.state.finish(nextOffset, message.leaderEpoch);
  }
}
