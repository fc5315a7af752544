/**
 * Where records gather until they are sent: a queue for each partition, a bound on the bytes of all, and the records of
 * topics whose partitions are not known yet. Owned by Producer, which adds; Sender takes from the queues.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import type { NewRecord } from '../../protocol/index.ts';
import type { MetadataCache } from '../cluster/metadata-cache.ts';
import { invalidArgument, KafkaError } from '../errors.ts';
import type { ProducerRecord } from '../messages.ts';
import { Bell } from '../waiting.ts';
import { recordBytesBound, toNewRecord } from './content.ts';
import { PartitionQueue } from './partition-queue.ts';
import { partitionOfKey, StickyPartitioner, type PartitionLoad } from './partitioner.ts';
import { ProducerBatch, type BatchFormat } from './producer-batch.ts';
import { Delivery, Settlement, type Outcome } from './settlement.ts';

export interface AccumulatorOptions extends BatchFormat {
  readonly bufferBytes: number;
  readonly inFlightMax: number;
}

export interface AccumulatorComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly metadata: MetadataCache;
}

/** Records of a topic whose partitions are not known yet. */
interface Limbo {
  readonly settlement: Settlement;
  readonly records: { readonly record: NewRecord; readonly partition: number | undefined }[];
  bytes: number;
}

interface TopicQueues {
  readonly name: string;
  readonly sticky: StickyPartitioner;
  readonly partitions: (PartitionQueue | undefined)[];
  limbo: Limbo | undefined;
}

export interface AccumulatorEvents {
  /** A queue that was idle has records. */
  onActive(queue: PartitionQueue): void;
  /** A batch is complete and could go. */
  onBatchComplete(queue: PartitionQueue): void;
  /** The topic's partitions are to be found; `place` or `fail` follows. */
  onUnknownTopic(topic: string): void;
  /** Records failed whose deliveries nobody asked for. */
  onUnwatchedFailure(error: KafkaError, recordCount: number): void;
}

export class Accumulator {
  readonly #components: AccumulatorComponents;
  readonly #options: AccumulatorOptions;
  readonly #events: AccumulatorEvents;
  readonly #topics = new Map<string, TopicQueues>();
  /** Settlements that are open; each batch's, and each limbo's. */
  readonly #open = new Set<Settlement>();
  /** Bytes of all records whose fate is open. */
  #bufferedBytes = 0;
  /** Rings when bytes are released. */
  readonly released = new Bell();

  constructor(components: AccumulatorComponents, options: AccumulatorOptions, events: AccumulatorEvents) {
    this.#components = components;
    this.#options = options;
    this.#events = events;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get hasRoom(): boolean {
    return this.#bufferedBytes < this.#options.bufferBytes;
  }

  get openSettlements(): ReadonlySet<Settlement> {
    return this.#open;
  }

  /** Takes a record in; throws BUFFER_FULL, or INVALID_ARGUMENT for what cannot be sent. */
  add(message: ProducerRecord): Delivery {
    if (!this.hasRoom) throw bufferFull(this.#options.bufferBytes);
    const record = toNewRecord(message, this.#components.clock.wallMs());
    checkPartition(message.partition);
    const topic = this.#topic(message.topic);
    const info = this.#components.metadata.topic(message.topic);
    if (topic.limbo !== undefined || info === undefined || info.partitions.length === 0) {
      return this.#addToLimbo(topic, record, message.partition);
    }
    return this.#append(topic, record, message.partition, info.partitions.length);
  }

  /** The topic's partitions are known now: its records go to them, in the order in which they came. */
  place(name: string): void {
    const topic = this.#topic(name);
    const limbo = topic.limbo;
    const partitionCount = this.#components.metadata.topic(name)?.partitions.length ?? 0;
    if (limbo === undefined || partitionCount === 0) return;
    topic.limbo = undefined;
    const to = limbo.records.map(({ record, partition }) =>
      this.#append(topic, record, partition, partitionCount),
    );
    this.#settle(limbo.settlement, limbo.bytes, limbo.records.length, { kind: 'moved', to });
  }

  /** The topic's partitions cannot be known: its records fail. */
  fail(name: string, error: KafkaError): void {
    const topic = this.#topic(name);
    const limbo = topic.limbo;
    if (limbo === undefined) return;
    topic.limbo = undefined;
    this.#settle(limbo.settlement, limbo.bytes, limbo.records.length, { kind: 'failed', error });
  }

  topicsInLimbo(): string[] {
    return [...this.#topics.values()].filter((topic) => topic.limbo !== undefined).map((topic) => topic.name);
  }

  /** Closes a queue's open batch, so that it can be sent. */
  closeOpen(queue: PartitionQueue): void {
    if (queue.open === undefined) return;
    queue.closeOpen();
    this.#topic(queue.topic).sticky.onBatchComplete(queue.partition);
  }

  /** Decides the fate of a batch: its bytes are released, and whoever asked learns of it. */
  settle(batch: ProducerBatch, outcome: Outcome): void {
    this.#settle(batch.settlement, batch.bufferedBytes, batch.recordCount, outcome);
  }

  /** An empty batch in a partition's order, for parts of one that was too large. */
  batchFor(queue: PartitionQueue, order: number, createdAtMs: number): ProducerBatch {
    const settlement = new Settlement(queue.topic, queue.partition);
    this.#open.add(settlement);
    return new ProducerBatch(settlement, order, createdAtMs, this.#options);
  }

  countBytes(bytes: number): void {
    this.#bufferedBytes += bytes;
  }

  #topic(name: string): TopicQueues {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    if (typeof name !== 'string' || name === '') throw invalidArgument('A record needs a `topic`.');
    const sticky = new StickyPartitioner(this.#components.random, this.#options.batchBytes);
    const topic: TopicQueues = { name, sticky, partitions: [], limbo: undefined };
    this.#topics.set(name, topic);
    return topic;
  }

  #addToLimbo(topic: TopicQueues, record: NewRecord, partition: number | undefined): Delivery {
    const limbo = (topic.limbo ??= this.#newLimbo(topic.name));
    const bytes = recordBytesBound(record);
    limbo.bytes += bytes;
    this.#bufferedBytes += bytes;
    limbo.records.push({ record, partition });
    return new Delivery(limbo.settlement, limbo.records.length - 1, record.timestamp);
  }

  #newLimbo(topic: string): Limbo {
    const settlement = new Settlement(topic, -1);
    this.#open.add(settlement);
    this.#events.onUnknownTopic(topic);
    return { settlement, records: [], bytes: 0 };
  }

  #append(
    topic: TopicQueues,
    record: NewRecord,
    wanted: number | undefined,
    partitionCount: number,
  ): Delivery {
    const bytes = recordBytesBound(record);
    const partition = wanted ?? this.#choosePartition(topic, record, bytes, partitionCount);
    if (partition >= partitionCount) return this.#refuse(topic.name, partition, partitionCount);
    const queue = (topic.partitions[partition] ??= this.#newQueue(topic.name, partition));
    this.#bufferedBytes += bytes;
    const delivery = queue.open?.tryAppend(record, bytes);
    if (delivery !== undefined) return delivery;
    if (queue.open !== undefined) {
      this.closeOpen(queue);
      this.#events.onBatchComplete(queue);
    }
    return this.#openBatch(queue).tryAppend(record, bytes)!;
  }

  #openBatch(queue: PartitionQueue): ProducerBatch {
    const wasIdle = queue.isIdle;
    queue.open = this.batchFor(queue, queue.takeOrder(), this.#components.clock.monotonicMs());
    if (wasIdle) this.#events.onActive(queue);
    return queue.open;
  }

  #choosePartition(topic: TopicQueues, record: NewRecord, bytes: number, partitionCount: number): number {
    const { key } = record;
    if (key !== null && key !== undefined) return partitionOfKey(key, partitionCount);
    return topic.sticky.choose(bytes, () => this.#loads(topic));
  }

  #loads(topic: TopicQueues): PartitionLoad[] {
    const { metadata } = this.#components;
    return metadata.topic(topic.name)!.partitions.map(({ index, leader }) => ({
      partition: index,
      hasLeader: leader >= 0,
      queuedBytes: topic.partitions[index]?.queuedBytes ?? 0,
    }));
  }

  #newQueue(topic: string, partition: number): PartitionQueue {
    return new PartitionQueue(topic, partition, this.#options.inFlightMax);
  }

  #refuse(topic: string, partition: number, partitionCount: number): Delivery {
    const settlement = new Settlement(topic, partition);
    const error = invalidArgument(
      `The topic ${topic} has no partition ${partition}: it has 0 to ${partitionCount - 1}.`,
    );
    this.#open.add(settlement);
    // Later, so that whoever gets the delivery can ask for it first.
    queueMicrotask(() => this.#settle(settlement, 0, 1, { kind: 'failed', error }));
    return new Delivery(settlement, 0, -1);
  }

  #settle(settlement: Settlement, bytes: number, recordCount: number, outcome: Outcome): void {
    this.#open.delete(settlement);
    this.#bufferedBytes -= bytes;
    const unwatched = recordCount - settlement.watchedCount;
    if (outcome.kind === 'failed' && unwatched > 0) this.#events.onUnwatchedFailure(outcome.error, unwatched);
    settlement.settle(outcome);
    this.released.ring();
  }
}

function checkPartition(partition: number | undefined): void {
  if (partition === undefined || (Number.isSafeInteger(partition) && partition >= 0)) return;
  throw invalidArgument(`A record's partition must be a whole number from 0, not ${partition}.`);
}

function bufferFull(bufferBytes: number): KafkaError {
  return new KafkaError(
    'BUFFER_FULL',
    `${bufferBytes} bytes wait to be acknowledged: await producer.ready() before adding more, or raise bufferBytes.`,
  );
}
