/** Where replayed records go: a topic, through an idempotent producer, or a sink that the caller gives. */
import { murmur2 } from '../../protocol/index.ts';
import { KafkaError } from '../errors.ts';
import type { ConfigDescription, ConfigResource, NewTopic, TopicDescription } from '../admin/admin-types.ts';
import type { Content, Message, ProducerRecord, RecordMetadata } from '../messages.ts';
import type { CallOptions, ProducerOptions } from '../options.ts';
import { withProvenance } from './provenance.ts';
import { ReplayError } from './replay-error.ts';
import type { PlannedDestination, ReplayDestination, ReplayRecord, ReplaySink } from './replay-options.ts';

export interface ReplayProducer {
  add(record: ProducerRecord): Promise<RecordMetadata>;
  ready(options?: CallOptions): Promise<void>;
  flush(options?: CallOptions): Promise<void>;
  close(): Promise<void>;
}

/** The part of the admin client that a destination needs. */
export interface DestinationAdmin {
  describeTopics(names: readonly string[], options?: CallOptions): Promise<readonly TopicDescription[]>;
  describeConfigs(
    resources: readonly ConfigResource[],
    options?: CallOptions,
  ): Promise<readonly ConfigDescription[]>;
  createTopics(topics: readonly NewTopic[], options?: CallOptions): Promise<unknown>;
}

/** Takes the outcome of filter and transform for one record; `flush` resolves when all before it is acknowledged. */
export interface Output {
  /** Whether a write that fails says something about that record alone. */
  readonly failsByRecord: boolean;
  /** Undefined: taken. A promise: wait before the next one. */
  write(source: Message, output: ReplayRecord): Promise<void> | void;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Throws a ReplayError for a destination that is the source, or that does not exist and is not to be made. */
export async function planDestination(
  admin: DestinationAdmin,
  source: TopicDescription,
  destination: ReplayDestination,
): Promise<PlannedDestination> {
  const { topic } = destination;
  if (topic === source.name) {
    throw new ReplayError(
      'OWN_SOURCE',
      `A replay of ${topic} into itself would read what it writes: choose another topic.`,
    );
  }
  const existing = await describeIfExists(admin, topic);
  if (existing === undefined && destination.create !== true) {
    throw new ReplayError(
      'UNKNOWN_DESTINATION',
      `There is no topic ${topic} to replay into: create it first, or let the replay make it (create: true).`,
    );
  }
  const partitions = existing?.partitions.length ?? source.partitions.length;
  const partitioning =
    destination.partitioning ?? (partitions === source.partitions.length ? 'source' : 'key');
  if (partitioning === 'source' && partitions < source.partitions.length) {
    throw new ReplayError(
      'INVALID_OPTION',
      `Topic ${topic} has ${partitions} partitions, too few to keep the numbers of ${source.name}'s ${source.partitions.length}: partition by key.`,
    );
  }
  const toBeCreated = existing === undefined;
  return { topic, partitions, toBeCreated, replicationFactor: replicasOf(existing ?? source), partitioning };
}

/** The fewest of any partition: one whose replicas change has more for a while. */
function replicasOf(topic: TopicDescription): number {
  return Math.min(...topic.partitions.map(({ replicas }) => replicas.length));
}

/** Makes the destination with the partitions, the replicas and the explicit settings of the source. */
export async function createDestination(
  admin: DestinationAdmin,
  source: string,
  destination: PlannedDestination,
): Promise<void> {
  const [description] = await admin.describeConfigs([{ type: 'topic', name: source }]);
  const set = (description?.entries ?? []).filter(
    (entry) => entry.source === 'topic' && entry.value !== null,
  );
  const configs = Object.fromEntries(set.map((entry) => [entry.name, entry.value!]));
  try {
    const { topic: name, partitions, replicationFactor } = destination;
    await admin.createTopics([{ name, partitions, replicationFactor, configs }]);
  } catch (error) {
    // An earlier run may have made it before it had any progress to leave.
    if (!(error instanceof KafkaError && error.code === 'TOPIC_ALREADY_EXISTS')) throw error;
  }
}

/** Writes to a topic. A record that cannot be delivered fails the next flush. */
export class TopicOutput implements Output {
  readonly failsByRecord = false;
  readonly #producer: ReplayProducer;
  readonly #destination: PlannedDestination;
  readonly #provenanceId: string | undefined;
  readonly #signal: AbortSignal;
  /** Bytes added since `ready` was last awaited. */
  #unchecked = 0;

  /** `provenanceId`: the replay's id where headers are to tell of it. */
  constructor(
    producer: ReplayProducer,
    destination: PlannedDestination,
    options: { provenanceId: string | undefined; signal: AbortSignal },
  ) {
    this.#producer = producer;
    this.#destination = destination;
    this.#provenanceId = options.provenanceId;
    this.#signal = options.signal;
  }

  write(source: Message, output: ReplayRecord): Promise<void> | void {
    const headers =
      this.#provenanceId === undefined ? output.headers : withProvenance(this.#provenanceId, source, output);
    const record: ProducerRecord = {
      topic: this.#destination.topic,
      key: output.key ?? null,
      value: output.value,
      partition: this.#partition(source, output.key ?? null),
      timestamp: output.timestamp ?? source.timestamp,
      ...(headers === undefined ? {} : { headers }),
    };
    if (this.#unchecked < readyIntervalBytes && this.#maybeAdd(record)) return undefined;
    this.#unchecked = 0;
    // A record is added only after the wait: an abort during it leaves the record unwritten.
    return this.#addWhenReady(record);
  }

  async #addWhenReady(record: ProducerRecord): Promise<void> {
    do await this.#producer.ready({ signal: this.#signal });
    while (!this.#maybeAdd(record));
  }

  /** False where the producer's buffer is full. */
  #maybeAdd(record: ProducerRecord): boolean {
    try {
      // Nobody waits for the single record: `flush` rejects where one could not be delivered.
      void this.#producer.add(record);
    } catch (error) {
      if (error instanceof KafkaError && error.code === 'BUFFER_FULL') return false;
      throw error;
    }
    this.#unchecked += (record.key?.length ?? 0) + (record.value?.length ?? 0);
    return true;
  }

  flush(): Promise<void> {
    return this.#producer.flush();
  }

  close(): Promise<void> {
    return this.#producer.close();
  }

  #partition(source: Message, key: Content): number {
    const { partitions, partitioning } = this.#destination;
    if (partitioning === 'source' || key === null) return source.partition % partitions;
    return (murmur2(toBuffer(key)) & 0x7fff_ffff) % partitions;
  }
}

/** So often the producer gets the chance to send while a batch is written. */
const readyIntervalBytes = 64 * 1024;

/** What the producer of a replay is told: nothing lost, nothing repeated by retries, nothing created by a typo. */
export function producerOptions(destination: ReplayDestination): ProducerOptions {
  return {
    acks: 'all',
    idempotent: true,
    autoCreateTopics: false,
    ...(destination.compression === undefined ? {} : { compression: destination.compression }),
    ...(destination.deliveryTimeoutMs === undefined
      ? {}
      : { deliveryTimeoutMs: destination.deliveryTimeoutMs }),
  };
}

/** Hands the records to a sink; a transform has had its turn, so that the sink sees what would have been written. */
export class SinkOutput implements Output {
  readonly failsByRecord = true;
  readonly #sink: ReplaySink;

  constructor(sink: ReplaySink) {
    this.#sink = sink;
  }

  write(source: Message, output: ReplayRecord): Promise<void> | void {
    return this.#sink.handle(output === source ? source : { ...source, ...asMessage(source, output) });
  }

  async flush(): Promise<void> {
    await this.#sink.flush?.();
  }

  async close(): Promise<void> {
    // The sink is the caller's: nothing here is open.
  }
}

function asMessage(source: Message, output: ReplayRecord): Partial<Message> {
  const pairs =
    output.headers === undefined
      ? []
      : Array.isArray(output.headers)
        ? output.headers
        : Object.entries(output.headers);
  return {
    key: output.key === undefined || output.key === null ? null : toBuffer(output.key),
    value: output.value === null ? null : toBuffer(output.value),
    headers: pairs.map(
      ([name, value]: readonly [string, Content]) => [name, value === null ? null : toBuffer(value)] as const,
    ),
    timestamp: output.timestamp ?? source.timestamp,
  };
}

function toBuffer(content: Exclude<Content, null>): Buffer {
  return Buffer.isBuffer(content) ? content : Buffer.from(content);
}

async function describeIfExists(
  admin: DestinationAdmin,
  topic: string,
): Promise<TopicDescription | undefined> {
  try {
    const [description] = await admin.describeTopics([topic]);
    return description;
  } catch (error) {
    if (error instanceof KafkaError && error.code === 'UNKNOWN_TOPIC_OR_PARTITION') return undefined;
    throw error;
  }
}
