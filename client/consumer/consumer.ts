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
import { Membership } from '../group/membership.ts';
import type { Message, MessageBatch, TopicPartition } from '../messages.ts';
import type { CallOptions, ConsumerOptions, OffsetSpec } from '../options.ts';
import { abortable, Bell, sleep } from '../waiting.ts';
import { Commits } from './commits.ts';
import { resolveConsumerOptions, type ResolvedConsumerOptions } from './consumer-options.ts';
import { Fetcher } from './fetcher.ts';
import { BatchIterator, MessageIterator, type Handout } from './iterators.ts';
import { PartitionState } from './partition-state.ts';
import { resolveTargets } from './start-offsets.ts';

/** Handing out what is buffered must not keep sockets and timers waiting for longer than this. */
const turnMs = 10;
/** What closing may take for committing and leaving the group, each. */
const farewellMs = 5_000;
/** Members wait for the application to finish with what it holds for this share of the rebalance timeout. */
const revokeShare = 0.8;

export interface Position extends TopicPartition {
  /** The next offset that is not finished; -1 while it is being looked up. */
  readonly offset: number;
}

export interface Lag extends TopicPartition {
  /** Offsets between the position and the partition's end; -1 while either is unknown. */
  readonly lag: number;
}

export class Consumer implements AsyncIterable<Message> {
  readonly #components: Components;
  readonly #options: ResolvedConsumerOptions;
  readonly #cluster: Cluster;
  readonly #fetcher: Fetcher;
  readonly #membership: Membership | undefined;
  readonly #commits: Commits | undefined;
  readonly #onClosed: () => void;
  /** Partitions that are read, in the order in which they are served; rotated. */
  #states: PartitionState[] = [];
  /** Rings when an iteration that waits should look again. */
  readonly #changed = new Bell();
  /** Rings when the application asks for more, and so holds nothing. */
  readonly #emptyHanded = new Bell();
  #isInHand = false;
  #isIterating = false;
  #hasStarted = false;
  #isResolving = false;
  #error: KafkaError | undefined;
  #closing: Promise<void> | undefined;
  #turnStartMs = 0;

  /** Made by `Kappalog.consumer`. Throws INVALID_ARGUMENT. */
  constructor(components: Components, options: ConsumerOptions, onClosed: () => void) {
    this.#components = components;
    this.#onClosed = onClosed;
    const resolved = resolveConsumerOptions(options, components.settings.requestTimeoutMs);
    this.#options = resolved;
    this.#cluster = new Cluster(components, {
      owner: 'consumer',
      autoCreateTopics: false,
      missingTopicMs: 5_000,
    });
    this.#fetcher = new Fetcher(this.#cluster, resolved, {
      onRecords: () => this.#changed.ring(),
      onTarget: () => this.#resolve(),
      onFatal: (error) => this.#fail(error),
    });
    this.#membership = resolved.group === undefined ? undefined : this.#join(resolved.group);
    this.#commits = this.#makeCommits();
    const start = resolved.groupId === undefined && resolved.from !== 'none' ? resolved.from : 'committed';
    this.#states = resolved.assign.map(
      (item) => new PartitionState(item, item.offset ?? start, item.endOffset),
    );
  }

  /** Messages one by one, of all partitions in turn. One iteration at a time; a later one goes on where this one ended. */
  messages(options: CallOptions = {}): AsyncIterableIterator<Message, undefined> {
    return new MessageIterator(this.#beginIteration(options));
  }

  /** Messages in batches, each of one partition. Asking for the next batch finishes the whole one before. */
  batches(options: CallOptions = {}): AsyncIterableIterator<MessageBatch, undefined> {
    return new BatchIterator(this.#beginIteration(options));
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message, undefined> {
    return this.messages();
  }

  /** Starts without iterating; resolves when there is an assignment and all its positions are known. */
  async ready(options: CallOptions = {}): Promise<void> {
    this.#start();
    for (;;) {
      this.#throwIfOver();
      const isSettled = this.#states.every((state) => state.target === undefined);
      if (isSettled && (this.#membership === undefined || this.#states.length > 0)) return;
      await abortable(this.#changed.next(), options.signal, 'wait for the assignment');
    }
  }

  /** The partitions that are read now. */
  assignment(): TopicPartition[] {
    return this.#states.map(({ topic, partition }) => ({ topic, partition }));
  }

  positions(): Position[] {
    return this.#states.map(({ topic, partition, position, target }) => ({
      topic,
      partition,
      offset: target === undefined ? position : -1,
    }));
  }

  /** As of the last answer from each partition's leader, or the replica that is read in its place. */
  lag(): Lag[] {
    return this.#states.map(({ topic, partition, position, target, highWatermark }) => ({
      topic,
      partition,
      lag: target !== undefined || highWatermark < 0 ? -1 : Math.max(0, highWatermark - position),
    }));
  }

  /** Goes on reading from elsewhere, with the next message. Throws where the partition is not assigned. */
  seek(to: TopicPartition & { readonly offset: OffsetSpec }): void {
    const state = this.#state(to);
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
    for (const item of partitions) this.#state(item).isPaused = true;
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const item of partitions) this.#state(item).isPaused = false;
    this.#fetcher.schedule();
    this.#changed.ring();
  }

  /**
   * Commits a message (or several): it, and all before it in its partition, are done. Without one: all that the loop
   * has finished with. Rejects with REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION or UNKNOWN_MEMBER_ID where the group has
   * moved on: another member will read the messages again.
   */
  async commit(message?: Message | readonly Message[], options: CallOptions = {}): Promise<void> {
    if (this.#commits === undefined) throw invalidArgument('Committing needs a `groupId`.');
    this.#throwIfOver();
    if (message === undefined) return this.#commits.commitPositions(options);
    const messages: readonly Message[] = Array.isArray(message) ? message : [message];
    return this.#commits.commitMessages(messages, options);
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
    for (const state of this.#states) state.drop();
    this.#changed.ring();
    this.#emptyHanded.ring();
    this.#fetcher.stop();
    await this.#membership?.stop();
    const limit = new AbortController();
    const timer = this.#components.clock.after(farewellMs, () => limit.abort());
    // What could not be committed is read again by the next member, and a member that cannot say farewell times out.
    await this.#commits?.stop(limit.signal).catch(() => undefined);
    await abortable(this.#membership?.leave(farewellMs) ?? Promise.resolve(), limit.signal, 'leave').catch(
      () => undefined,
    );
    timer.cancel();
    this.#cluster.close();
    this.#onClosed();
  }

  #makeCommits(): Commits | undefined {
    const { groupId, groupInstanceId, autoCommitIntervalMs } = this.#options;
    if (groupId === undefined) return undefined;
    const standalone = { groupId, groupInstanceId, generation: -1, memberId: '' };
    return new Commits(this.#cluster, {
      autoCommitIntervalMs,
      committer: () => this.#membership?.committer ?? standalone,
      states: () => this.#states,
    });
  }

  #join(group: NonNullable<ResolvedConsumerOptions['group']>): Membership {
    return new Membership(this.#cluster, group, {
      onRevoke: (partitions) => this.#revoke(partitions),
      onLost: (partitions) => this.#drop(partitions),
      onAssign: (partitions) => this.#add(partitions),
      onFatal: (error) => this.#fail(error),
    });
  }

  #start(): void {
    this.#throwIfOver();
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    this.#commits?.start();
    this.#cluster.track(this.#states.map((state) => state.topic));
    this.#membership?.start();
    this.#resolve();
  }

  /** Looks targets up until there are none, with pauses after failures; then fetching begins. */
  #resolve(): void {
    if (!this.#hasStarted) return;
    this.#fetcher.assign(this.#states);
    if (this.#isResolving || this.#states.every((state) => state.target === undefined)) return;
    this.#isResolving = true;
    void this.#resolveAll();
  }

  async #resolveAll(): Promise<void> {
    try {
      while (this.#closing === undefined && this.#states.some((state) => state.target !== undefined)) {
        await resolveTargets(this.#cluster, this.#states, this.#options);
      }
    } catch (error) {
      if (this.#closing === undefined) this.#fail(toKafkaError(error, 'look up where to start'));
    }
    this.#isResolving = false;
    this.#changed.ring();
    this.#fetcher.schedule();
  }

  /** Takes partitions away at once, and commits them when the application holds nothing any more, or time is short. */
  async #revoke(partitions: readonly TopicPartition[]): Promise<void> {
    const states = this.#find(partitions);
    this.#drop(partitions);
    const limitMs = this.#options.rebalanceTimeoutMs * revokeShare;
    if (this.#isInHand) await this.#emptyHanded.nextWithin(this.#components.clock, limitMs);
    // The group goes on without this commit; what it would have held is read again.
    if (this.#options.isAutoCommit)
      await this.#commits?.commitStates(states, { timeoutMs: farewellMs }).catch(() => undefined);
  }

  #drop(partitions: readonly TopicPartition[]): void {
    const gone = new Set(this.#find(partitions));
    for (const state of gone) state.drop();
    this.#states = this.#states.filter((state) => !gone.has(state));
    this.#fetcher.assign(this.#states);
  }

  #add(partitions: readonly TopicPartition[]): void {
    this.#states.push(...partitions.map((item) => new PartitionState(item, 'committed')));
    this.#cluster.track(partitions.map((item) => item.topic));
    this.#changed.ring();
    this.#resolve();
  }

  #find(partitions: readonly TopicPartition[]): PartitionState[] {
    const has = (state: PartitionState): boolean =>
      partitions.some(({ topic, partition }) => topic === state.topic && partition === state.partition);
    return this.#states.filter(has);
  }

  #state(at: TopicPartition): PartitionState {
    const state = this.#find([at])[0];
    if (state === undefined)
      throw invalidArgument(`${at.topic}-${at.partition} is not assigned to this consumer.`);
    return state;
  }

  #fail(error: KafkaError): void {
    this.#error ??= error;
    this.#changed.ring();
  }

  #throwIfOver(): void {
    if (this.#closing !== undefined) throw closedError('consumer');
    if (this.#error !== undefined) throw this.#error;
  }

  #beginIteration(options: CallOptions): ConstructorParameters<typeof MessageIterator>[0] {
    this.#start();
    if (this.#isIterating)
      throw invalidArgument('One iteration at a time: end the other one, or make another consumer.');
    this.#isIterating = true;
    return {
      next: () => this.#nextHandout(options.signal),
      end: () => {
        this.#isIterating = false;
        this.#setInHand(false);
      },
    };
  }

  #setInHand(isInHand: boolean): void {
    this.#isInHand = isInHand;
    if (!isInHand) this.#emptyHanded.ring();
  }

  /** The next messages; undefined where the iteration is over. */
  async #nextHandout(signal: AbortSignal | undefined): Promise<Handout | undefined> {
    this.#setInHand(false);
    await this.#maybeYield();
    for (;;) {
      if (this.#closing !== undefined) return undefined;
      if (this.#error !== undefined) throw this.#error;
      const handout = this.#takeHandout();
      if (handout !== undefined) {
        this.#setInHand(true);
        return handout;
      }
      if (this.#isAtEnd) return undefined;
      this.#fetcher.schedule();
      await abortable(this.#changed.next(), signal, 'read on');
    }
  }

  get #isAtEnd(): boolean {
    return this.#membership === undefined && this.#states.every((state) => state.isAtEnd);
  }

  /** From the first partition that has something, which then goes to the end of the line. */
  #takeHandout(): Handout | undefined {
    for (const state of this.#states) {
      if (state.isPaused || state.target !== undefined) continue;
      const handout = takeFrom(state);
      if (handout === undefined) continue;
      this.#states.push(...this.#states.splice(this.#states.indexOf(state), 1));
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

/** The partition's next messages. What holds none (control records, aborted ones, gaps) is passed over, and finished with it. */
function takeFrom(state: PartitionState): Handout | undefined {
  while (state.head !== undefined) {
    const { head } = state;
    const { messages, nextOffset } = head.decode(state.readOffset, state.endOffset);
    if (head.isUsedUp || nextOffset >= state.endOffset) state.shift();
    state.readOffset = nextOffset;
    if (messages.length > 0) {
      return {
        state,
        messages,
        nextOffset,
        highWatermark: head.highWatermark,
        fetchEpoch: state.fetchEpoch,
        seekEpoch: state.seekEpoch,
      };
    }
    state.finish(nextOffset, -1);
  }
  return undefined;
}
