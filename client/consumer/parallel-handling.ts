/**
 * Messages handed to the application's handler, several at a time. What must keep its order goes through one lane: a partition, or the
 * messages of one key in it. A partition's position moves behind a message only when it and all before it are finished.
 */
import type { Message } from '../messages.ts';
import type { EachOptions } from '../options.ts';
import { positive } from '../settings.ts';
import type { Hand } from './hand.ts';
import type { Handout } from './iterators.ts';
import type { PartitionState } from './partition-state.ts';
import { PartitionWork } from './partition-work.ts';

const concurrencyDefault = 16;

export interface HandlerContext {
  /** Fires when the partition has gone to another member, which will have the message as well, and when the handling ends by its own signal. */
  readonly signal: AbortSignal;
}

/** What it returns is awaited; a message is finished with when that has resolved. */
export type MessageHandler = (message: Message, context: HandlerContext) => unknown;

export interface ParallelSource {
  readonly hand: Hand;
  /** No more is to be handed out, and what runs is not waited for. Throws what the consumer has failed with. */
  isOver(): boolean;
  /** There will be no more messages. */
  isAtEnd(): boolean;
  isHeld(state: PartitionState): boolean;
  /** The next messages of a partition that may have more. */
  take(mayTake: (state: PartitionState) => boolean): Handout | undefined;
  /** Resolves when any of this may have changed; rejects with ABORTED. */
  changed(signal: AbortSignal | undefined): Promise<void>;
  ring(): void;
}

export class ParallelHandling {
  readonly #source: ParallelSource;
  readonly #handler: MessageHandler;
  readonly #concurrency: number;
  readonly #order: 'partition' | 'key';
  readonly #signal: AbortSignal | undefined;
  readonly #works = new Map<PartitionState, PartitionWork>();
  #running = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(source: ParallelSource, handler: MessageHandler, options: EachOptions) {
    this.#source = source;
    this.#handler = handler;
    const { concurrency = concurrencyDefault, order = 'partition', signal } = options;
    this.#concurrency = positive('concurrency', concurrency);
    this.#order = order;
    this.#signal = signal;
  }

  /** Resolves when there is no more to come, or the consumer closes; rejects with what the handler has thrown, when none runs any more. */
  async run(): Promise<void> {
    try {
      while (this.#failure === undefined && !this.#source.isOver()) {
        this.#startSome();
        if (this.#running === 0 && this.#source.isAtEnd()) break;
        await this.#source.changed(this.#signal);
        this.#review();
      }
    } finally {
      await this.#end();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #startSome(): void {
    while (this.#running < this.#concurrency) {
      const work = this.#startable() ?? this.#takeMore();
      if (work === undefined) return;
      void this.#handle(work);
    }
  }

  /** The one that was served last comes last next time. */
  #startable(): PartitionWork | undefined {
    for (const [state, work] of this.#works) {
      if (!work.mayStart) continue;
      this.#works.delete(state);
      this.#works.set(state, work);
      return work;
    }
    return undefined;
  }

  #takeMore(): PartitionWork | undefined {
    for (;;) {
      const handout = this.#source.take((state) => this.#works.get(state)?.hasRoom ?? true);
      if (handout === undefined) return undefined;
      const { state } = handout;
      const work = this.#works.get(state) ?? new PartitionWork(state, this.#order);
      this.#works.set(state, work);
      work.add(handout);
      if (work.mayStart) return work;
    }
  }

  async #handle(work: PartitionWork): Promise<void> {
    const { hand } = this.#source;
    const started = work.start();
    this.#running++;
    hand.fill(work.state);
    try {
      await this.#handler(started.message, { signal: work.signal });
      started.end(true);
    } catch (error) {
      started.end(false);
      this.#failure ??= { error };
    }
    this.#running--;
    hand.empty(work.state);
    this.#source.ring();
  }

  /** Partitions that were taken away, or read from elsewhere, are done with when nothing of them runs. */
  #review(): void {
    for (const [state, work] of this.#works) {
      if (!this.#source.isHeld(state)) work.abort();
      if (work.isIdle && !work.isCurrent) this.#works.delete(state);
    }
  }

  async #end(): Promise<void> {
    if (this.#signal?.aborted === true) for (const work of this.#works.values()) work.abort();
    while (this.#running > 0) {
      await this.#source.changed(undefined);
      this.#review();
    }
    for (const work of this.#works.values()) work.giveBack();
    this.#works.clear();
  }
}
