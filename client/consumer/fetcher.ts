/**
 * Keeps the partitions that are read supplied with records. Each broker has at most one fetch under way, for all
 * partitions that it leads, or is read from in the leader's place (`read-replicas.ts`), and that have room; the next one leaves as soon as an answer is in, while the application
 * works on what came. Those that got data go to the end of the next request, so that none starves. A broker that says nothing is
 * not waited for once the cluster has another leader.
 */
import { ErrorCode, type FetchResponse } from '../../protocol/index.ts';
import type { Timer } from '../../platform/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { hasMoved, Patience } from '../cluster/patience.ts';
import { brokerError, isRetriableCode, KafkaError, toKafkaError, wantsMetadata } from '../errors.ts';
import type { StartPlace } from '../options.ts';
import { fetchChannel } from '../telemetry/channels.ts';
import type { FetchTrace } from '../telemetry/payloads.ts';
import { traced } from '../telemetry/traced.ts';
import { FetchedRecords } from './fetched-records.ts';
import {
  fetchRequest,
  readFetchAnswers,
  type AskedPartition,
  type FetchLimits,
  type PartitionFetchAnswer,
} from './fetch-request.ts';
import type { PartitionState } from './partition-state.ts';
import { ReadReplicas } from './read-replicas.ts';

export interface FetcherOptions extends FetchLimits {
  /** Over all partitions. */
  readonly prefetchBytes: number;
  readonly requestTimeoutMs: number;
  readonly from: (topic: string) => StartPlace;
  /** For who looks on. */
  readonly groupId: string | undefined;
}

export interface FetcherEvents {
  /** Records came in. */
  onRecords(): void;
  /** Offsets are to be looked up: a partition's target is set. */
  onTarget(): void;
  /** Reading cannot go on. */
  onFatal(error: KafkaError): void;
}

/** While some partitions have no room, the others' fetch must not wait long: they would miss the moment when there is room. */
const shortWaitMs = 20;

interface Room {
  readonly roomBytes: number;
  readonly isAnyFull: boolean;
}

interface Source {
  node: NodeInfo;
  isFetching: boolean;
  /** Of the fetch under way: when it began, how long the broker may hold it back, and what it asks for, as the leader or in its place. */
  fetchingSinceMs: number;
  heldMs: number;
  asked: readonly { readonly state: PartitionState; readonly leaderEpoch: number; readonly isLed: boolean }[];
  failures: number;
  restUntilMs: number;
}

export class Fetcher {
  readonly #cluster: Cluster;
  readonly #options: FetcherOptions;
  readonly #events: FetcherEvents;
  readonly #patience: Patience;
  readonly #replicas: ReadReplicas;
  /** In the order in which they are asked for; rotated. */
  #states: PartitionState[] = [];
  readonly #sources = new Map<number, Source>();
  #timer: Timer | undefined;
  #isFindingLeaders = false;
  #leaderFailures = 0;
  #isPumpQueued = false;
  #isStopped = false;

  constructor(cluster: Cluster, options: FetcherOptions, events: FetcherEvents) {
    this.#cluster = cluster;
    this.#options = options;
    this.#events = events;
    this.#patience = new Patience(cluster, () => this.schedule());
    this.#replicas = new ReadReplicas(cluster);
  }

  /** Reads these partitions from now on, and no others. */
  assign(states: Iterable<PartitionState>): void {
    this.#states = [...states];
    this.schedule();
  }

  /** Looks, in a microtask, for what can be fetched. To be called when room was made, or anything else has changed. */
  schedule(): void {
    if (this.#isPumpQueued || this.#isStopped) return;
    this.#isPumpQueued = true;
    queueMicrotask(() => {
      this.#isPumpQueued = false;
      this.#pump();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #pump(): void {
    if (this.#isStopped) return;
    this.#cluster.refreshIfOld();
    const nowMs = this.#nowMs();
    let buffered = 0;
    for (const state of this.#states) buffered += state.bufferedBytes;
    const roomBytes = this.#options.prefetchBytes - buffered;
    if (roomBytes <= 0) return;
    const byNode = new Map<NodeInfo, PartitionState[]>();
    let isAnyFull = false;
    let wakeMs = Infinity;
    for (const state of this.#states) {
      if (state.isPaused || state.target !== undefined || state.fetchOffset >= state.endOffset) continue;
      if (state.bufferedBytes >= this.#options.partitionMaxBytes) {
        isAnyFull = true;
        continue;
      }
      if (state.retryAtMs > nowMs) {
        wakeMs = Math.min(wakeMs, state.retryAtMs);
        continue;
      }
      const node = this.#replicas.source(state);
      if (node === undefined) {
        this.#findLeaders();
        continue;
      }
      const states = byNode.get(node);
      if (states === undefined) byNode.set(node, [state]);
      else states.push(state);
    }
    for (const [node, states] of byNode) {
      const source = this.#source(node);
      if (source.isFetching) continue;
      if (source.restUntilMs > nowMs) wakeMs = Math.min(wakeMs, source.restUntilMs);
      else void this.#fetch(node, source, states, { roomBytes, isAnyFull });
    }
    for (const source of this.#sources.values()) wakeMs = Math.min(wakeMs, this.#reviewAnswer(source, nowMs));
    this.#wakeAt(wakeMs, nowMs);
  }

  /** Where an answer is late, looks who leads; nobody waits for one whose partitions are all read elsewhere. Returns when to look again. */
  #reviewAnswer({ node, isFetching, fetchingSinceMs, heldMs, asked }: Source, nowMs: number): number {
    if (!isFetching) return Infinity;
    const lateMs = fetchingSinceMs + heldMs + this.#patience.limitMs(node.id);
    if (nowMs < lateMs) return lateMs;
    const { metadata } = this.#cluster;
    // Who is read from in a leader's place has no time to lose: the leader has the same.
    const isLeft = asked.filter(({ state }) => this.#leave(state, node.id)).length > 0;
    if (isLeft) this.schedule();
    const isWaitedFor = asked.some(
      ({ state, leaderEpoch, isLed }) =>
        isLed && this.#states.includes(state) && !hasMoved(metadata, state, { nodeId: node.id, leaderEpoch }),
    );
    if (isWaitedFor) return this.#patience.look(nowMs);
    const error = new KafkaError(
      'TIMED_OUT',
      `Broker ${node.id} does not answer, and others have what it was asked for.`,
    );
    this.#cluster.link(node, 'data').current?.close(error);
    return Infinity;
  }

  #source(node: NodeInfo): Source {
    let source = this.#sources.get(node.id);
    if (source === undefined) {
      source = {
        node,
        isFetching: false,
        fetchingSinceMs: 0,
        heldMs: 0,
        asked: [],
        failures: 0,
        restUntilMs: 0,
      };
      this.#sources.set(node.id, source);
    }
    source.node = node;
    return source;
  }

  async #fetch(node: NodeInfo, source: Source, states: readonly PartitionState[], room: Room): Promise<void> {
    const { metadata } = this.#cluster;
    source.isFetching = true;
    source.fetchingSinceMs = this.#nowMs();
    source.heldMs = this.#options.maxWaitMs;
    source.asked = states.map((state) => ({
      state,
      leaderEpoch: metadata.partition(state.topic, state.partition)?.leaderEpoch ?? -1,
      isLed: !this.#replicas.isReadFrom(state, node.id),
    }));
    try {
      await this.#exchangeTraced(node, states, room);
      this.#patience.answered(node.id, this.#nowMs() - source.fetchingSinceMs - source.heldMs);
      source.failures = 0;
    } catch (error) {
      const failure = toKafkaError(error, 'fetch records');
      if (!failure.retriable && !this.#isStopped) this.#events.onFatal(failure);
      const { logger } = this.#cluster.components;
      if (!this.#isStopped) logger.warn({ err: failure, nodeId: node.id }, 'could not fetch records');
      for (const state of states) {
        state.trouble = failure;
        this.#leave(state, node.id);
      }
      source.failures++;
      source.restUntilMs = this.#nowMs() + this.#cluster.pauseMs(source.failures);
      this.#cluster.refreshSoon();
    }
    source.isFetching = false;
    source.asked = [];
    this.schedule();
  }

  #exchangeTraced(node: NodeInfo, states: readonly PartitionState[], room: Room): Promise<void> {
    if (!fetchChannel.hasSubscribers) return this.#exchange(node, states, room);
    const { clientId } = this.#cluster.components.settings;
    const { groupId } = this.#options;
    const trace: FetchTrace = { clientId, groupId, nodeId: node.id, partitionCount: states.length };
    return traced(fetchChannel, trace, () => this.#exchange(node, states, room));
  }

  async #exchange(node: NodeInfo, states: readonly PartitionState[], room: Room): Promise<void> {
    const { metadata } = this.#cluster;
    const { maxWaitMs, maxBytes, partitionMaxBytes, requestTimeoutMs } = this.#options;
    const connection = await this.#cluster.connection(node, 'data');
    const asked = states.map((state) => ({
      state,
      fetchEpoch: state.fetchEpoch,
      fetchOffset: state.fetchOffset,
    }));
    const limits = {
      ...this.#options,
      maxBytes: Math.min(maxBytes, Math.max(room.roomBytes, partitionMaxBytes)),
      maxWaitMs: room.isAnyFull ? Math.min(maxWaitMs, shortWaitMs) : maxWaitMs,
    };
    const { version, body } = fetchRequest(connection.versions, metadata, asked, {
      ...limits,
      rackId: this.#replicas.rackFor(states),
    });
    const response = await connection.send('Fetch', version, body, {
      timeoutMs: requestTimeoutMs + maxWaitMs,
    });
    if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, 'fetch records');
    this.#take(response, asked, node.id);
  }

  #take(response: FetchResponse, asked: readonly AskedPartition[], nodeId: number): void {
    const { metadata } = this.#cluster;
    const endpoints = response.nodeEndpoints.map(({ nodeId, host, port, rack }) => ({
      id: nodeId,
      host,
      port,
      rack,
    }));
    const served = new Set<PartitionState>();
    for (const { asked: item, answer } of readFetchAnswers(response, metadata, asked)) {
      const { state } = item;
      if (answer.errorCode !== ErrorCode.NONE) {
        this.#cluster.applyHint(state.topic, state.partition, answer.currentLeader, endpoints);
      }
      // It was moved or taken away meanwhile, or another broker was faster.
      const isWanted = state.fetchEpoch === item.fetchEpoch && state.fetchOffset === item.fetchOffset;
      if (!isWanted || !this.#states.includes(state)) continue;
      if (answer.errorCode === ErrorCode.NONE) {
        if (answer.preferredReadReplica >= 0) this.#replicas.named(state, answer.preferredReadReplica);
        if (this.#takeRecords(state, answer)) served.add(state);
      } else if (this.#leave(state, nodeId)) {
        if (wantsMetadata(answer.errorCode)) this.#cluster.refreshSoon();
      } else this.#onError(state, answer.errorCode);
    }
    if (served.size === 0) return;
    this.#states = [...this.#states.filter((state) => !served.has(state)), ...served];
    this.#events.onRecords();
  }

  /** Where the broker is read from in the leader's place, that is over; whether it was. */
  #leave(state: PartitionState, nodeId: number): boolean {
    if (!this.#replicas.isReadFrom(state, nodeId)) return false;
    this.#replicas.leave(state);
    return true;
  }

  /** Whether there was anything. */
  #takeRecords(state: PartitionState, answer: PartitionFetchAnswer): boolean {
    state.failures = 0;
    state.trouble = undefined;
    state.answeredAtMs = this.#nowMs();
    state.highWatermark = answer.highWatermark;
    state.lastStableOffset = answer.lastStableOffset;
    if (answer.records === null || answer.records.length === 0) return false;
    const fetched = new FetchedRecords(state, answer.records, answer, this.#options.isReadCommitted);
    if (fetched.isEmpty) return false;
    state.push(fetched);
    return true;
  }

  #onError(state: PartitionState, code: number): void {
    if (code === ErrorCode.OFFSET_OUT_OF_RANGE) return this.#onOutOfRange(state);
    const error = brokerError(code, `read ${state.name}`);
    if (!isRetriableCode(code)) return this.#events.onFatal(error);
    const { logger } = this.#cluster.components;
    logger.debug(
      { err: error, topic: state.topic, partition: state.partition },
      'could not read a partition',
    );
    state.trouble = error;
    state.failures++;
    state.retryAtMs = this.#nowMs() + this.#cluster.pauseMs(state.failures);
    if (wantsMetadata(code)) this.#cluster.refreshSoon();
  }

  #onOutOfRange(state: PartitionState): void {
    const from = this.#options.from(state.topic);
    // What was fetched before is still good: it is handed out first, and then it is asked again.
    state.retryAtMs = this.#nowMs() + this.#cluster.pauseMs(1);
    if (state.hasFetched) return;
    if (from === 'none') {
      const text = `Offset ${state.fetchOffset} of ${state.name} is out of range: it was deleted, or was never written. Seek, or set \`from\`.`;
      return this.#events.onFatal(new KafkaError('OFFSET_OUT_OF_RANGE', text));
    }
    const { topic, partition, fetchOffset } = state;
    this.#cluster.components.logger.warn(
      { topic, partition, offset: fetchOffset, from },
      'an offset is out of range, reading goes on elsewhere',
    );
    state.seek(from);
    this.#events.onTarget();
  }

  #findLeaders(): void {
    if (this.#isFindingLeaders) return;
    this.#isFindingLeaders = true;
    void this.#refreshForLeaders();
  }

  async #refreshForLeaders(): Promise<void> {
    try {
      await this.#cluster.refresh();
      this.#leaderFailures = 0;
      this.schedule();
    } catch (error) {
      // Tried again after the pause, for as long as partitions lack a leader.
      this.#leaderFailures++;
      this.#cluster.components.logger.debug({ err: error }, 'could not find leaders');
    }
    // Closing ends the pause early, and then there is nothing left to do.
    await this.#cluster.pause(this.#cluster.pauseMs(this.#leaderFailures + 1)).catch(() => undefined);
    this.#isFindingLeaders = false;
    this.schedule();
  }

  #wakeAt(atMs: number, nowMs: number): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (atMs === Infinity) return;
    this.#timer = this.#cluster.components.clock.after(Math.max(0, atMs - nowMs), () => this.schedule());
  }

  #nowMs(): number {
    return this.#cluster.components.clock.monotonicMs();
  }
}
