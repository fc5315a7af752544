/** Brokers that share one log and one group, over a network in memory: each may hang, and all say who leads as the test has it. */
import { FrameReader } from '../../../client/cluster/frame-reader.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryNetwork } from '../../../platform/memory-network.ts';
import type { ByteStream, Listener } from '../../../platform/network.ts';
import type { Platform } from '../../../platform/platform.ts';
import { realPlatform } from '../../../platform/real/real-platform.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import {
  codec,
  decodeBatch,
  decodeRequestHeader,
  encodeBatch,
  encodeResponse,
  ErrorCode,
  Reader,
  readBatchHeader,
} from '../../../protocol/index.ts';
import type {
  CreateTopicsRequest,
  FetchRequest,
  ListOffsetsRequest,
  MetadataRequest,
  ProduceRequest,
} from '../../../protocol/index.ts';
import { FakeGroup, servedOfGroups, type GroupApi } from './fake-group.ts';

export const topic = 'watched';
const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';
/** As ListOffsets asks for it. */
const earliest = -2;
/** With their keys and the newest version served, which goes by topics' names. */
const served = [
  { api: 'Produce', apiKey: 0, maxVersion: 9 },
  { api: 'Fetch', apiKey: 1, maxVersion: 12 },
  { api: 'ListOffsets', apiKey: 2, maxVersion: 7 },
  { api: 'Metadata', apiKey: 3, maxVersion: 9 },
  { api: 'ApiVersions', apiKey: 18, maxVersion: 3 },
  { api: 'CreateTopics', apiKey: 19, maxVersion: 7 },
  { api: 'InitProducerId', apiKey: 22, maxVersion: 4 },
  ...servedOfGroups,
] as const;
type Served = (typeof served)[number];
type Api = Served['api'];
const apiKeys = served.map(({ apiKey, maxVersion }) => ({ apiKey, minVersion: 0, maxVersion }));
const tooNew = { errorCode: ErrorCode.UNSUPPORTED_VERSION, apiKeys };

interface StoredBatch {
  readonly values: readonly string[];
  readonly sequence: string;
}

export class FakePartition {
  leader = 1;
  leaderEpoch = 1;
  /** Whom the leader names to those who say a rack, and what that answers them. */
  nearest: number | undefined;
  nearestError: number = ErrorCode.NONE;
  /** One value each. */
  readonly batches: StoredBatch[] = [];

  get values(): string[] {
    return this.batches.flatMap(({ values }) => values);
  }

  elect(leader: number): void {
    this.leader = leader;
    this.leaderEpoch++;
  }
}

export class FakeBrokers {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork({ clock: this.clock, latencyMs: () => 1 });
  readonly partitions: readonly FakePartition[];
  readonly group = new FakeGroup(this.clock);
  /** Who changes the metadata, as all say. */
  controller = 1;
  /** Names, in the order in which they were made. */
  readonly createdTopics: string[] = [];
  /** Brokers that the metadata leaves out. */
  readonly fenced = new Set<number>();
  /** Requests that were answered, by broker and API, such as '2 Metadata'. */
  readonly answered = new Map<string, number>();
  readonly #frozen = new Map<number, (() => void)[]>();
  readonly #running = new Map<number, { listener: Listener; streams: ByteStream[] }>();
  readonly #nodeIds: readonly number[];
  #producerIds = 0;

  private constructor(nodeIds: readonly number[], partitionCount: number) {
    this.#nodeIds = nodeIds;
    this.partitions = Array.from({ length: partitionCount }, () => new FakePartition());
  }

  static async start(nodeIds: readonly number[], partitionCount = 1): Promise<FakeBrokers> {
    const brokers = new FakeBrokers(nodeIds, partitionCount);
    for (const id of nodeIds) await brokers.begin(id);
    return brokers;
  }

  /** After `end`: it takes connections again, and has forgotten nothing. */
  async begin(nodeId: number): Promise<void> {
    const streams: ByteStream[] = [];
    const listener = await this.network.listen(addressOf(nodeId), (stream) => {
      streams.push(stream);
      this.#serve(nodeId, stream);
    });
    this.#running.set(nodeId, { listener, streams });
  }

  /** Its connections are cut, and nobody listens there any more. */
  async end(nodeId: number): Promise<void> {
    const { listener, streams } = this.#running.get(nodeId)!;
    await listener.close();
    for (const stream of streams) stream.destroy();
  }

  get platform(): Platform {
    return { ...realPlatform(), clock: this.clock, network: this.network, random: new SeededRandom(7) };
  }

  get addresses(): string[] {
    return this.#nodeIds.map((id) => `${addressOf(id).host}:${addressOf(id).port}`);
  }

  /** From now on the broker takes connections and bytes, and does nothing. */
  freeze(nodeId: number): void {
    this.#frozen.set(nodeId, []);
  }

  /** It goes on with all that came meanwhile. */
  thaw(nodeId: number): void {
    const waiting = this.#frozen.get(nodeId) ?? [];
    this.#frozen.delete(nodeId);
    for (const go of waiting) go();
  }

  /** Lets time go by until the promise has ended; returns what it took. */
  async msUntil(promise: Promise<unknown>, withinMs = 60_000): Promise<number> {
    const fromMs = this.clock.monotonicMs();
    let isOver = false;
    const watched = promise.finally(() => {
      isOver = true;
    });
    watched.catch(() => undefined);
    if (!(await this.clock.runUntil(() => isOver, withinMs))) throw new Error('it did not end in time');
    await promise;
    return this.clock.monotonicMs() - fromMs;
  }

  countOf(nodeId: number, api: Api): number {
    return this.answered.get(`${nodeId} ${api}`) ?? 0;
  }

  #serve(nodeId: number, stream: ByteStream): void {
    const frames = new FrameReader((frame) => {
      const act = (): void => void this.#handle(nodeId, stream, frame);
      const frozen = this.#frozen.get(nodeId);
      if (frozen === undefined) act();
      else frozen.push(act);
    });
    stream.onData((chunk) => frames.push(chunk));
    stream.onClose(() => {});
  }

  async #handle(nodeId: number, stream: ByteStream, frame: Buffer): Promise<void> {
    const { apiKey, apiVersion, correlationId, bodyPosition } = decodeRequestHeader(frame);
    const { api, maxVersion } = servedApi(apiKey);
    // ApiVersions is asked for in a newer version first: the answer is in the form of version 0.
    const isTooNew = apiVersion > maxVersion;
    const reader = new Reader(frame);
    reader.position = bodyPosition;
    const body = isTooNew ? tooNew : await this.#answer(nodeId, api, { reader, version: apiVersion });
    await new Promise<void>((resolve) => this.#whenAwake(nodeId, resolve));
    this.answered.set(`${nodeId} ${api}`, this.countOf(nodeId, api) + 1);
    const head = { apiKey, apiVersion: isTooNew ? 0 : apiVersion, correlationId };
    stream.write(encodeResponse(head, body));
  }

  #answer(nodeId: number, api: Api, { reader, version }: { reader: Reader; version: number }): unknown {
    switch (api) {
      case 'ApiVersions':
        return { errorCode: ErrorCode.NONE, apiKeys };
      case 'InitProducerId':
        return { errorCode: ErrorCode.NONE, producerId: ++this.#producerIds, producerEpoch: 0 };
      case 'Metadata':
        return this.#metadata(codec('MetadataRequest', version).read(reader));
      case 'Produce':
        return this.#produce(nodeId, codec('ProduceRequest', version).read(reader));
      case 'Fetch':
        return this.#fetch(nodeId, codec('FetchRequest', version).read(reader));
      case 'ListOffsets':
        return this.#listOffsets(nodeId, codec('ListOffsetsRequest', version).read(reader));
      case 'CreateTopics':
        return this.#createTopics(nodeId, codec('CreateTopicsRequest', version).read(reader));
      default:
        return this.group.answer(nodeId, api satisfies GroupApi, { reader, version });
    }
  }

  #metadata(request: MetadataRequest): unknown {
    const partitions = this.partitions.map(({ leader, leaderEpoch }, partitionIndex) => ({
      errorCode: ErrorCode.NONE,
      partitionIndex,
      leaderId: leader,
      leaderEpoch,
      replicaNodes: this.#nodeIds,
      isrNodes: this.#nodeIds,
      offlineReplicas: [],
    }));
    return {
      brokers: this.#nodeIds
        .filter((nodeId) => !this.fenced.has(nodeId))
        .map((nodeId) => ({ nodeId, ...addressOf(nodeId), rack: null })),
      clusterId: 'fakes',
      controllerId: this.controller,
      topics: (request.topics ?? []).map(({ name }) => ({
        errorCode: ErrorCode.NONE,
        name,
        topicId,
        partitions,
      })),
    };
  }

  #produce(nodeId: number, request: ProduceRequest): unknown {
    const responses = request.topicData.map(({ name, partitionData }) => ({
      name,
      partitionResponses: partitionData.map(({ index, records }) => {
        const partition = this.partitions[index]!;
        if (partition.leader !== nodeId)
          return { index, errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER, baseOffset: -1 };
        const { producerId, baseSequence } = readBatchHeader(records!);
        const sequence = producerId < 0 ? '' : `${producerId}:${baseSequence}`;
        const values = decodeBatch(records!).map(({ value }) => String(value));
        const known = partition.batches.findIndex((batch) => sequence !== '' && batch.sequence === sequence);
        const end = known < 0 ? partition.batches.length : known;
        const baseOffset = partition.batches.slice(0, end).flatMap((batch) => batch.values).length;
        if (known < 0) partition.batches.push({ values, sequence });
        return { index, errorCode: ErrorCode.NONE, baseOffset };
      }),
    }));
    return { responses };
  }

  /** One of the ends. */
  #listOffsets(nodeId: number, request: ListOffsetsRequest): unknown {
    const topics = request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, timestamp }) => {
        const { leader, leaderEpoch, values } = this.partitions[partitionIndex]!;
        const errorCode = leader === nodeId ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER;
        const offset = timestamp === earliest ? 0 : values.length;
        return { partitionIndex, errorCode, timestamp: -1, offset, leaderEpoch };
      }),
    }));
    return { topics };
  }

  /** By the controller alone; others do not pass it on. */
  #createTopics(nodeId: number, request: CreateTopicsRequest): unknown {
    const topics = request.topics.map(({ name, numPartitions, replicationFactor }) => {
      const isKnown = this.createdTopics.includes(name);
      const isController = nodeId === this.controller;
      const refusal = isController ? ErrorCode.TOPIC_ALREADY_EXISTS : ErrorCode.NOT_CONTROLLER;
      const errorCode = isController && !isKnown ? ErrorCode.NONE : refusal;
      if (errorCode === ErrorCode.NONE) this.createdTopics.push(name);
      return { name, topicId, errorCode, numPartitions, replicationFactor };
    });
    return { topics };
  }

  /** Held back as long as the request allows, where there is nothing. */
  async #fetch(nodeId: number, request: FetchRequest): Promise<unknown> {
    const answers = (): { hasData: boolean; responses: unknown } => {
      let hasData = false;
      const responses = request.topics.map(({ topic: name, partitions }) => ({
        topic: name,
        partitions: partitions.map(({ partition: partitionIndex, fetchOffset }) => {
          const partition = this.partitions[partitionIndex]!;
          const { values } = partition;
          const isLeader = partition.leader === nodeId;
          const nearest = request.rackId === '' ? undefined : partition.nearest;
          const preferredReadReplica = isLeader ? (nearest ?? -1) : -1;
          const errorCode = errorOf(partition, nodeId, nearest);
          const rest = values.slice(fetchOffset);
          hasData ||= rest.length > 0 || errorCode !== ErrorCode.NONE || preferredReadReplica >= 0;
          const isServed = errorCode === ErrorCode.NONE && preferredReadReplica < 0;
          const records = isServed && rest.length > 0 ? batchAt(rest, fetchOffset) : null;
          return {
            partitionIndex,
            errorCode,
            preferredReadReplica,
            highWatermark: values.length,
            lastStableOffset: values.length,
            records,
          };
        }),
      }));
      return { hasData, responses };
    };
    const untilMs = this.clock.monotonicMs() + request.maxWaitMs;
    let answer = answers();
    while (!answer.hasData && this.clock.monotonicMs() < untilMs) {
      await new Promise<void>((resolve) => void this.clock.after(50, resolve));
      await new Promise<void>((resolve) => this.#whenAwake(nodeId, resolve));
      answer = answers();
    }
    return { errorCode: ErrorCode.NONE, responses: answer.responses };
  }

  #whenAwake(nodeId: number, act: () => void): void {
    const frozen = this.#frozen.get(nodeId);
    if (frozen === undefined) act();
    else frozen.push(act);
  }
}

function batchAt(values: readonly string[], baseOffset: number): Buffer {
  const batch = encodeBatch(
    values.map((value) => ({ timestamp: 1, key: null, value: Buffer.from(value) })),
    {},
  );
  batch.writeBigInt64BE(BigInt(baseOffset), 0);
  return batch;
}

/** Of a fetch. */
function errorOf(partition: FakePartition, nodeId: number, nearest: number | undefined): number {
  if (partition.leader === nodeId) return ErrorCode.NONE;
  return nodeId === nearest ? partition.nearestError : ErrorCode.NOT_LEADER_OR_FOLLOWER;
}

export function addressOf(nodeId: number): { host: string; port: number } {
  return { host: `fake-${nodeId}`, port: 9092 };
}

function servedApi(key: number): Served {
  const found = served.find(({ apiKey }) => apiKey === key);
  if (found === undefined) throw new Error(`nobody asks for API ${key} here`);
  return found;
}
