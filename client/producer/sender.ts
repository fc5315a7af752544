/**
 * Sends what the accumulator holds. `pump` looks at every queue with something to send, groups what is ready by
 * leader, and puts one batch of each partition into a request; it runs when a batch is complete, when a pause or linger is
 * over, when an answer came, and when metadata changed. Nothing here waits: each outcome leads to another pump.
 *
 * A broker that says nothing is not waited for once the cluster has another leader: what it was sent goes to that one, as after a lost
 * connection, and what it may answer later no longer counts.
 */
import type { Timer } from '../../platform/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Connection } from '../cluster/connection.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { hasMoved, Patience } from '../cluster/patience.ts';
import { KafkaError, toKafkaError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Accumulator } from './accumulator.ts';
import { deliveryTimedOut } from './delivery-timed-out.ts';
import type { Identities } from './identities.ts';
import type { PartitionQueue } from './partition-queue.ts';
import type { ProducerBatch } from './producer-batch.ts';
import { produceRequest, readAnswers, type PartitionAnswer, type SentBatch } from './produce-request.ts';
import { judge } from './produce-verdict.ts';
import { splitBatch } from './split-batch.ts';

export interface SenderOptions {
  readonly acks: -1 | 0 | 1;
  readonly isIdempotent: boolean;
  readonly lingerMs: number;
  readonly inFlightMax: number;
  readonly deliveryTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** A request holds at least one batch, and no further one above this. */
  readonly requestBytes: number;
}

/** One broker, as a destination. */
interface Destination {
  node: NodeInfo;
  /** Requests that are not answered. */
  inFlight: number;
  isConnecting: boolean;
  connectingSinceMs: number;
  failures: number;
  /** Not before this time is a connection tried again. */
  restUntilMs: number;
}

export class Sender {
  readonly #cluster: Cluster;
  readonly #accumulator: Accumulator;
  readonly #identities: Identities;
  readonly #options: SenderOptions;
  readonly #patience: Patience;
  /** Queues that are not idle; those that were served last are at the end. */
  readonly #active = new Set<PartitionQueue>();
  readonly #destinations = new Map<number, Destination>();
  #isPumpQueued = false;
  #timer: Timer | undefined;
  #timerAtMs = Infinity;
  #isFindingLeaders = false;
  #isFindingIdentity = false;
  #identityFailures = 0;
  #leaderFailures = 0;
  /** Above 0, open batches are sent without waiting for company. */
  #hurried = 0;
  #isStopped = false;

  constructor(cluster: Cluster, accumulator: Accumulator, identities: Identities, options: SenderOptions) {
    this.#cluster = cluster;
    this.#accumulator = accumulator;
    this.#identities = identities;
    this.#options = options;
    this.#patience = new Patience(cluster, () => this.schedule());
  }

  activate(queue: PartitionQueue): void {
    this.#active.add(queue);
    this.schedule();
  }

  /** Pumps once in a microtask, however often it is asked for. */
  schedule(): void {
    if (this.#isPumpQueued || this.#isStopped) return;
    this.#isPumpQueued = true;
    queueMicrotask(() => {
      this.#isPumpQueued = false;
      this.#pump();
    });
  }

  /** Until `relax`, nothing lingers. */
  hurry(): void {
    this.#hurried++;
    this.schedule();
  }

  relax(): void {
    this.#hurried--;
  }

  /** Fails all that is queued or in flight, and sends nothing more. */
  stop(error: KafkaError): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    for (const queue of this.#active) {
      this.#accumulator.closeOpen(queue);
      for (const batch of queue.waiting.splice(0)) this.#fail(batch, error);
    }
  }

  #pump(): void {
    if (this.#isStopped) return;
    const nowMs = this.#cluster.components.clock.monotonicMs();
    let wakeMs = Infinity;
    const ready = new Map<number, PartitionQueue[]>();
    const deserted = new Set<number>();
    for (const queue of this.#active) {
      this.#expire(queue, nowMs);
      if (queue.isIdle) {
        this.#active.delete(queue);
        continue;
      }
      const lateMs = this.#reviewAnswers(queue, nowMs, deserted);
      wakeMs = Math.min(wakeMs, lateMs, this.#expiryMs(queue), this.#consider(queue, nowMs, ready));
    }
    for (const nodeId of deserted) this.#leave(nodeId);
    for (const [nodeId, queues] of ready) wakeMs = Math.min(wakeMs, this.#serve(nodeId, queues, nowMs));
    this.#wakeAt(wakeMs, nowMs);
    this.#cluster.refreshIfOld();
  }

  /**
   * Where an answer is late, looks who leads, and gives up what is in flight where that is another broker, which then can take it: all of it,
   * as answers come in order. Returns when to look again.
   */
  #reviewAnswers(queue: PartitionQueue, nowMs: number, deserted: Set<number>): number {
    const { inFlightNode: nodeId, inFlightEpoch: leaderEpoch, unansweredSinceMs } = queue;
    const lateMs = unansweredSinceMs + this.#patience.limitMs(nodeId);
    if (nowMs < lateMs) return lateMs;
    if (!hasMoved(this.#cluster.metadata, queue, { nodeId, leaderEpoch })) return this.#patience.look(nowMs);
    deserted.add(nodeId);
    const silentMs = Math.round(nowMs - unansweredSinceMs);
    const text = `Broker ${nodeId} has not answered for ${silentMs} ms, and another one leads ${queue.topic}-${queue.partition} now.`;
    for (let batch = queue.inFlight[0]; batch !== undefined; batch = queue.inFlight[0]) {
      queue.land(batch);
      this.#retryLater(queue, batch, new KafkaError('TIMED_OUT', text), true);
    }
    return Infinity;
  }

  /** Ends the connection to a broker that says nothing, unless something is still waited for there. */
  #leave(nodeId: number): void {
    for (const queue of this.#active) {
      if (queue.inFlight.length > 0 && queue.inFlightNode === nodeId) return;
    }
    const { node } = this.#destinations.get(nodeId)!;
    const error = new KafkaError('TIMED_OUT', `Broker ${nodeId} does not answer, and leads no more.`);
    this.#cluster.link(node, 'data').current?.close(error);
  }

  /** Hands the queue to its leader if it may send now; returns when to look again, Infinity where an event will tell. */
  #consider(queue: PartitionQueue, nowMs: number, ready: Map<number, PartitionQueue[]>): number {
    const isDue = this.#isDue(queue, nowMs);
    const dueMs =
      queue.open === undefined || isDue ? Infinity : queue.open.createdAtMs + this.#options.lingerMs;
    if (queue.waiting.length === 0 && !isDue) return dueMs;
    if (queue.retryAtMs > nowMs) return Math.min(queue.retryAtMs, dueMs);
    const leader = this.#cluster.metadata.leader(queue.topic, queue.partition);
    if (leader === undefined) {
      this.#findLeaders();
      return dueMs;
    }
    if (queue.inFlight.length > 0 && queue.inFlightNode !== leader.id) return dueMs;
    this.#destination(leader);
    const queues = ready.get(leader.id);
    if (queues === undefined) ready.set(leader.id, [queue]);
    else queues.push(queue);
    return dueMs;
  }

  /** Whether the open batch has waited for company long enough. */
  #isDue(queue: PartitionQueue, nowMs: number): boolean {
    if (queue.open === undefined) return false;
    if (this.#hurried > 0 || !this.#accumulator.hasRoom) return true;
    return queue.open.createdAtMs + this.#options.lingerMs <= nowMs;
  }

  #destination(node: NodeInfo): Destination {
    const known = this.#destinations.get(node.id);
    if (known !== undefined) {
      known.node = node;
      return known;
    }
    const fresh = {
      node,
      inFlight: 0,
      isConnecting: false,
      connectingSinceMs: 0,
      failures: 0,
      restUntilMs: 0,
    };
    this.#destinations.set(node.id, fresh);
    return fresh;
  }

  /** Sends as many requests to a broker as may be in flight; returns when to look again. */
  #serve(nodeId: number, queues: readonly PartitionQueue[], nowMs: number): number {
    const destination = this.#destinations.get(nodeId)!;
    if (destination.restUntilMs > nowMs) return destination.restUntilMs;
    const connection = this.#cluster.link(destination.node, 'data').current;
    if (connection === undefined || destination.isConnecting) {
      void this.#connect(destination);
      const lateMs = destination.connectingSinceMs + this.#patience.limitMs(nodeId);
      return nowMs < lateMs ? lateMs : this.#patience.look(nowMs);
    }
    let lateMs = Infinity;
    while (destination.inFlight < this.#options.inFlightMax) {
      const sent = this.#take(queues, nodeId, nowMs);
      if (sent.length === 0) break;
      lateMs = nowMs + this.#patience.limitMs(nodeId);
      void this.#send(destination, connection, sent);
    }
    return lateMs;
  }

  /** One batch of each queue that may send, until the request is full. */
  #take(queues: readonly PartitionQueue[], nodeId: number, nowMs: number): SentBatch[] {
    const sent: SentBatch[] = [];
    let bytes = 0;
    for (const queue of queues) {
      if (queue.waiting.length === 0 && this.#isDue(queue, nowMs)) this.#accumulator.closeOpen(queue);
      if (!this.#maySend(queue)) continue;
      const batchBytes = queue.waiting[0]!.sizeBytes;
      if (sent.length > 0 && bytes + batchBytes > this.#options.requestBytes) continue;
      bytes += batchBytes;
      const batch = queue.take(this.#options.isIdempotent);
      batch.sentAtMs = nowMs;
      sent.push({ queue, batch, attempt: batch.attempts });
      queue.inFlightNode = nodeId;
      queue.inFlightEpoch = this.#cluster.metadata.partition(queue.topic, queue.partition)?.leaderEpoch ?? -1;
      // Served last is looked at last next time.
      this.#active.delete(queue);
      this.#active.add(queue);
    }
    return sent;
  }

  #maySend(queue: PartitionQueue): boolean {
    const renewal = this.#options.isIdempotent ? queue.renewal : 'none';
    if (renewal === 'blocked') return false;
    if (renewal === 'due') {
      const identity = this.#identities.current(queue.identity);
      if (identity === undefined) {
        this.#findIdentity();
        return false;
      }
      queue.renew(identity);
    }
    return queue.maySend;
  }

  async #connect(destination: Destination): Promise<void> {
    if (destination.isConnecting) return;
    destination.isConnecting = true;
    destination.connectingSinceMs = this.#nowMs();
    try {
      await this.#cluster.connection(destination.node, 'data');
      destination.failures = 0;
    } catch {
      // The link has logged it. The batches stay queued, and report it when their time is up; a new leader may be known by then.
      destination.failures++;
      destination.restUntilMs = this.#nowMs() + this.#cluster.pauseMs(destination.failures);
      this.#cluster.refreshSoon();
    } finally {
      destination.isConnecting = false;
    }
    this.schedule();
  }

  async #send(destination: Destination, connection: Connection, sent: readonly SentBatch[]): Promise<void> {
    destination.inFlight++;
    const sentAtMs = this.#nowMs();
    try {
      await this.#exchange(connection, sent);
      this.#patience.answered(destination.node.id, this.#nowMs() - sentAtMs);
    } catch (error) {
      const failure = toKafkaError(error, `send to ${connection.peer}`);
      for (const { queue, batch } of sent.filter(isCurrent)) this.#onLost(queue, batch, failure);
      this.#cluster.refreshSoon();
    } finally {
      destination.inFlight--;
    }
    this.schedule();
  }

  async #exchange(connection: Connection, sent: readonly SentBatch[]): Promise<void> {
    const { acks, requestTimeoutMs } = this.#options;
    const { version, body } = produceRequest(connection.versions, this.#cluster.metadata, sent, {
      acks,
      timeoutMs: requestTimeoutMs,
    });
    if (acks === 0) {
      await connection.sendUnanswered('Produce', version, body);
      for (const { queue, batch } of sent.filter(isCurrent)) this.#store(queue, batch, -1, -1);
      return;
    }
    const response = await connection.send('Produce', version, body, { timeoutMs: requestTimeoutMs });
    const endpoints = response.nodeEndpoints.map(({ nodeId, host, port, rack }) => ({
      id: nodeId,
      host,
      port,
      rack,
    }));
    for (const item of readAnswers(response, body, sent)) {
      const { queue, batch, answer } = item;
      if (!isCurrent(item)) continue;
      if (answer === undefined)
        throw new KafkaError(
          'BAD_RESPONSE',
          `${connection.peer} left out ${queue.topic}-${queue.partition}.`,
        );
      this.#cluster.applyHint(queue.topic, queue.partition, answer.currentLeader, endpoints);
      this.#onAnswer(queue, batch, answer);
    }
  }

  #onAnswer(queue: PartitionQueue, batch: ProducerBatch, answer: PartitionAnswer): void {
    const isOldest = queue.isOldest(batch);
    const verdict = judge(answer, batch, { isOldest, isIdempotent: this.#options.isIdempotent });
    switch (verdict.kind) {
      case 'stored':
        return this.#store(queue, batch, answer.baseOffset, answer.logAppendTimeMs);
      case 'split':
        return this.#split(queue, batch);
      case 'failed':
        queue.land(batch);
        if (batch.hasSequence) queue.requireRenewal();
        return this.#fail(batch, verdict.error);
      case 'retry':
        queue.land(batch);
        batch.isRejected = verdict.isRejected;
        if (verdict.needsRenewal) queue.requireRenewal();
        if (verdict.needsMetadata) this.#cluster.refreshSoon();
        return this.#retryLater(queue, batch, verdict.error, verdict.isImmediate);
    }
  }

  /** Nobody knows whether the broker has the batch. */
  #onLost(queue: PartitionQueue, batch: ProducerBatch, error: KafkaError): void {
    queue.land(batch);
    if (error.retriable && !this.#isStopped) return this.#retryLater(queue, batch, error, false);
    if (batch.hasSequence) queue.requireRenewal();
    this.#fail(batch, error);
  }

  #store(queue: PartitionQueue, batch: ProducerBatch, baseOffset: number, logAppendTimeMs: number): void {
    queue.land(batch);
    queue.onAcknowledged();
    this.#leaderFailures = 0;
    this.#accumulator.settle(batch, { kind: 'stored', baseOffset, logAppendTimeMs });
  }

  #retryLater(queue: PartitionQueue, batch: ProducerBatch, error: KafkaError, isImmediate: boolean): void {
    queue.requeue(batch);
    queue.lastError = error;
    const { topic, partition } = queue;
    this.#logger.warn({ err: error, topic, partition, attempts: batch.attempts }, 'a batch is sent again');
    this.#active.add(queue);
    if (isImmediate) return;
    // Batches that fail together count as one failure.
    if (queue.retryAtMs <= this.#nowMs()) queue.failures++;
    queue.retryAtMs = this.#nowMs() + this.#cluster.pauseMs(queue.failures);
  }

  #fail(batch: ProducerBatch, error: KafkaError): void {
    this.#accumulator.settle(batch, { kind: 'failed', error });
  }

  #split(queue: PartitionQueue, batch: ProducerBatch): void {
    queue.land(batch);
    const { parts, deliveries } = splitBatch(batch, (order) =>
      this.#accumulator.batchFor(queue, order, batch.createdAtMs),
    );
    for (const part of parts) this.#accumulator.countBytes(part.bufferedBytes);
    queue.replace(batch, parts);
    this.#active.add(queue);
    this.#accumulator.settle(batch, { kind: 'moved', to: deliveries });
  }

  /** Gives up batches whose time is over, whether they wait or their answer does: what a broker may answer later no longer counts. */
  #expire(queue: PartitionQueue, nowMs: number): void {
    if (this.#expiryMs(queue) > nowMs) return;
    this.#accumulator.closeOpen(queue);
    const { deliveryTimeoutMs } = this.#options;
    const isOver = ({ createdAtMs }: ProducerBatch): boolean => createdAtMs + deliveryTimeoutMs <= nowMs;
    for (const batch of queue.inFlight.filter(isOver)) {
      queue.land(batch);
      this.#giveUp(queue, batch);
    }
    while (queue.waiting.length > 0 && isOver(queue.waiting[0]!)) this.#giveUp(queue, queue.waiting.shift()!);
  }

  #giveUp(queue: PartitionQueue, batch: ProducerBatch): void {
    if (batch.hasSequence) queue.requireRenewal();
    this.#fail(batch, deliveryTimedOut(queue, batch, this.#options.deliveryTimeoutMs));
  }

  #expiryMs(queue: PartitionQueue): number {
    let oldestMs = Infinity;
    for (const batch of [queue.inFlight[0], queue.waiting[0] ?? queue.open])
      if (batch !== undefined && batch.createdAtMs < oldestMs) oldestMs = batch.createdAtMs;
    return oldestMs + this.#options.deliveryTimeoutMs;
  }

  #findLeaders(): void {
    if (this.#isFindingLeaders) return;
    this.#isFindingLeaders = true;
    void this.#refreshForLeaders();
  }

  async #refreshForLeaders(): Promise<void> {
    this.#leaderFailures++;
    try {
      await this.#cluster.refresh();
      this.schedule();
    } catch (error) {
      // Tried again below; the batches report it when their time is up.
      this.#logger.debug({ err: error }, 'could not find leaders');
    }
    await this.#pauseAfter(this.#leaderFailures);
    this.#isFindingLeaders = false;
    this.schedule();
  }

  #findIdentity(): void {
    if (this.#isFindingIdentity) return;
    this.#isFindingIdentity = true;
    void this.#askIdentity();
  }

  async #askIdentity(): Promise<void> {
    try {
      await this.#identities.ask();
      this.#identityFailures = 0;
    } catch (error) {
      this.#identityFailures++;
      const failure = toKafkaError(error, 'get a producer id');
      this.#logger.warn({ err: failure, failures: this.#identityFailures }, 'could not get a producer id');
      if (!failure.retriable) this.#failAll(failure);
      await this.#pauseAfter(this.#identityFailures);
    }
    this.#isFindingIdentity = false;
    this.schedule();
  }

  /** Without an identity nothing can be sent: what waits for one fails. */
  #failAll(error: KafkaError): void {
    for (const queue of this.#active) {
      this.#accumulator.closeOpen(queue);
      for (const batch of queue.waiting.splice(0)) this.#fail(batch, error);
    }
  }

  async #pauseAfter(failures: number): Promise<void> {
    // Closing ends the pause early, and then there is nothing left to do.
    await this.#cluster.pause(this.#cluster.pauseMs(failures)).catch(() => undefined);
  }

  #wakeAt(atMs: number, nowMs: number): void {
    if (atMs === this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAtMs = atMs;
    if (atMs === Infinity) return;
    this.#timer = this.#cluster.components.clock.after(Math.max(0, atMs - nowMs), () => {
      this.#timerAtMs = Infinity;
      this.#pump();
    });
  }

  get #logger(): Logger {
    return this.#cluster.components.logger;
  }

  #nowMs(): number {
    return this.#cluster.components.clock.monotonicMs();
  }
}

/** Whether this sending of the batch is the last one, and undecided. */
function isCurrent({ queue, batch, attempt }: SentBatch): boolean {
  return batch.attempts === attempt && queue.inFlight.includes(batch);
}
