/**
 * The producer that applications use: `send` for one record and its fate, `add` with `ready` for streams of them.
 * Owns a Cluster, an Accumulator and a Sender; all of them end with `close`.
 */
import type { PartitionDescription } from '../admin/admin-types.ts';
import type { Components } from '../components.ts';
import { Cluster } from '../cluster/cluster.ts';
import { closedError, invalidArgument, KafkaError, toKafkaError } from '../errors.ts';
import type { MessageInput, ProducerRecord, RecordMetadata } from '../messages.ts';
import type { CallOptions, ProducerOptions } from '../options.ts';
import { notNegative, positive } from '../settings.ts';
import { sendChannel } from '../telemetry/channels.ts';
import { tracedSend } from '../telemetry/traced.ts';
import { abortable, sleep, timeLimit } from '../waiting.ts';
import { Accumulator } from './accumulator.ts';
import { Identities } from './identities.ts';
import { Sender } from './sender.ts';
import type { Delivery, Settlement } from './settlement.ts';

/** `ready` lets other work run each time this much was added. */
const yieldBytes = 1024 * 1024;
/** Partitions that share a broker share requests up to this size. */
const requestBytes = 8 * 1024 * 1024;

export interface ProducerCloseOptions extends CallOptions {
  /** How long to wait for what is not delivered yet. Default `deliveryTimeoutMs`. */
  readonly timeoutMs?: number;
}

interface ResolvedOptions {
  readonly acks: -1 | 0 | 1;
  readonly isIdempotent: boolean;
  readonly lingerMs: number;
  readonly batchBytes: number;
  readonly bufferBytes: number;
  readonly inFlightMax: number;
  readonly deliveryTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

export class Producer {
  readonly #components: Components;
  readonly #options: ResolvedOptions;
  readonly #cluster: Cluster;
  readonly #accumulator: Accumulator;
  readonly #sender: Sender;
  readonly #onClosed: () => void;
  #closing: Promise<void> | undefined;
  /** Failures that nobody asked for, to be reported by `flush` or `close`. */
  #unreported: KafkaError | undefined;
  #unreportedCount = 0;
  #addedSinceYield = 0;

  /** Made by `Kappalog.producer`. Throws INVALID_ARGUMENT. */
  constructor(components: Components, options: ProducerOptions, onClosed: () => void) {
    this.#components = { ...components, logger: components.logger.child({ product: 'producer' }) };
    this.#onClosed = onClosed;
    const resolved = resolveOptions(options, components.settings.requestTimeoutMs);
    this.#options = resolved;
    const autoCreateTopics = options.autoCreateTopics ?? true;
    this.#cluster = new Cluster(this.#components, {
      owner: 'producer',
      autoCreateTopics,
      missingTopicMs: 5_000,
    });
    this.#accumulator = new Accumulator(
      { clock: components.clock, random: components.random, metadata: this.#cluster.metadata },
      { ...resolved, compression: options.compression ?? 'none', compressionLevel: options.compressionLevel },
      {
        onActive: (queue) => this.#sender.activate(queue),
        onBatchComplete: () => this.#sender.schedule(),
        onUnknownTopic: (topic) => void this.#findTopic(topic),
        onUnwatchedFailure: (error, recordCount) => this.#noteFailure(error, recordCount),
      },
    );
    this.#sender = new Sender(this.#cluster, this.#accumulator, new Identities(this.#cluster), {
      ...resolved,
      requestBytes,
    });
  }

  /** Whether `add` takes a record right now. */
  get hasRoom(): boolean {
    return this.#accumulator.hasRoom;
  }

  /**
   * Sends one record and resolves with its place once the broker has acknowledged it; waits for room in the buffer.
   * Rejects with a KafkaError when it cannot be delivered, and with ABORTED when the signal fires: the record may be
   * delivered all the same.
   */
  async send(record: ProducerRecord, options: CallOptions = {}): Promise<RecordMetadata> {
    if (!this.hasRoom) await this.#room(options.signal);
    return abortable(this.add(record).promise(), options.signal, 'wait for the record to be delivered');
  }

  /** Sends records of one topic, in order; resolves when all are acknowledged, rejects with the first failure when all are settled. */
  async sendMany(
    topic: string,
    messages: readonly MessageInput[],
    options: CallOptions = {},
  ): Promise<RecordMetadata[]> {
    const deliveries: Promise<RecordMetadata>[] = [];
    for (const message of messages) {
      if (!this.#accumulator.hasRoom) await this.#room(options.signal);
      deliveries.push(this.add({ ...message, topic }).promise());
      // A failure is thrown below, when all are settled; until then it must not count as unhandled.
      deliveries.at(-1)!.catch(() => undefined);
    }
    const all = Promise.allSettled(deliveries);
    const results = await abortable(all, options.signal, 'wait for the records to be delivered');
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  }

  /**
   * Queues a record at once. The delivery is a promise made when it is asked for: await it, or ignore it and let
   * `flush` or `close` report what failed. Throws BUFFER_FULL where `ready` was not awaited.
   */
  add(record: ProducerRecord): Delivery {
    if (this.#closing !== undefined) throw closedError('producer');
    const before = this.#accumulator.bufferedBytes;
    const delivery = sendChannel.hasSubscribers
      ? tracedSend({ clientId: this.#components.settings.clientId, record }, (item) =>
          this.#accumulator.add(item),
        )
      : this.#accumulator.add(record);
    this.#addedSinceYield += this.#accumulator.bufferedBytes - before;
    return delivery;
  }

  /** The topic's partitions, by index. A topic that does not exist is made where that is allowed. */
  async partitionsFor(topic: string, options: CallOptions = {}): Promise<PartitionDescription[]> {
    if (this.#closing !== undefined) throw closedError('producer');
    const { partitions } = await this.#cluster.topic(topic, options);
    return partitions.map(({ index, ...rest }) => ({ partition: index, ...rest }));
  }

  /** Resolves when the buffer has room for another record. To be awaited between `add`s. */
  ready(options: CallOptions = {}): Promise<void> {
    if (this.#accumulator.hasRoom && this.#addedSinceYield < yieldBytes) return Promise.resolve();
    return this.#yieldThenRoom(options.signal);
  }

  /** Sends what is queued without lingering; resolves when every record added so far is settled, rejects if one failed that nobody asked for. */
  async flush(options: CallOptions = {}): Promise<void> {
    this.#sender.hurry();
    try {
      await abortable(settleAll(this.#accumulator.openSettlements), options.signal, 'flush');
    } finally {
      this.#sender.relax();
    }
    this.#report();
  }

  /** Delivers what is queued, then ends everything; rejects if a record failed that nobody asked for. Always settles. */
  close(options: ProducerCloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(options: ProducerCloseOptions): Promise<void> {
    const limit = new AbortController();
    const timeoutMs = options.timeoutMs ?? this.#options.deliveryTimeoutMs + this.#options.requestTimeoutMs;
    const timer = this.#components.clock.after(timeoutMs, () => limit.abort());
    const signal =
      options.signal === undefined ? limit.signal : AbortSignal.any([limit.signal, options.signal]);
    this.#sender.hurry();
    // Running out of time is no error of its own: the records that are left fail below, and are reported.
    await abortable(settleAll(this.#accumulator.openSettlements), signal, 'flush').catch(() => undefined);
    timer.cancel();
    const error = closedError('producer');
    for (const topic of this.#accumulator.topicsInLimbo()) this.#accumulator.fail(topic, error);
    this.#sender.stop(error);
    this.#cluster.close();
    await settleAll(this.#accumulator.openSettlements);
    this.#onClosed();
    this.#report();
  }

  async #room(signal: AbortSignal | undefined): Promise<void> {
    while (!this.#accumulator.hasRoom) {
      if (this.#closing !== undefined) throw closedError('producer');
      this.#sender.schedule();
      await abortable(this.#accumulator.released.next(), signal, 'wait for room in the buffer');
    }
  }

  async #yieldThenRoom(signal: AbortSignal | undefined): Promise<void> {
    this.#addedSinceYield = 0;
    await sleep(this.#components.clock, 0, signal);
    await this.#room(signal);
  }

  async #findTopic(topic: string): Promise<void> {
    const { deliveryTimeoutMs: timeoutMs } = this.#options;
    const limit = timeLimit(this.#components.clock, timeoutMs);
    try {
      await this.#cluster.topic(topic, { timeoutMs, signal: limit.signal });
      this.#accumulator.place(topic);
    } catch (cause) {
      const doing = `find the topic ${topic}`;
      const late = new KafkaError('TIMED_OUT', `Could not ${doing} within ${timeoutMs} ms.`, { cause });
      this.#accumulator.fail(topic, limit.signal.aborted ? late : toKafkaError(cause, doing));
    }
    limit.cancel();
  }

  #noteFailure(error: KafkaError, recordCount: number): void {
    this.#unreported ??= error;
    this.#unreportedCount += recordCount;
  }

  #report(): void {
    const error = this.#unreported;
    if (error === undefined) return;
    const count = this.#unreportedCount;
    this.#unreported = undefined;
    this.#unreportedCount = 0;
    const text = `${count} ${count === 1 ? 'record was' : 'records were'} not delivered. First error: ${error.message}`;
    throw new KafkaError(error.code, text, { cause: error, retriable: error.retriable });
  }
}

/** Follows records that move to other batches. */
async function settleAll(settlements: ReadonlySet<Settlement>): Promise<void> {
  const outcomes = await Promise.all(Array.from(settlements, (settlement) => settlement.settled()));
  const moved = outcomes.flatMap((outcome) => (outcome.kind === 'moved' ? outcome.to : []));
  if (moved.length > 0) await settleAll(new Set(moved.map((delivery) => delivery.settlement)));
}

function resolveOptions(options: ProducerOptions, requestTimeoutMs: number): ResolvedOptions {
  const acks = options.acks ?? 'all';
  const isIdempotent = options.idempotent ?? acks === 'all';
  const inFlightMax = options.maxInFlight ?? 5;
  if (isIdempotent && acks !== 'all') throw invalidArgument("An idempotent producer needs `acks: 'all'`.");
  if (!Number.isSafeInteger(inFlightMax) || inFlightMax < 1 || (isIdempotent && inFlightMax > 5)) {
    throw invalidArgument(
      '`maxInFlight` must be a whole number from 1, at most 5 where the producer is idempotent.',
    );
  }
  return {
    acks: acks === 'all' ? -1 : acks,
    isIdempotent,
    inFlightMax,
    lingerMs: notNegative('lingerMs', options.lingerMs ?? 5),
    batchBytes: positive('batchBytes', options.batchBytes ?? 1_000_000),
    bufferBytes: positive('bufferBytes', options.bufferBytes ?? 32 * 1024 * 1024),
    deliveryTimeoutMs: positive('deliveryTimeoutMs', options.deliveryTimeoutMs ?? 120_000),
    requestTimeoutMs: positive('requestTimeoutMs', options.requestTimeoutMs ?? requestTimeoutMs),
  };
}
