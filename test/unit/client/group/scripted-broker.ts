/**
 * One broker over a network in memory, which answers each request as the test has it: with a message, with nothing at all, or by
 * ending the connection. It finds coordinators and tells topics by itself.
 */
import { Cluster } from '../../../../client/cluster/cluster.ts';
import { FrameReader } from '../../../../client/cluster/frame-reader.ts';
import type { KafkaError } from '../../../../client/errors.ts';
import type { MembershipEvents } from '../../../../client/group/membership.ts';
import type { TopicPartition } from '../../../../client/messages.ts';
import { resolveSettings } from '../../../../client/settings.ts';
import { silentLogger } from '../../../../client/telemetry/logger.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryNetwork } from '../../../../platform/memory-network.ts';
import type { ByteStream } from '../../../../platform/network.ts';
import type { Platform } from '../../../../platform/platform.ts';
import { realPlatform } from '../../../../platform/real/real-platform.ts';
import { SeededRandom } from '../../../../platform/seeded-random.ts';
import { codec, decodeRequestHeader, encodeResponse, ErrorCode, Reader } from '../../../../protocol/index.ts';
import type { Encodable, MessageTypes } from '../../../../protocol/index.ts';

const address = { host: 'scripted', port: 9092 };
/** With their keys and the newest version served. */
const served = [
  { api: 'Fetch', apiKey: 1, maxVersion: 12 },
  { api: 'ListOffsets', apiKey: 2, maxVersion: 7 },
  { api: 'Metadata', apiKey: 3, maxVersion: 12 },
  { api: 'OffsetCommit', apiKey: 8, maxVersion: 9 },
  { api: 'OffsetFetch', apiKey: 9, maxVersion: 9 },
  { api: 'FindCoordinator', apiKey: 10, maxVersion: 4 },
  { api: 'JoinGroup', apiKey: 11, maxVersion: 9 },
  { api: 'Heartbeat', apiKey: 12, maxVersion: 4 },
  { api: 'LeaveGroup', apiKey: 13, maxVersion: 5 },
  { api: 'SyncGroup', apiKey: 14, maxVersion: 5 },
  { api: 'ApiVersions', apiKey: 18, maxVersion: 3 },
  { api: 'ConsumerGroupHeartbeat', apiKey: 68, maxVersion: 1 },
] as const;
type Api = (typeof served)[number]['api'];
type Request<A extends Api> = MessageTypes[`${A}Request`];
type Answer<A extends Api> = Encodable<MessageTypes[`${A}Response`]>;

/** 'silence': no answer ever comes; 'cut': the connection ends instead. */
type Script = {
  [A in Api]?: (request: Request<A>) => Answer<A> | Promise<Answer<A>> | 'silence' | 'cut';
};

export const refusal = (name: keyof typeof ErrorCode, errorMessage: string | null = null) => ({
  errorCode: ErrorCode[name],
  errorMessage,
  memberEpoch: 0,
  heartbeatIntervalMs: 0,
});

export class ScriptedBroker {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork({ clock: this.clock, latencyMs: () => 1 });
  readonly script: Script;
  /** Their ids, by name: 22 characters. Each has four partitions. */
  readonly topics = new Map<string, string>();
  /** APIs that are not served, or not in this version. */
  readonly versionsMax: Partial<Record<Api, number>> = {};
  /** How often each was asked for. */
  readonly counts = new Map<Api, number>();
  readonly clusters: Cluster[] = [];

  private constructor(script: Script) {
    this.script = script;
  }

  static async start(script: Script): Promise<ScriptedBroker> {
    const broker = new ScriptedBroker(script);
    await broker.network.listen(address, (stream) => broker.#serve(stream));
    return broker;
  }

  count(api: Api): number {
    return this.counts.get(api) ?? 0;
  }

  /** For a client of its own. */
  get platform(): Platform {
    return { ...realPlatform(), clock: this.clock, network: this.network, random: new SeededRandom(7) };
  }

  get address(): string {
    return `${address.host}:${address.port}`;
  }

  cluster(): Cluster {
    const settings = resolveSettings({
      brokers: this.address,
      metadataMaxAgeMs: 10_000,
      retry: { backoffMs: 100, backoffMaxMs: 1_000 },
    });
    const { clock, network } = this;
    const random = new SeededRandom(this.clusters.length + 1);
    const components = { clock, network, random, logger: silentLogger, settings };
    const cluster = new Cluster(components, {
      owner: 'consumer',
      autoCreateTopics: false,
      missingTopicMs: 5_000,
    });
    this.clusters.push(cluster);
    return cluster;
  }

  close(): void {
    for (const cluster of this.clusters) cluster.close();
  }

  /** Lets time go by until the promise has ended; its outcome. */
  async settled<T>(promise: Promise<T>, withinMs = 120_000): Promise<T> {
    let isOver = false;
    const end = (): void => {
      isOver = true;
    };
    promise.then(end, end);
    if (!(await this.clock.runUntil(() => isOver, withinMs))) throw new Error('it did not end in time');
    return promise;
  }

  async until(isSo: () => boolean, withinMs = 120_000): Promise<void> {
    if (!(await this.clock.runUntil(isSo, withinMs))) throw new Error('it did not come about in time');
  }

  #serve(stream: ByteStream): void {
    const frames = new FrameReader((frame) => void this.#handle(stream, frame));
    stream.onData((chunk) => frames.push(chunk));
    stream.onClose(() => {});
  }

  async #handle(stream: ByteStream, frame: Buffer): Promise<void> {
    const { apiKey, apiVersion, correlationId, bodyPosition } = decodeRequestHeader(frame);
    const found = served.find((item) => item.apiKey === apiKey);
    if (found === undefined) throw new Error(`nobody asks for API ${apiKey} here`);
    const { api, maxVersion } = found;
    this.counts.set(api, this.count(api) + 1);
    const isTooNew = apiVersion > maxVersion;
    const reader = new Reader(frame);
    reader.position = bodyPosition;
    const answer = isTooNew
      ? { ...this.#versions(), errorCode: ErrorCode.UNSUPPORTED_VERSION }
      : await this.#answer(api, { reader, version: apiVersion });
    if (answer === 'cut') return stream.destroy();
    if (answer === 'silence') return;
    stream.write(encodeResponse({ apiKey, apiVersion: isTooNew ? 0 : apiVersion, correlationId }, answer));
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it ties the request to its answer in the script.
  #answer<A extends Api>(
    api: A,
    { reader, version }: { readonly reader: Reader; readonly version: number },
  ): unknown {
    const answer = this.script[api];
    if (answer !== undefined) return answer(codec(`${api}Request`, version).read(reader));
    switch (api) {
      case 'ApiVersions':
        return this.#versions();
      case 'FindCoordinator':
        return findCoordinator(codec('FindCoordinatorRequest', version).read(reader));
      case 'Metadata':
        return this.#metadata(codec('MetadataRequest', version).read(reader));
      default:
        throw new Error(`the test has no answer to ${api}`);
    }
  }

  #versions(): Answer<'ApiVersions'> {
    const apiKeys = served.map(({ api, apiKey, maxVersion }) => ({
      apiKey,
      minVersion: 0,
      maxVersion: this.versionsMax[api] ?? maxVersion,
    }));
    return { errorCode: ErrorCode.NONE, apiKeys: apiKeys.filter(({ maxVersion }) => maxVersion >= 0) };
  }

  #metadata({ topics }: Request<'Metadata'>): unknown {
    const asked = topics ?? [...this.topics].map(([name, topicId]) => ({ name, topicId }));
    return {
      brokers: [{ nodeId: 1, ...address, rack: null }],
      clusterId: 'scripted',
      controllerId: 1,
      topics: asked.map(({ name, topicId }) => this.#topic(name, topicId)),
    };
  }

  #topic(asked: string | null, askedId: string): unknown {
    const name = asked ?? [...this.topics].find(([, id]) => id === askedId)?.[0] ?? null;
    const topicId = name === null ? undefined : this.topics.get(name);
    if (topicId === undefined) {
      const errorCode = asked === null ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
      return { errorCode, name, topicId: askedId, isInternal: false, partitions: [] };
    }
    const partitions = [0, 1, 2, 3].map((partitionIndex) => ({
      errorCode: ErrorCode.NONE,
      partitionIndex,
      leaderId: 1,
      leaderEpoch: 1,
      replicaNodes: [1],
      isrNodes: [1],
      offlineReplicas: [],
    }));
    return { errorCode: ErrorCode.NONE, name, topicId, isInternal: name!.startsWith('__'), partitions };
  }
}

function findCoordinator({ coordinatorKeys }: Request<'FindCoordinator'>): Answer<'FindCoordinator'> {
  const coordinators = coordinatorKeys.map((key) => ({
    key,
    nodeId: 1,
    ...address,
    errorCode: ErrorCode.NONE,
  }));
  return { coordinators };
}

/** What a member was told, in order; giving up takes until `finish` where `isBusy` is set. */
export class Told implements MembershipEvents {
  readonly log: string[] = [];
  readonly owned = new Set<string>();
  error: KafkaError | undefined;
  isBusy = false;
  #finish: (() => void) | undefined;

  finish(): void {
    this.isBusy = false;
    this.#finish?.();
  }

  async onRevoke(partitions: readonly TopicPartition[]): Promise<void> {
    this.log.push(`revoke ${shown(partitions)}`);
    if (this.isBusy) {
      await new Promise<void>((resolve) => {
        this.#finish = resolve;
      });
    }
    for (const item of partitions) this.owned.delete(keyOf(item));
  }

  onLost(partitions: readonly TopicPartition[]): void {
    this.log.push(`lost ${shown(partitions)}`);
    for (const item of partitions) this.owned.delete(keyOf(item));
  }

  onAssign(partitions: readonly TopicPartition[]): void {
    this.log.push(`assign ${shown(partitions)}`);
    for (const item of partitions) this.owned.add(keyOf(item));
  }

  onFatal(error: KafkaError): void {
    this.log.push(`fatal ${error.code}`);
    this.error = error;
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}${partition}`;
}

function shown(partitions: readonly TopicPartition[]): string {
  return partitions.map(keyOf).sort().join(' ');
}
