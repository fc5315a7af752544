/** Clients at work all the time: producers that write idempotent batches until each is acknowledged, and readers. */
import { ErrorCode, encodeBatch, errorName } from '../../../protocol/index.ts';
import type { Random } from '../../../platform/random.ts';
import { SimulationFailure, check } from '../simulation-failure.ts';
import { NoAnswer } from './node-client.ts';
import type { NodeClient } from './node-client.ts';
import type { NodesWorld } from './nodes-world.ts';
import type { PartitionBook, TopicBook } from './topic-book.ts';

const callMs = 3_000;
const errorPauseMs = 100;

/** What goes by itself, after another look at who leads. */
const passing: ReadonlySet<number> = new Set([
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.UNKNOWN_LEADER_EPOCH,
  ErrorCode.OFFSET_NOT_AVAILABLE,
  ErrorCode.KAFKA_STORAGE_ERROR,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCode.NOT_CONTROLLER,
  ErrorCode.BROKER_NOT_AVAILABLE,
]);

export interface LoadContext {
  readonly world: NodesWorld;
  readonly client: NodeClient;
  readonly random: Random;
  readonly topics: ReadonlyMap<string, TopicBook>;
  /** Nodes that a client may ask; they may be down. */
  readonly nodeIds: () => readonly number[];
}

/** Throws a SimulationFailure unless the error goes by itself. */
export function expectPassing(code: number, what: string): void {
  if (!passing.has(code)) throw new SimulationFailure(`${what}: ${errorName(code)}`);
}

/** Who leads partitions, as the last node said that was asked. */
export class LeaderView {
  readonly #context: LoadContext;
  readonly #leaders = new Map<string, number>();

  constructor(context: LoadContext) {
    this.#context = context;
  }

  forget(partition: PartitionBook): void {
    this.#leaders.delete(partition.name);
  }

  /** Undefined where the node that was asked does not know. Rejects with NoAnswer. */
  async leader(topic: TopicBook, partition: PartitionBook): Promise<number | undefined> {
    const known = this.#leaders.get(partition.name);
    if (known !== undefined) return known;
    const { client, random, nodeIds } = this.#context;
    const nodes = nodeIds();
    const nodeId = nodes[random.below(nodes.length)]!;
    const request = { topics: [{ name: topic.name }], allowAutoTopicCreation: false };
    const { topics } = await client.call(nodeId, 'Metadata', request, callMs);
    for (const { partitionIndex, leaderId } of topics[0]?.partitions ?? []) {
      if (leaderId >= 0) this.#leaders.set(topic.partitions[partitionIndex]!.name, leaderId);
    }
    return this.#leaders.get(partition.name);
  }
}

/** Repeats until the action gives something, or `isOver` says that it will not. */
export async function insist<T>(
  { client }: LoadContext,
  isOver: () => boolean,
  action: () => Promise<T | undefined>,
): Promise<T | undefined> {
  while (!isOver()) {
    try {
      const result = await action();
      if (result !== undefined) return result;
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
    }
    await client.pause(errorPauseMs);
  }
  return undefined;
}

export class Producer {
  readonly #name: string;
  readonly #context: LoadContext;
  readonly #leaders: LeaderView;
  readonly #sequences = new Map<string, number>();
  #producerId = -1;
  #producerEpoch = 0;
  #counter = 0;
  #isStopped = false;
  #hasEnded = false;

  constructor(name: string, context: LoadContext) {
    this.#name = name;
    this.#context = context;
    this.#leaders = new LeaderView(context);
  }

  /** All that it began is acknowledged. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  start(): void {
    void this.#work().catch((error: unknown) => this.#context.world.broken(asError(error)));
  }

  /** Begins nothing new. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Asks for an id, without which nothing can be written. */
  async begin(): Promise<void> {
    const { random, client, nodeIds } = this.#context;
    await insist(
      this.#context,
      () => this.#isStopped,
      async () => {
        const nodes = nodeIds();
        const nodeId = nodes[random.below(nodes.length)]!;
        const request = { transactionalId: null, transactionTimeoutMs: 0, producerId: -1, producerEpoch: -1 };
        const answer = await client.call(nodeId, 'InitProducerId', request, callMs);
        if (answer.errorCode !== 0) return expectPassing(answer.errorCode, 'a producer id');
        this.#producerId = answer.producerId;
        this.#producerEpoch = answer.producerEpoch;
        return true;
      },
    );
  }

  async #work(): Promise<void> {
    const { random, client, topics } = this.#context;
    await this.begin();
    while (!this.#isStopped) {
      const live = [...topics.values()].filter((topic) => topic.isLive);
      if (live.length > 0) {
        const topic = live[random.below(live.length)]!;
        await this.write(topic, topic.partitions[random.below(topic.partitions.length)]!);
      }
      await client.pause(random.below(200));
    }
    this.#hasEnded = true;
  }

  /** Writes one batch, however often it takes; false where its topic was deleted meanwhile. */
  async write(topic: TopicBook, partition: PartitionBook): Promise<boolean> {
    const { random, world } = this.#context;
    const baseSequence = this.#sequences.get(partition.name) ?? 0;
    const values = Array.from({ length: 1 + random.below(4) }, () => `${this.#name}:${this.#counter++}`);
    this.#sequences.set(partition.name, baseSequence + values.length);
    const timestamp = world.clock.wallMs();
    const records = encodeBatch(
      values.map((value) => ({ timestamp, key: null, value: Buffer.from(value), headers: [] })),
      { producerId: this.#producerId, producerEpoch: this.#producerEpoch, baseSequence },
    );
    let attempts = 0;
    const isOver = (): boolean => topic.deletion !== undefined;
    const done = await insist(this.#context, isOver, async () => {
      const leader = await this.#leaders.leader(topic, partition);
      if (leader === undefined) return undefined;
      this.#leaders.forget(partition);
      const isFirst = attempts++ === 0;
      const baseOffset = await this.#send(leader, { topic, partition, records });
      if (baseOffset === undefined) return undefined;
      partition.acknowledge(baseOffset, values, isFirst ? leader : undefined);
      world.tally.count('clients', 'records acknowledged', values.length);
      world.trace.note(world.clock.monotonicMs(), 'acknowledged', partition.name, baseOffset, leader);
      return true;
    });
    return done === true;
  }

  async #send(
    leader: number,
    { topic, partition, records }: { topic: TopicBook; partition: PartitionBook; records: Buffer },
  ): Promise<number | undefined> {
    const index = topic.partitions.indexOf(partition);
    const request = {
      acks: -1,
      timeoutMs: callMs,
      topicData: [{ name: topic.name, partitionData: [{ index, records }] }],
    };
    const { responses } = await this.#context.client.call(leader, 'Produce', request, callMs);
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!;
    if (errorCode === 0) {
      check(baseOffset >= 0, () => `${partition.name} was written to at ${baseOffset}`);
      return baseOffset;
    }
    this.#context.world.tally.count('errors of producers', errorName(errorCode) ?? String(errorCode));
    if (topic.deletion === undefined) expectPassing(errorCode, `writing ${this.#name} to ${partition.name}`);
    return undefined;
  }
}

/** Reads from anywhere, and asks where the end is. */
export class Reader {
  readonly #context: LoadContext;
  readonly #leaders: LeaderView;
  #isStopped = false;

  constructor(context: LoadContext) {
    this.#context = context;
    this.#leaders = new LeaderView(context);
  }

  start(): void {
    void this.#work().catch((error: unknown) => this.#context.world.broken(asError(error)));
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #work(): Promise<void> {
    const { random, client, topics } = this.#context;
    while (!this.#isStopped) {
      const live = [...topics.values()].filter((topic) => topic.isLive);
      await client.pause(20 + random.below(300));
      if (live.length === 0) continue;
      const topic = live[random.below(live.length)]!;
      const partition = topic.partitions[random.below(topic.partitions.length)]!;
      const asksEnd = random.below(2) === 0;
      try {
        const leader = await this.#leaders.leader(topic, partition);
        if (leader === undefined) continue;
        if (asksEnd) await this.#askEnd(leader, topic, partition);
        else await this.read(leader, topic, partition, random.below(partition.endOffset + 1));
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        this.#leaders.forget(partition);
      }
    }
  }

  async #askEnd(leader: number, topic: TopicBook, partition: PartitionBook): Promise<void> {
    const before = partition.endsTold;
    const partitionIndex = topic.partitions.indexOf(partition);
    const request = {
      replicaId: -1,
      topics: [{ name: topic.name, partitions: [{ partitionIndex, timestamp: -1 }] }],
    };
    const { topics } = await this.#context.client.call(leader, 'ListOffsets', request, callMs);
    const { errorCode, offset, leaderEpoch } = topics[0]!.partitions[0]!;
    if (errorCode === 0) {
      this.#context.world.tally.count('clients', 'ends told');
      partition.toldEnd(leaderEpoch, offset, before.get(leaderEpoch));
      return;
    }
    this.#failed(errorCode, topic, partition);
  }

  /** Undefined where the node does not lead; else what was read, and the end as it is known there. */
  async read(
    leader: number,
    topic: TopicBook,
    partition: PartitionBook,
    fromOffset: number,
  ): Promise<{ next: number; highWatermark: number; records: Buffer } | undefined> {
    const index = topic.partitions.indexOf(partition);
    const request = {
      replicaId: -1,
      maxWaitMs: 100,
      minBytes: 1,
      maxBytes: 1_000_000,
      isolationLevel: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic: topic.name,
          partitions: [{ partition: index, fetchOffset: fromOffset, partitionMaxBytes: 100_000 }],
        },
      ],
    };
    const answer = await this.#context.client.call(leader, 'Fetch', request, callMs);
    const { errorCode, records, highWatermark } = answer.responses[0]!.partitions[0]!;
    // Records are given as they are on the disk; clients that trust no CRC would not see it.
    if (this.#context.world.isSpoilt(leader)) {
      this.#context.world.tally.count('disks', 'reads of a spoilt disk');
      this.#leaders.forget(partition);
      return undefined;
    }
    if (errorCode !== 0) {
      // A deposed leader, or one that does not know yet what is committed, may lack what was read before.
      if (errorCode !== ErrorCode.OFFSET_OUT_OF_RANGE) this.#failed(errorCode, topic, partition);
      return undefined;
    }
    this.#context.world.tally.count('clients', 'reads');
    const bytes = records ?? Buffer.alloc(0);
    return { next: partition.read(bytes, fromOffset, highWatermark), highWatermark, records: bytes };
  }

  #failed(errorCode: number, topic: TopicBook, partition: PartitionBook): void {
    this.#leaders.forget(partition);
    this.#context.world.tally.count('errors of readers', errorName(errorCode) ?? String(errorCode));
    if (topic.deletion === undefined) expectPassing(errorCode, `reading ${partition.name}`);
  }
}

export function asError(error: unknown): Error {
  if (error instanceof SimulationFailure) return error;
  return new SimulationFailure(error instanceof Error ? String(error.stack) : String(error));
}
