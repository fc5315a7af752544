/**
 * A cluster as one producer, consumer or admin sees it: finds brokers through the bootstrap list, keeps metadata
 * current, knows coordinators, owns the connections, and repeats what may be repeated. Each product owns a Cluster of
 * its own, so that closing it leaves nothing behind.
 */
import { ErrorCode, type MetadataResponse } from '../../protocol/index.ts';
import type { Components } from '../components.ts';
import { showAddress, type BrokerAddress } from '../components.ts';
import { abortedError, brokerError, closedError, KafkaError, toKafkaError } from '../errors.ts';
import { metadataChannel } from '../telemetry/channels.ts';
import { traced } from '../telemetry/traced.ts';
import { abortable, backoffMs, Bell, sleep } from '../waiting.ts';
import type { ApiName, RequestOf, ResponseOf } from './apis.ts';
import { BrokerLink, peerName } from './broker-link.ts';
import type { Connection } from './connection.ts';
import { firstAnswer } from './first-answer.ts';
import { findCoordinator } from './find-coordinator.ts';
import { MetadataCache, type LeaderHint, type NodeInfo, type TopicInfo } from './metadata-cache.ts';
import { namedTwice, patienceMsMin, unlessMoved } from './patience.ts';

/** What a connection is for. Answers come in order, so what may wait long has a connection of its own. */
export type Lane = 'control' | 'data' | 'group';

/** What any broker can answer, and may be asked of a second one where the first is slow. */
const answeredByAny: ReadonlySet<ApiName> = new Set([
  'Metadata',
  'FindCoordinator',
  'InitProducerId',
  'DescribeCluster',
  'DescribeConfigs',
  'ApiVersions',
]);

/** Who owes an answer for longer is asked last: less than any patience, so that nobody who has lost his asks the same broker who leads. */
const silentMsMax = 750;

/** A broker by its metadata, whichever answers, or the one that changes the cluster's metadata. */
export type Target = NodeInfo | 'any' | 'controller';

export interface RequestOptions {
  readonly target: Target;
  readonly lane?: Lane;
  readonly timeoutMs?: number | undefined;
  readonly versionMax?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface RetryLimits {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

export interface ClusterOptions {
  /** 'producer', 'consumer' or 'admin client', for messages. */
  readonly owner: string;
  /** Whether asking for an unknown topic may create it. */
  readonly autoCreateTopics: boolean;
  /** A topic may be new, and not known to every broker yet: so long it is looked for. */
  readonly missingTopicMs: number;
}

export class Cluster {
  readonly metadata = new MetadataCache();
  /** Rings after each update of the metadata. */
  readonly metadataChanged = new Bell();
  readonly #components: Components;
  readonly #options: ClusterOptions;
  readonly #bootstrap: readonly BrokerLink[];
  readonly #links = new Map<string, BrokerLink>();
  readonly #coordinators = new Map<string, NodeInfo>();
  /** Topics that every refresh asks for. */
  readonly #tracked = new Set<string>();
  readonly #closing = new AbortController();
  #refreshing: Promise<void> | undefined;
  /** The refresh that begins when the one under way is over; it sees all that was asked for meanwhile. */
  #nextRefresh: Promise<void> | undefined;
  #refreshedAtMs = -Infinity;
  #rotation: number;

  constructor(components: Components, options: ClusterOptions) {
    this.#components = components;
    this.#options = options;
    const { brokers } = components.settings;
    this.#rotation = components.random.below(2 ** 16);
    this.#bootstrap = brokers.map(
      (address) => new BrokerLink(components, { address, peer: peerName(address), hint: bootstrapHint }),
    );
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  get components(): Components {
    return this.#components;
  }

  /** Fires when the cluster closes. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * One request to one broker, once; where any broker can answer, to the next one too where one says nothing. Where fields depend
   * on the version, `body` is a function of it.
   */
  async request<A extends ApiName>(
    api: A,
    body: RequestOf<A> | ((version: number) => RequestOf<A>),
    options: RequestOptions,
  ): Promise<ResponseOf<A>> {
    const { target } = options;
    if (target === 'controller') return this.#askController(api, body, options);
    const { clock, settings } = this.#components;
    const ask = async (connecting: Promise<Connection>): Promise<ResponseOf<A>> => {
      const connection = await abortable(connecting, options.signal, `ask for ${api}`);
      const version = connection.versions.require(api, options.versionMax);
      return connection.send(api, version, typeof body === 'function' ? body(version) : body, {
        timeoutMs: options.timeoutMs ?? settings.requestTimeoutMs,
        signal: options.signal,
      });
    };
    if (this.isClosed) throw this.#closedError();
    if (target !== 'any') return ask(this.connection(target, options.lane ?? 'control'));
    if (!answeredByAny.has(api)) return ask(this.#connectAny());
    const attempts = this.#anyLinks().map((link) => () => ask(link.connection()));
    return firstAnswer(clock, attempts, { patienceMs: patienceMsMin, allFailed: noBroker });
  }

  /** An open connection to a broker for a purpose; one attempt. */
  connection(node: NodeInfo, lane: Lane): Promise<Connection> {
    return this.#link(node, lane).connection();
  }

  /** The link to a broker, whether or not it is connected. */
  link(node: NodeInfo, lane: Lane): BrokerLink {
    return this.#link(node, lane);
  }

  /**
   * Runs `attempt` until it succeeds, fails for good, or the time is up, with pauses that grow. `doing` completes
   * "Could not ...".
   */
  async retry<T>(
    doing: string,
    attempt: (tries: number) => Promise<T>,
    limits: RetryLimits = {},
  ): Promise<T> {
    const { clock, settings } = this.#components;
    const deadlineMs = clock.monotonicMs() + (limits.timeoutMs ?? settings.retryTimeoutMs);
    for (let tries = 1; ; tries++) {
      this.#throwIfOver(doing, limits.signal);
      const error = await this.#try(doing, () => attempt(tries), limits.signal);
      if ('value' in error) return error.value;
      const pauseMs = this.pauseMs(tries);
      if (!error.failure.retriable || this.isClosed)
        throw this.isClosed ? this.#closedError() : error.failure;
      if (clock.monotonicMs() + pauseMs >= deadlineMs) throw gaveUp(error.failure, tries);
      this.#components.logger.debug(
        { err: error.failure, tries, pauseMs },
        `could not ${doing}, trying again`,
      );
      await this.pause(pauseMs, limits.signal);
    }
  }

  /** The pause after the given number of failures in a row. */
  pauseMs(failures: number): number {
    const { random, settings } = this.#components;
    return backoffMs(random, failures, settings.retryBackoffMs, settings.retryBackoffMaxMs);
  }

  /** Waits, unless the cluster closes or the signal fires. */
  async pause(delayMs: number, signal?: AbortSignal): Promise<void> {
    const either =
      signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
    try {
      await sleep(this.#components.clock, delayMs, either);
    } catch (error) {
      this.#throwIfOver('wait', signal);
      throw error;
    }
  }

  /** Makes every refresh ask for these topics. */
  track(topics: Iterable<string>): void {
    for (const topic of topics) this.#tracked.add(topic);
  }

  /** Metadata of a topic, asked for where it is not known; a topic that stays missing for `missingTopicMs` is an error. */
  async topic(name: string, limits: RetryLimits = {}): Promise<TopicInfo> {
    const known = this.metadata.topic(name);
    if (known !== undefined && known.partitions.length > 0) return known;
    this.#tracked.add(name);
    const doing = `find the topic ${name}`;
    const { clock } = this.#components;
    let missingSinceMs: number | undefined;
    const attempt = async (): Promise<TopicInfo> => {
      await this.refresh();
      const topic = this.metadata.topic(name);
      if (topic !== undefined && topic.partitions.length > 0) return topic;
      const error = brokerError(topic?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, doing);
      missingSinceMs ??= clock.monotonicMs();
      const isOver = clock.monotonicMs() - missingSinceMs >= this.#options.missingTopicMs;
      if (isOver) this.#tracked.delete(name);
      throw isOver ? new KafkaError(error.code, error.message, { retriable: false }) : error;
    };
    return this.retry(doing, attempt, limits);
  }

  /** Asks for the metadata of all tracked topics, once; calls made meanwhile share the next run. */
  refresh(): Promise<void> {
    if (this.#nextRefresh !== undefined) return this.#nextRefresh;
    if (this.#refreshing === undefined) return this.#startRefresh();
    const begin = (): Promise<void> => {
      this.#nextRefresh = undefined;
      return this.#startRefresh();
    };
    this.#nextRefresh = this.#refreshing.then(begin, begin);
    return this.#nextRefresh;
  }

  /** Refreshes in the background where metadata is older than allowed; failures show up where metadata is needed. */
  refreshIfOld(): void {
    const ageMs = this.#components.clock.monotonicMs() - this.#refreshedAtMs;
    if (ageMs > this.#components.settings.metadataMaxAgeMs) this.refreshSoon();
  }

  /** Refreshes in the background, unless a refresh is under way. */
  refreshSoon(): void {
    if (this.#refreshing !== undefined || this.isClosed) return;
    // A failure leaves the metadata as it was; whoever lacks something tries again and reports it.
    this.#startRefresh().catch((error: unknown) =>
      this.#components.logger.debug({ err: error }, 'could not refresh the metadata'),
    );
  }

  /** All topics of the cluster, without taking them into the cache. */
  async fetchMetadata(topics: readonly string[] | null, limits: RetryLimits = {}): Promise<MetadataResponse> {
    return this.retry('read the metadata', () => this.#askMetadata(topics, false, limits.signal), limits);
  }

  applyHint(topic: string, partition: number, hint: LeaderHint, endpoints: readonly NodeInfo[]): void {
    if (this.metadata.applyHint(topic, partition, hint, endpoints)) this.metadataChanged.ring();
  }

  /** The broker that coordinates a group, found once and remembered until `forgetCoordinator`. One attempt. */
  async coordinator(groupId: string, signal?: AbortSignal): Promise<NodeInfo> {
    const known = this.#coordinators.get(groupId);
    if (known !== undefined) return known;
    const found = await findCoordinator(this, groupId, signal);
    this.#coordinators.set(groupId, found);
    return found;
  }

  forgetCoordinator(groupId: string): void {
    this.#coordinators.delete(groupId);
  }

  /** Ends all connections; everything that waits is rejected with CLOSED. */
  close(): void {
    if (this.isClosed) return;
    this.#closing.abort();
    for (const link of [...this.#links.values(), ...this.#bootstrap]) link.close();
    this.#links.clear();
    this.metadataChanged.ring();
  }

  async #try<T>(
    doing: string,
    attempt: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<{ value: T } | { failure: KafkaError }> {
    try {
      return { value: await abortable(attempt(), signal, doing) };
    } catch (error) {
      return { failure: toKafkaError(error, doing) };
    }
  }

  #throwIfOver(doing: string, signal: AbortSignal | undefined): void {
    if (signal?.aborted === true) throw abortedError(signal, doing);
    if (this.isClosed) throw this.#closedError();
  }

  #closedError(): KafkaError {
    return closedError(this.#options.owner);
  }

  #startRefresh(): Promise<void> {
    this.#refreshing = this.#refreshOnce().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  #refreshOnce(): Promise<void> {
    const topics = [...this.#tracked];
    if (!metadataChannel.hasSubscribers) return this.#refreshTopics(topics);
    const { clientId } = this.#components.settings;
    return traced(metadataChannel, { clientId, topics }, () => this.#refreshTopics(topics));
  }

  async #refreshTopics(topics: readonly string[]): Promise<void> {
    const response = await this.#askMetadata(topics, this.#options.autoCreateTopics);
    this.#refreshedAtMs = this.#components.clock.monotonicMs();
    this.metadata.update(response);
    this.metadataChanged.ring();
  }

  #askMetadata(
    topics: readonly string[] | null,
    mayCreate: boolean,
    signal?: AbortSignal,
  ): Promise<MetadataResponse> {
    const body = {
      topics: topics === null ? null : topics.map((name) => ({ name })),
      allowAutoTopicCreation: mayCreate,
    };
    return this.request('Metadata', body, { target: 'any', signal });
  }

  /**
   * One request to the controller, which is looked for each time, as nobody else tells that it has moved. Where none is known any broker
   * will do: those that are not the controller pass such requests on.
   */
  async #askController<A extends ApiName>(
    api: A,
    body: RequestOf<A> | ((version: number) => RequestOf<A>),
    options: RequestOptions,
  ): Promise<ResponseOf<A>> {
    const find = async (): Promise<number> => {
      await this.refresh();
      return this.metadata.controllerId;
    };
    const node = this.metadata.nodes.get(await find());
    const answer = this.request(api, body, { ...options, target: node ?? 'any' });
    if (node === undefined) return answer;
    const hasMoved = namedTwice(node.id, find);
    return unlessMoved(this.#components, answer, { peer: peerName(node, node.id), hasMoved });
  }

  /** An open connection if there is one, otherwise that of the first broker that takes one. */
  #connectAny(): Promise<Connection> {
    const attempts = this.#anyLinks().map((link) => () => link.connection());
    const { clock } = this.#components;
    return firstAnswer(clock, attempts, { patienceMs: patienceMsMin, allFailed: noBroker });
  }

  /**
   * All ways to some broker, the best first: open and idle ones, then other open ones, then known brokers, then the bootstrap list.
   * Those that failed a moment ago come late, so that a dead broker costs others nothing, and those that owe an answer last.
   */
  #anyLinks(): BrokerLink[] {
    const known = [...this.metadata.nodes.values()].map((node) => this.#link(node, 'control'));
    const links = [...rotate(known, this.#rotation), ...rotate(this.#bootstrap, this.#rotation)];
    this.#rotation++;
    const silent = this.#silentAddresses();
    const rank = (link: BrokerLink): number => {
      if (silent.has(showAddress(link.address))) return 4;
      if (link.current !== undefined) return link.current.inFlight === 0 ? 0 : 1;
      return link.isResting ? 3 : 2;
    };
    return links
      .map((link) => ({ link, rank: rank(link) }))
      .toSorted((a, b) => a.rank - b.rank)
      .map(({ link }) => link);
  }

  /** Of brokers that have owed something for too long, whatever it was asked for; members of groups wait long by right. */
  #silentAddresses(): ReadonlySet<string> {
    const links = [...this.#bootstrap];
    for (const [key, link] of this.#links) if (!key.startsWith('group:')) links.push(link);
    const silent = links.filter((link) => link.silentMs >= silentMsMax);
    return new Set(silent.map((link) => showAddress(link.address)));
  }

  #link(node: NodeInfo, lane: Lane): BrokerLink {
    const key = `${lane}:${node.id}`;
    const link = this.#links.get(key);
    if (link?.address.host === node.host && link.address.port === node.port) return link;
    link?.close();
    const fresh = new BrokerLink(this.#components, {
      address: { host: node.host, port: node.port },
      peer: peerName(node, node.id),
      hint: this.#advertisedHint(node),
    });
    if (this.isClosed) fresh.close();
    this.#links.set(key, fresh);
    return fresh;
  }

  /** The commonest surprise of all: the bootstrap address works, and the address that the broker then names does not. */
  #advertisedHint(node: BrokerAddress): string {
    const { brokers } = this.#components.settings;
    if (brokers.some((address) => address.host === node.host && address.port === node.port))
      return bootstrapHint;
    const asked = brokers.map(showAddress).join(', ');
    return (
      `That is the address the broker advertises; this client was given ${asked}. If it cannot be reached from here, ` +
      'set the address that the broker advertises (Kappalog: --advertised-host; Kafka: advertised.listeners).'
    );
  }
}

const bootstrapHint = 'Is the broker running, and is this its address?';

function rotate<T>(list: readonly T[], by: number): T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

function gaveUp(error: KafkaError, tries: number): KafkaError {
  if (tries === 1) return error;
  return new KafkaError(error.code, `${error.message} Gave up after ${tries} tries.`, { cause: error });
}

function noBroker(errors: readonly KafkaError[]): KafkaError {
  const last = errors.at(-1);
  if (last === undefined || errors.length === 1)
    return last ?? new KafkaError('CONNECTION_FAILED', 'There is no broker to connect to.');
  const distinct = [...new Set(errors.map((error) => error.message))];
  return new KafkaError(last.code, distinct.join(' '), { cause: new AggregateError(errors) });
}
