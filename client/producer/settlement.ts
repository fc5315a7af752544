/**
 * What became of records, and how an application learns of it. Records share the fate of their batch, so one
 * Settlement serves a batch, and a Delivery is only a place in it: no promise exists until somebody asks.
 */
import type { KafkaError } from '../errors.ts';
import type { RecordMetadata } from '../messages.ts';

export type Outcome =
  /** `baseOffset` is -1 where the broker was not asked (acks 0); `logAppendTimeMs` is -1 unless the topic stamps records itself. */
  | { readonly kind: 'stored'; readonly baseOffset: number; readonly logAppendTimeMs: number }
  | { readonly kind: 'failed'; readonly error: KafkaError }
  /** The records went on in other batches: entry i says where record i is now. */
  | { readonly kind: 'moved'; readonly to: readonly Delivery[] };

/** The fate of the records of one batch. Settled exactly once. */
export class Settlement {
  readonly topic: string;
  readonly partition: number;
  #outcome: Outcome | undefined;
  #promise: Promise<Outcome> | undefined;
  #resolve: ((outcome: Outcome) => void) | undefined;
  /** Records whose deliveries somebody has asked for: whoever asked hears of a failure. */
  readonly #watched = new Set<number>();

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  get watchedCount(): number {
    return this.#watched.size;
  }

  watch(index: number): void {
    this.#watched.add(index);
  }

  settle(outcome: Outcome): void {
    this.#outcome = outcome;
    if (outcome.kind === 'moved') for (const index of this.#watched) outcome.to[index]!.watch();
    this.#resolve?.(outcome);
  }

  /** Never rejects. */
  settled(): Promise<Outcome> {
    if (this.#outcome !== undefined) return Promise.resolve(this.#outcome);
    this.#promise ??= new Promise((resolve) => {
      this.#resolve = resolve;
    });
    return this.#promise;
  }
}

/**
 * The outcome of one record: a promise that is made when it is first asked for. Ignoring it is fine: a failure that
 * nobody asked for is reported by `flush()` and `close()`.
 */
export class Delivery implements Promise<RecordMetadata> {
  readonly [Symbol.toStringTag] = 'Delivery';
  readonly #settlement: Settlement;
  readonly #index: number;
  readonly #timestamp: number;

  constructor(settlement: Settlement, index: number, timestamp: number) {
    this.#settlement = settlement;
    this.#index = index;
    this.#timestamp = timestamp;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise, made lazily: one for each record would halve the throughput
  then<A = RecordMetadata, B = never>(
    onFulfilled?: ((metadata: RecordMetadata) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.promise().then(onFulfilled, onRejected);
  }

  catch<B = never>(
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<RecordMetadata | B> {
    return this.promise().catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<RecordMetadata> {
    return this.promise().finally(onFinally);
  }

  /** A plain promise of the outcome, each time a new one. */
  promise(): Promise<RecordMetadata> {
    this.watch();
    return this.watchFromAside();
  }

  /** As `promise`, but a failure still counts as one that nobody asked for. */
  async watchFromAside(): Promise<RecordMetadata> {
    const outcome = this.#settlement.outcome ?? (await this.#settlement.settled());
    if (outcome.kind === 'failed') throw outcome.error;
    if (outcome.kind === 'moved') return outcome.to[this.#index]!.watchFromAside();
    return {
      topic: this.#settlement.topic,
      partition: this.#settlement.partition,
      offset: outcome.baseOffset < 0 ? -1 : outcome.baseOffset + this.#index,
      timestamp: outcome.logAppendTimeMs < 0 ? this.#timestamp : outcome.logAppendTimeMs,
    };
  }

  /** Somebody has asked: a failure need not be reported elsewhere. */
  watch(): void {
    this.#settlement.watch(this.#index);
  }

  /** The settlement that holds the record's fate, until it moves on. */
  get settlement(): Settlement {
    return this.#settlement;
  }
}
