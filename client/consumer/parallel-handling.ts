/**
 * Messages, or batches of them, handed to the application's handler, several at a time. What must keep its order goes through one lane: a
 * partition, or the messages of one key in it. A partition's position moves behind a message only when it and all before it are finished.
 */
import type { Message, MessageBatch } from '../messages.ts';
import type { EachBatchOptions, EachOptions } from '../options.ts';
import { positive } from '../settings.ts';
import type { Hand } from './hand.ts';
import type { Handout } from './handout.ts';
import type { PartitionState } from './partition-state.ts';
import { PartitionWork } from './partition-work.ts';
import { batchPieces, messagePieces, type Split } from './pieces.ts';

const concurrencyDefault = 16;

export interface HandlerContext {
  /** Fires when the partition has gone to another member, which will have the message as well, and when the handling ends by its own signal. */
  readonly signal: AbortSignal;
  /** False when the partition is to go to another member, is read from elsewhere now, or the handling is to end: come to an end soon. */
  readonly isWanted: boolean;
}

/** What it returns is awaited; a message is finished with when that has resolved. */
export type MessageHandler = (message: Message, context: HandlerContext) => unknown;

/**
 * What it returns is awaited; the batch is finished with when that has resolved, or only what is before the offset that it has resolved to: the rest is
 * then handed out again, here or to another member.
 */
export type BatchHandler = (
  batch: MessageBatch,
  context: HandlerContext,
) => number | void | Promise<number | void>;

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

export function handleMessages(
  source: ParallelSource,
  handler: MessageHandler,
  { order = 'partition', ...options }: EachOptions,
): Promise<void> {
  const handle = async (message: Message, context: HandlerContext): Promise<'all'> => {
    await handler(message, context);
    return 'all';
  };
  return new ParallelHandling(source, messagePieces(order), handle, options).run();
}

export function handleBatches(
  source: ParallelSource,
  handler: BatchHandler,
  options: EachBatchOptions,
): Promise<void> {
  const handle = async (batch: MessageBatch, context: HandlerContext): Promise<number | 'all'> => {
    const finishedOffset = (await handler(batch, context)) ?? 'all';
    const { offset } = batch.messages.at(-1)!;
    // Behind the last message there may be what is none, and is finished with it.
    return finishedOffset === offset + 1 ? 'all' : finishedOffset;
  };
  return new ParallelHandling(source, batchPieces, handle, options).run();
}

class ParallelHandling<Item> {
  readonly #source: ParallelSource;
  readonly #split: Split<Item>;
  readonly #item: (item: Item, context: HandlerContext) => Promise<number | 'all'>;
  readonly #concurrency: number;
  readonly #signal: AbortSignal | undefined;
  readonly #works = new Map<PartitionState, PartitionWork<Item>>();
  #running = 0;
  #failure: { readonly error: unknown } | undefined;
  #hasEnded = false;

  /** Throws INVALID_ARGUMENT. */
  constructor(
    source: ParallelSource,
    split: Split<Item>,
    handle: (item: Item, context: HandlerContext) => Promise<number | 'all'>,
    { concurrency = concurrencyDefault, signal }: EachBatchOptions,
  ) {
    this.#source = source;
    this.#split = split;
    this.#item = handle;
    this.#concurrency = positive('concurrency', concurrency);
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
  #startable(): PartitionWork<Item> | undefined {
    for (const [state, work] of this.#works) {
      if (!work.mayStart) continue;
      this.#works.delete(state);
      this.#works.set(state, work);
      return work;
    }
    return undefined;
  }

  #takeMore(): PartitionWork<Item> | undefined {
    for (;;) {
      const handout = this.#source.take((state) => this.#works.get(state)?.hasRoom ?? true);
      if (handout === undefined) return undefined;
      const { state } = handout;
      const work = this.#works.get(state) ?? new PartitionWork(state, this.#split);
      this.#works.set(state, work);
      work.add(handout);
      if (work.mayStart) return work;
    }
  }

  async #handle(work: PartitionWork<Item>): Promise<void> {
    const { hand } = this.#source;
    const started = work.start();
    this.#running++;
    hand.fill(work.state);
    try {
      const finishedOffset = await this.#item(started.item, this.#contextOf(work));
      started.end(finishedOffset);
      if (finishedOffset !== 'all') work.giveBack();
    } catch (error) {
      started.end('nothing');
      this.#failure ??= { error };
    }
    this.#running--;
    hand.empty(work.state);
    this.#source.ring();
  }

  #contextOf(work: PartitionWork<Item>): HandlerContext {
    const isWanted = (): boolean => work.isCurrent && this.#failure === undefined && !this.#hasEnded;
    return {
      signal: work.signal,
      get isWanted() {
        return isWanted();
      },
    };
  }

  /** Partitions that were taken away, or read from elsewhere, are done with when nothing of them runs. */
  #review(): void {
    for (const [state, work] of this.#works) {
      if (!this.#source.isHeld(state)) work.abort();
      if (work.isIdle && !work.isCurrent) this.#works.delete(state);
    }
  }

  async #end(): Promise<void> {
    this.#hasEnded = true;
    if (this.#signal?.aborted === true) for (const work of this.#works.values()) work.abort();
    while (this.#running > 0) {
      await this.#source.changed(undefined);
      this.#review();
    }
    for (const work of this.#works.values()) work.giveBack();
    this.#works.clear();
  }
}
