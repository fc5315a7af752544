/**
 * The consumer that applications use: an iteration over messages, or over batches of them. What the loop has finished
 * with may be committed, what it holds in its hands may not: asking for the next one is what finishes one. Leaving the
 * loop, by `break` or by an error, finishes nothing.
 *
 * Owns a Cluster, a Fetcher, and where topics are subscribed to, a Membership; all of them end with `close`.
 */
import type { Components } from '../components.ts';
import { Cluster } from '../cluster/cluster.ts';
import { closedError, invalidArgument, type KafkaError, toKafkaError } from '../errors.ts';
import { anyReader, type OffsetReader } from '../group/committed-offsets.ts';
import { joinGroup } from '../group/join-group.ts';
import type { Membership } from '../group/membership.ts';
import type { Message, MessageBatch, TopicPartition } from '../messages.ts';
import type {
  Assignment,
  CallOptions,
  ConsumerOptions,
  DrainOptions,
  EachBatchOptions,
  EachOptions,
  OffsetSpec,
  StartPlace,
} from '../options.ts';
import { abortable, Bell, sleep, timeLimit } from '../waiting.ts';
import { Commits } from './commits.ts';
import { resolveConsumerOptions, type ResolvedConsumerOptions } from './consumer-options.ts';
import { Fetcher } from './fetcher.ts';
import { receiveChannel } from '../telemetry/channels.ts';
import { Hand } from './hand.ts';
import { takeHandout, type Handout } from './handout.ts';
import { BatchIterator, MessageIterator } from './iterators.ts';
import { handleBatches, handleMessages } from './parallel-handling.ts';
import type { BatchHandler, MessageHandler, ParallelSource } from './parallel-handling.ts';
import { Liveness } from './liveness.ts';
import { PartitionSet } from './partition-set.ts';
import { PartitionState } from './partition-state.ts';
import { callbackError, Rebalancing } from './rebalancing.ts';
import type { GroupMetadata, Lag, Position } from './standing.ts';
import { resolveTargets } from './start-offsets.ts';
import { tracedBatches, tracedMessages, tracedReceive, type ConsumerName } from './tracing.ts';

/** Handing out what is buffered must not keep sockets and timers waiting for longer than this. */
const turnMs = 10;
/** What closing may take for a callback that runs, for committing, for the last callback and for leaving the group, each. */
const farewellMs = 5_000;
const drainMs = 30_000;

export class Consumer implements AsyncIterable<Message> {
  readonly #components: Components;
  readonly #options: ResolvedConsumerOptions;
  readonly #cluster: Cluster;
  readonly #fetcher: Fetcher;
  readonly #partitions: PartitionSet;
  readonly #commits: Commits | undefined;
  readonly #membership: Membership | undefined;
  readonly #rebalancing: Rebalancing | undefined;
  readonly #name: ConsumerName;
  readonly #liveness: Liveness;
  readonly #onClosed: () => void;
  /** Rings when an iteration that waits should look again. */
  readonly #changed = new Bell();
  readonly #hand = new Hand();
  /** The partition of what was handed to the loop that runs. */
  #handed: PartitionState | undefined;
  #isIterating = false;
  #isDraining = false;
  #hasStarted = false;
  #isResolving = false;
  #error: KafkaError | undefined;
  #closing: Promise<void> | undefined;
  /** While it closes, the application may commit in its last callback. */
  #isSayingFarewell = false;
  #turnStartMs = 0;

  /** Made by `Kappalog.consumer`. Throws INVALID_ARGUMENT. */
  constructor(components: Components, options: ConsumerOptions, onClosed: () => void) {
    this.#name = { clientId: components.settings.clientId, groupId: options.groupId };
    const logger = components.logger.child({ product: 'consumer', groupId: options.groupId });
    this.#components = { ...components, logger };
    this.#onClosed = onClosed;
    const resolved = resolveConsumerOptions(options, components.settings);
    this.#options = resolved;
    this.#cluster = new Cluster(this.#components, {
      owner: 'consumer',
      autoCreateTopics: false,
      missingTopicMs: 5_000,
    });
    this.#fetcher = new Fetcher(this.#cluster, resolved, {
      onRecords: () => this.#changed.ring(),
      onTarget: () => this.#resolve(),
      onFatal: (error) => this.#fail(error),
    });
    const startOf = ({ topic, offset }: Assignment) =>
      offset ?? (resolved.groupId === undefined ? ownStart(resolved.from(topic)) : 'committed');
    this.#partitions = new PartitionSet(
      resolved.assign.map((item) => new PartitionState(item, startOf(item), item.endOffset)),
    );
    this.#commits = this.#makeCommits();
    this.#liveness = this.#makeLiveness();
    this.#rebalancing = this.#makeRebalancing();
    this.#membership = this.#makeMembership();
  }

  /** Messages one by one, of all partitions in turn. One iteration at a time; a later one goes on where this one ended. */
  messages(options: CallOptions = {}): AsyncIterableIterator<Message, undefined> {
    return new MessageIterator(this.#beginIteration(options));
  }

  /** Messages in batches, each of one partition. Asking for the next batch finishes the whole one before. */
  batches(options: CallOptions = {}): AsyncIterableIterator<MessageBatch, undefined> {
    return new BatchIterator(this.#beginIteration(options));
  }

  /**
   * Hands messages to `handler`, several at a time, instead of an iteration. A message is finished with when what the handler returned for it and for all
   * before it in its partition has resolved. Resolves when there is no more to come, or the consumer closes; where a handler
   * fails it starts no more, waits for those that run, and rejects with what was thrown: that message is not finished, and is handed out again.
   * Rejects with ABORTED when the signal fires, which the handlers' signals do too.
   */
  each(handler: MessageHandler, options: EachOptions = {}): Promise<void> {
    return this.#handle(() =>
      handleMessages(this.#parallelSource(), tracedMessages(this.#name, handler), options),
    );
  }

  /** As `each`, with batches of one partition, of several partitions at a time. */
  eachBatch(handler: BatchHandler, options: EachBatchOptions = {}): Promise<void> {
    return this.#handle(() =>
      handleBatches(this.#parallelSource(), tracedBatches(this.#name, handler), options),
    );
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message, undefined> {
    return this.messages();
  }

  /** Starts without iterating; resolves when there is an assignment and all its positions are known. */
  async ready(options: CallOptions = {}): Promise<void> {
    this.#start();
    for (;;) {
      this.#throwIfOver();
      const states = this.#partitions.read;
      const isSettled = states.every((state) => state.target === undefined && !state.isWithheld);
      if (isSettled && (this.#membership === undefined || states.length > 0)) return;
      await abortable(this.#changed.next(), options.signal, 'wait for the assignment');
    }
  }

  /** The partitions that are read now. */
  assignment(): TopicPartition[] {
    return this.#partitions.read.map(({ topic, partition }) => ({ topic, partition }));
  }

  positions(): Position[] {
    return this.#partitions.read.map(({ topic, partition, position, target }) => ({
      topic,
      partition,
      offset: target === undefined ? position : -1,
    }));
  }

  /** What the group knows this member by; undefined where there is no group, and with an empty id before it has joined. */
  groupMetadata(): GroupMetadata | undefined {
    const committer = this.#membership?.committer;
    return committer && { ...committer };
  }

  /** As of the last answer from each partition's leader, or the replica that is read in its place. */
  lag(): Lag[] {
    return this.#partitions.read.map(({ topic, partition, position, target, highWatermark }) => ({
      topic,
      partition,
      lag: target !== undefined || highWatermark < 0 ? -1 : Math.max(0, highWatermark - position),
    }));
  }

  /** Goes on reading from elsewhere, with the next message. Throws where the partition is not assigned. */
  seek(to: TopicPartition & { readonly offset: OffsetSpec }): void {
    const state = this.#partitions.at(to);
    if (typeof to.offset === 'number' && (!Number.isSafeInteger(to.offset) || to.offset < 0)) {
      throw invalidArgument(`An offset must be a whole number from 0, not ${to.offset}.`);
    }
    state.seek(to.offset);
    this.#resolve();
    this.#fetcher.schedule();
    this.#changed.ring();
  }

  /** Hands out nothing more of these partitions, and fetches nothing, until `resume`. */
  pause(partitions: readonly TopicPartition[]): void {
    for (const item of partitions) this.#partitions.at(item).isPaused = true;
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const item of partitions) this.#partitions.at(item).isPaused = false;
    this.#fetcher.schedule();
    this.#changed.ring();
  }

  /**
   * Commits a message (or several): it, and all before it in its partition, are done. Without one: all that the loop
   * has finished with. Rejects with ILLEGAL_GENERATION or UNKNOWN_MEMBER_ID where the group has given their partitions to
   * another member, which will read the messages again.
   */
  async commit(message?: Message | readonly Message[], options: CallOptions = {}): Promise<void> {
    if (this.#commits === undefined) throw invalidArgument('Committing needs a `groupId`.');
    if (!this.#isSayingFarewell) this.#throwIfOver();
    if (message === undefined) return this.#commits.commitPositions(options);
    const messages: readonly Message[] = Array.isArray(message) ? message : [message];
    return this.#commits.commitMessages(messages, options);
  }

  /**
   * Hands out nothing more, waits until the application has finished with what it holds, and closes. Where that takes longer than allowed, or the
   * signal fires, it closes all the same, and what was not finished is read again by whoever reads next. Always settles.
   */
  async drain({ timeoutMs = drainMs, signal }: DrainOptions = {}): Promise<void> {
    this.#isDraining = true;
    this.#fetcher.stop();
    for (const state of this.#partitions.read) state.drop();
    this.#changed.ring();
    const { clock } = this.#components;
    await abortable(this.#hand.whenEmpty(clock, timeoutMs), signal, 'drain').catch(() => undefined);
    await this.close();
  }

  /** Ends the iteration, commits what it has finished with (with `autoCommit`), leaves the group. Always settles, within some seconds. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    for (const state of this.#partitions.read) state.drop();
    this.#changed.ring();
    this.#rebalancing?.close(farewellMs);
    this.#fetcher.stop();
    this.#liveness.stop();
    await this.#membership?.stop();
    const { clock, logger } = this.#components;
    const limit = timeLimit(clock, farewellMs);
    // What could not be committed is read again by the next member, and a member that cannot say farewell times out.
    await this.#commits
      ?.stop(limit.signal)
      .catch((error: unknown) => logger.warn({ err: error }, 'could not commit before closing'));
    this.#isSayingFarewell = true;
    await this.#rebalancing?.tellRevoked(this.#partitions.read, farewellMs);
    this.#isSayingFarewell = false;
    const left = this.#membership?.leave(farewellMs) ?? Promise.resolve();
    await abortable(left, limit.signal, 'leave').catch((error: unknown) =>
      logger.warn({ err: error }, 'could not leave the group'),
    );
    limit.cancel();
    this.#rebalancing?.end();
    // Whatever came of it, they are for others now.
    if (this.#membership !== undefined) this.#partitions.lose(this.#partitions.read);
    this.#changed.ring();
    this.#cluster.close();
    this.#onClosed();
  }

  #makeCommits(): Commits | undefined {
    const { groupId, groupInstanceId, autoCommitIntervalMs, group } = this.#options;
    if (groupId === undefined) return undefined;
    const standalone = { groupId, groupInstanceId, generation: -1, memberId: '' };
    return new Commits(this.#cluster, {
      autoCommitIntervalMs,
      partitions: this.#partitions,
      isMember: group !== undefined,
      committer: () => this.#membership?.committer ?? standalone,
    });
  }

  #makeRebalancing(): Rebalancing | undefined {
    if (this.#options.group === undefined || this.#commits === undefined) return undefined;
    return new Rebalancing({
      clock: this.#components.clock,
      logger: this.#components.logger,
      name: this.#name,
      partitions: this.#partitions,
      hand: this.#hand,
      commits: this.#commits,
      listener: this.#options.listener,
      isAutoCommit: this.#options.isAutoCommit,
      rebalanceTimeoutMs: this.#options.rebalanceTimeoutMs,
      onChanged: () => this.#onPartitions(),
      onFailed: (error) => this.#fail(error),
    });
  }

  #makeMembership(): Membership | undefined {
    const { group } = this.#options;
    const rebalancing = this.#rebalancing;
    if (group === undefined || rebalancing === undefined) return undefined;
    return joinGroup(this.#cluster, group, {
      onRevoke: (partitions) => rebalancing.onRevoke(partitions),
      onLost: (partitions) => rebalancing.onLost(partitions),
      onAssign: (partitions) => rebalancing.onAssign(partitions),
      onHeartbeat: (failure) => this.#liveness.heartbeat(failure),
      onFatal: (error) => this.#fail(error),
    });
  }

  #makeLiveness(): Liveness {
    const { clock, logger } = this.#components;
    return new Liveness(
      {
        clock,
        logger,
        name: this.#name,
        partitions: () => this.#partitions.read,
        hasLeader: ({ topic, partition }) => this.#cluster.metadata.leader(topic, partition) !== undefined,
        onFailed: (name, error) => this.#fail(callbackError(name, error)),
      },
      this.#options.liveness,
    );
  }

  #start(): void {
    this.#throwIfOver();
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    this.#commits?.start();
    this.#liveness.start();
    this.#cluster.track(this.#partitions.read.map((state) => state.topic));
    this.#membership?.start();
    this.#resolve();
  }

  /** Looks targets up until there are none, with pauses after failures; then fetching begins. */
  #resolve(): void {
    if (!this.#hasStarted) return;
    this.#fetcher.assign(this.#partitions.read);
    if (this.#isResolving || this.#partitions.read.every((state) => state.target === undefined)) return;
    this.#isResolving = true;
    void this.#resolveAll();
  }

  async #resolveAll(): Promise<void> {
    const reader = (): OffsetReader => this.#membership?.reader ?? anyReader;
    const options = { ...this.#options, reader };
    for (;;) {
      const waiting = this.#partitions.read.filter((state) => state.target !== undefined);
      if (this.#closing !== undefined || waiting.length === 0) break;
      try {
        await resolveTargets(this.#cluster, waiting, options);
      } catch (error) {
        const failure = toKafkaError(error, 'look up where to start');
        if (this.#mayStillGo(waiting, failure)) continue;
        if (this.#closing === undefined) this.#fail(failure);
        break;
      }
    }
    this.#isResolving = false;
    this.#changed.ring();
    this.#fetcher.schedule();
  }

  /** What a group has taken away meanwhile need not be found any more, and it takes away what has been deleted. */
  #mayStillGo(states: readonly PartitionState[], { code }: KafkaError): boolean {
    if (this.#membership === undefined) return false;
    return code === 'UNKNOWN_TOPIC_OR_PARTITION' || !states.some((state) => this.#partitions.isHeld(state));
  }

  /** What is read, or may be handed out, has changed. */
  #onPartitions(): void {
    this.#cluster.track(this.#partitions.read.map((state) => state.topic));
    this.#changed.ring();
    this.#fetcher.assign(this.#partitions.read);
    this.#resolve();
  }

  #fail(error: KafkaError): void {
    this.#error ??= error;
    this.#changed.ring();
  }

  #throwIfOver(): void {
    if (this.#closing !== undefined) throw closedError('consumer');
    if (this.#error !== undefined) throw this.#error;
  }

  async #handle(run: () => Promise<void>): Promise<void> {
    this.#claim();
    try {
      await run();
    } finally {
      this.#isIterating = false;
    }
  }

  /** Throws INVALID_ARGUMENT where messages are read already. */
  #claim(): void {
    this.#start();
    if (this.#isIterating)
      throw invalidArgument('One iteration at a time: end the other one, or make another consumer.');
    this.#isIterating = true;
  }

  #beginIteration(options: CallOptions): ConstructorParameters<typeof MessageIterator>[0] {
    this.#claim();
    return {
      next: () =>
        receiveChannel.hasSubscribers
          ? tracedReceive(this.#name, () => this.#nextHandout(options.signal))
          : this.#nextHandout(options.signal),
      end: () => {
        this.#isIterating = false;
        this.#emptyHand();
      },
    };
  }

  #emptyHand(): void {
    if (this.#handed !== undefined) this.#hand.empty(this.#handed);
    this.#handed = undefined;
  }

  /** The next messages; undefined where the iteration is over. */
  async #nextHandout(signal: AbortSignal | undefined): Promise<Handout | undefined> {
    this.#emptyHand();
    await this.#maybeYield();
    for (;;) {
      if (this.#isOver()) return undefined;
      const handout = this.#takeHandout();
      if (handout !== undefined) {
        this.#handed = handout.state;
        this.#hand.fill(handout.state);
        return handout;
      }
      if (this.#isAtEnd) return undefined;
      this.#fetcher.schedule();
      await abortable(this.#changed.next(), signal, 'read on');
    }
  }

  #parallelSource(): ParallelSource {
    return {
      hand: this.#hand,
      isOver: () => this.#isOver(),
      isAtEnd: () => this.#isAtEnd,
      isHeld: (state) => this.#partitions.isHeld(state),
      take: (mayTake) => this.#takeHandout(mayTake),
      changed: async (signal) => {
        this.#fetcher.schedule();
        const changed = abortable(this.#changed.next(), signal, 'read on');
        // What happens while others have their turn counts, too.
        changed.catch(() => undefined);
        await this.#maybeYield();
        return changed;
      },
      ring: () => this.#changed.ring(),
    };
  }

  /** Nothing more is handed out. Throws what the consumer has failed with. */
  #isOver(): boolean {
    if (this.#closing !== undefined || this.#isDraining) return true;
    if (this.#error !== undefined) throw this.#error;
    return false;
  }

  get #isAtEnd(): boolean {
    return this.#membership === undefined && this.#partitions.read.every((state) => state.isAtEnd);
  }

  /** From the first partition that has something, which then goes to the end of the line. */
  #takeHandout(mayTake: (state: PartitionState) => boolean = () => true): Handout | undefined {
    for (const state of this.#partitions.read) {
      if (state.isPaused || state.isWithheld || state.target !== undefined || !mayTake(state)) continue;
      const handout = takeHandout(state);
      if (handout === undefined) continue;
      this.#partitions.rotate(state);
      this.#fetcher.schedule();
      return handout;
    }
    return undefined;
  }

  async #maybeYield(): Promise<void> {
    const { clock } = this.#components;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#turnStartMs < turnMs) return;
    await sleep(clock, 0);
    this.#turnStartMs = clock.monotonicMs();
  }
}

/** Without a group there is no commit to start from, and who wants no other start is told so. */
function ownStart(from: StartPlace): 'earliest' | 'latest' | 'committed' {
  return from === 'none' ? 'committed' : from;
}
