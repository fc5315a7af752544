/**
 * The iterations over messages and over batches. Both take handouts from the consumer and say when the application has
 * finished with what it got, which is when it asks for more.
 */
import type { Message, MessageBatch } from '../messages.ts';
import type { Handout } from './handout.ts';

export interface HandoutSource {
  /** Undefined where the iteration is over. */
  next(): Promise<Handout | undefined>;
  /** The iteration has ended; called once. */
  end(): void;
}

type Result<T> = IteratorResult<T, undefined>;

const over = { done: true, value: undefined } as const;

export class MessageIterator implements AsyncIterableIterator<Message, undefined> {
  readonly #source: HandoutSource;
  #handout: Handout | undefined;
  /** Of the message that the application holds. */
  #index = 0;
  #isOver = false;

  constructor(source: HandoutSource) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Within a handout nothing is awaited: one settled promise per message is all that the language asks for. */
  next(): Promise<Result<Message>> {
    const handout = this.#handout;
    if (handout === undefined) return this.#nextHandout();
    const { state, messages } = handout;
    const next = this.#index + 1;
    if (next < messages.length && state.fetchEpoch === handout.fetchEpoch && !state.isPaused) {
      state.position = messages[this.#index]!.offset + 1;
      this.#index = next;
      return Promise.resolve({ done: false, value: messages[next]! });
    }
    this.#finish(handout);
    return this.#nextHandout();
  }

  /** The application leaves the loop: the message in its hands is not finished; the rest is handed out again. */
  return(): Promise<Result<Message>> {
    const handout = this.#handout;
    if (
      handout !== undefined &&
      handout.state.fetchEpoch === handout.fetchEpoch &&
      this.#index + 1 < handout.messages.length
    ) {
      handout.state.rewind(handout.messages[this.#index]!.offset + 1);
    }
    this.#end();
    return Promise.resolve(over);
  }

  #finish(handout: Handout): void {
    const { state, messages } = handout;
    this.#handout = undefined;
    if (state.seekEpoch !== handout.seekEpoch) return;
    const message = messages[this.#index]!;
    const isLast = this.#index + 1 === messages.length;
    const nextOffset = isLast ? handout.nextOffset : message.offset + 1;
    state.finish(nextOffset, message.leaderEpoch);
    // Paused in the middle: the rest is fetched again when it goes on.
    if (!isLast && state.fetchEpoch === handout.fetchEpoch) state.rewind(nextOffset);
  }

  async #nextHandout(): Promise<Result<Message>> {
    if (this.#isOver) return over;
    const handout = await this.#take();
    if (handout === undefined) return over;
    this.#handout = handout;
    this.#index = 0;
    return { done: false, value: handout.messages[0]! };
  }

  async #take(): Promise<Handout | undefined> {
    let handout: Handout | undefined;
    try {
      handout = await this.#source.next();
    } finally {
      if (handout === undefined) this.#end();
    }
    return handout;
  }

  #end(): void {
    this.#handout = undefined;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#source.end();
  }
}

export class BatchIterator implements AsyncIterableIterator<MessageBatch, undefined> {
  readonly #source: HandoutSource;
  #handout: Handout | undefined;
  #isOver = false;

  constructor(source: HandoutSource) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<Result<MessageBatch>> {
    if (this.#isOver) return over;
    const before = this.#handout;
    if (before !== undefined && before.state.seekEpoch === before.seekEpoch) {
      before.state.finish(before.nextOffset, before.messages.at(-1)!.leaderEpoch);
    }
    this.#handout = undefined;
    try {
      this.#handout = await this.#source.next();
    } finally {
      if (this.#handout === undefined) this.#end();
    }
    if (this.#handout === undefined) return over;
    const { state, messages, highWatermark } = this.#handout;
    return {
      done: false,
      value: { topic: state.topic, partition: state.partition, messages, highWatermark },
    };
  }

  return(): Promise<Result<MessageBatch>> {
    this.#handout = undefined;
    this.#end();
    return Promise.resolve(over);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#source.end();
  }
}
