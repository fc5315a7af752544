/**
 * A member of a classic consumer group. One loop goes round and round: join, sync, stay while heartbeats are answered,
 * join again when the group changes. Heartbeats go on by themselves, also while the application is busy.
 *
 * The mode is cooperative only where all offered assignors are: then members keep their partitions through a rebalance.
 */
import { ErrorCode, type JoinGroupResponse } from '../../protocol/index.ts';
import type { Cluster, RequestOptions } from '../cluster/cluster.ts';
import { atCoordinator, onceAtCoordinator } from '../cluster/at-coordinator.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { brokerError, type KafkaError, toKafkaError } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';
import { Bell } from '../waiting.ts';
import { partitionKey, type Assignor } from './assignor.ts';
import { anyReader, type Committer, type OffsetReader } from './committed-offsets.ts';
import { decodeAssignment, encodeSubscription } from './consumer-protocol.ts';
import { GroupLeader } from './group-leader.ts';
import type { Membership, MembershipEvents, MembershipOptions } from './membership.ts';
import { SubscribedTopics } from './subscribed-topics.ts';

export interface ClassicOptions extends MembershipOptions {
  /** Which topics, in place of `topics`. */
  readonly pattern: RegExp | undefined;
  readonly assignors: readonly Assignor[];
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
}

const nothing = { partitions: [], generation: -1 } as const;
/** Waiting for all members may take the whole rebalance timeout; the answer then takes a moment more. */
const joinGraceMs = 5_000;

/** For the broker's log. */
const leavingReason = 'the consumer is closed';

export class ClassicMembership implements Membership {
  readonly #cluster: Cluster;
  readonly #options: ClassicOptions;
  readonly #events: MembershipEvents;
  readonly #isCooperative: boolean;
  /** Aborted by `stop`. */
  readonly #stopping = new AbortController();
  /** Rings when the member stops. */
  readonly #stopped = new Bell();
  readonly #topics: SubscribedTopics;
  readonly #leader: GroupLeader;
  #running: Promise<void> | undefined;
  #memberId = '';
  #generation = -1;
  #owned: readonly TopicPartition[] = [];
  /** What it was last given, and in which generation: it is told to the next leader, also where it has been given up since. */
  #given: { readonly partitions: readonly TopicPartition[]; readonly generation: number } = nothing;
  #heardAtMs = 0;
  /** What it told the group when it last joined. */
  #joinedTopics: readonly string[] = [];

  constructor(cluster: Cluster, options: ClassicOptions, events: MembershipEvents) {
    this.#cluster = cluster;
    this.#options = options;
    this.#events = events;
    const { topics: names, pattern } = options;
    this.#topics = new SubscribedTopics(cluster, { names, pattern }, this.#stopping.signal);
    this.#leader = new GroupLeader(cluster, options.assignors);
    this.#isCooperative = options.assignors.every((assignor) => assignor.mode === 'cooperative');
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Under what name offsets are committed now. */
  get committer(): Committer {
    const { groupId, groupInstanceId } = this.#options;
    return { groupId, groupInstanceId, generation: this.#generation, memberId: this.#memberId };
  }

  get reader(): OffsetReader {
    return anyReader;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#stopped.ring();
    await this.#running;
  }

  /** Static members stay: whoever comes back as one within the session goes on with its part. */
  async leave(timeoutMs: number): Promise<void> {
    const { groupId, groupInstanceId } = this.#options;
    if (this.#memberId === '' || groupInstanceId !== null) return;
    const memberId = this.#memberId;
    const doing = `leave the group ${groupId}`;
    const body = (version: number): object =>
      version < 3 ? { groupId, memberId } : { groupId, members: [{ memberId, reason: leavingReason }] };
    await atCoordinator(this.#cluster, groupId, { doing, timeoutMs }, async (node) => {
      const response = await this.#cluster.request('LeaveGroup', body, { target: node, timeoutMs });
      // From version 3 on each member that leaves has an error of its own.
      const errorCode = response.members[0]?.errorCode ?? ErrorCode.NONE;
      if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, doing);
      // Who is out already has left.
      if (errorCode !== ErrorCode.NONE && errorCode !== ErrorCode.UNKNOWN_MEMBER_ID)
        throw brokerError(errorCode, doing);
    });
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#isStopping) {
      try {
        const isSettled = await this.#rebalance();
        failures = 0;
        this.#events.onHeartbeat?.(undefined);
        if (isSettled) await this.#stay();
      } catch (error) {
        if (this.#isStopping) return;
        const failure = toKafkaError(error, `take part in the group ${this.#options.groupId}`);
        if (!this.#mayGoOn(failure)) {
          this.#lose();
          return this.#events.onFatal(failure);
        }
        failures++;
        if (!rejoinAtOnce.has(failure.code)) this.#events.onHeartbeat?.(failure);
        await this.#pause(
          failures === 1 && rejoinAtOnce.has(failure.code) ? 0 : this.#cluster.pauseMs(failures),
        );
      }
    }
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Adapts to what the coordinator said; false where there is nothing left to try. */
  #mayGoOn(error: KafkaError): boolean {
    if (this.#isOut(error)) return true;
    if (this.#nowMs() - this.#heardAtMs > this.#options.sessionTimeoutMs) this.#lose();
    return error.retriable || rejoinAtOnce.has(error.code);
  }

  /** Where the group has gone on without this member, all that it had is lost. */
  #isOut(error: KafkaError): boolean {
    if (error.code !== 'UNKNOWN_MEMBER_ID' && error.code !== 'ILLEGAL_GENERATION') return false;
    this.#lose();
    if (error.code === 'UNKNOWN_MEMBER_ID') this.#memberId = '';
    return true;
  }

  #lose(): void {
    const lost = this.#owned;
    this.#owned = [];
    this.#generation = -1;
    if (lost.length > 0) this.#events.onLost(lost);
  }

  /** One round of joining; false where another one has to follow at once. */
  async #rebalance(): Promise<boolean> {
    await this.#topics.known();
    if (!this.#isCooperative) await this.#revoke(this.#owned);
    const joined = await this.#join();
    const assigned = await this.#sync(joined);
    const mine = new Set(assigned.map(partitionKey));
    const before = new Set(this.#owned.map(partitionKey));
    const gone = this.#owned.filter((item) => !mine.has(partitionKey(item)));
    await this.#revoke(gone);
    // It may have been put out while the application finished.
    if (this.#generation !== joined.generationId) return false;
    this.#owned = assigned;
    this.#given = { partitions: assigned, generation: this.#generation };
    this.#events.onAssign(assigned.filter((item) => !before.has(partitionKey(item))));
    // What was given up goes to its next owner in the round that this member's joining again brings.
    return gone.length === 0;
  }

  async #revoke(partitions: readonly TopicPartition[]): Promise<void> {
    if (partitions.length === 0) return;
    const gone = new Set(partitions.map(partitionKey));
    const over = new AbortController();
    const done = this.#events.onRevoke(partitions).finally(() => over.abort());
    await Promise.all([done, this.#beatUntil(over.signal)]);
    this.#owned = this.#owned.filter((item) => !gone.has(partitionKey(item)));
  }

  /** Heartbeats must go on meanwhile. The member is about to join again: only that it is out already is news. */
  async #beatUntil(over: AbortSignal): Promise<void> {
    const either = AbortSignal.any([over, this.#stopping.signal]);
    while (!either.aborted) {
      await this.#cluster.pause(this.#options.heartbeatIntervalMs, either).catch(() => undefined);
      if (either.aborted) return;
      const failure = await this.#beat().catch((error: unknown) => toKafkaError(error, 'stay in the group'));
      if (failure !== undefined && !over.aborted && this.#isOut(failure)) return;
    }
  }

  async #join(): Promise<JoinGroupResponse> {
    const { groupId, groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs, assignors } = this.#options;
    const topics = this.#topics.names;
    const timeoutMs = rebalanceTimeoutMs + joinGraceMs;
    for (;;) {
      const response = await this.#ask((node) =>
        this.#cluster.request(
          'JoinGroup',
          {
            groupId,
            sessionTimeoutMs,
            rebalanceTimeoutMs,
            memberId: this.#memberId,
            ...(groupInstanceId === null ? {} : { groupInstanceId }),
            protocolType: 'consumer',
            protocols: assignors.map((assignor) => ({
              name: assignor.name,
              metadata: encodeSubscription({
                topics,
                userData: assignor.userData(this.#given.partitions, this.#given.generation),
                owned: this.#owned,
                generation: this.#generation,
              }),
            })),
          },
          { ...this.#requestOptions(node), timeoutMs },
        ),
      );
      if (response.errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
        this.#memberId = response.memberId;
        continue;
      }
      this.#check(response.errorCode, 'join');
      this.#memberId = response.memberId;
      this.#generation = response.generationId;
      this.#joinedTopics = topics;
      return response;
    }
  }

  async #sync(joined: JoinGroupResponse): Promise<readonly TopicPartition[]> {
    const { groupId, groupInstanceId, rebalanceTimeoutMs } = this.#options;
    const isLeader = joined.leader === joined.memberId;
    if (!isLeader) this.#leader.resign();
    const assignments = isLeader ? await this.#leader.shareOut(joined, this.#stopping.signal) : [];
    const response = await this.#ask((node) =>
      this.#cluster.request(
        'SyncGroup',
        {
          groupId,
          generationId: joined.generationId,
          memberId: joined.memberId,
          ...(groupInstanceId === null ? {} : { groupInstanceId }),
          protocolType: joined.protocolType ?? 'consumer',
          protocolName: joined.protocolName,
          assignments,
        },
        { ...this.#requestOptions(node), timeoutMs: rebalanceTimeoutMs + joinGraceMs },
      ),
    );
    this.#check(response.errorCode, 'synchronise with');
    return decodeAssignment(response.assignment);
  }

  /** Until it is time to join again: then it returns, or throws what a heartbeat was told. */
  async #stay(): Promise<void> {
    const { clock } = this.#components;
    while (!this.#isStopping) {
      await this.#stopped.nextWithin(clock, this.#options.heartbeatIntervalMs);
      if (this.#isStopping) return;
      await this.#beatPatiently();
      this.#topics.lookIfDue();
      if (this.#topics.names !== this.#joinedTopics) return;
      if (this.#leader.haveTopicsChanged(this.#joinedTopics)) return;
    }
  }

  /** A coordinator that is away or has moved is no reason to leave, until the session must have ended. */
  async #beatPatiently(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#beat();
        return this.#events.onHeartbeat?.(undefined);
      } catch (error) {
        const failure = toKafkaError(error, 'stay in the group');
        const isOver = this.#nowMs() - this.#heardAtMs > this.#options.sessionTimeoutMs;
        if (!failure.retriable || rejoinAtOnce.has(failure.code) || isOver || this.#isStopping) throw failure;
        this.#events.onHeartbeat?.(failure);
        await this.#pause(this.#cluster.pauseMs(tries));
      }
    }
  }

  async #beat(): Promise<void> {
    const { groupId, groupInstanceId, sessionTimeoutMs } = this.#options;
    const timeoutMs = Math.max(1_000, Math.floor(sessionTimeoutMs / 3));
    const response = await this.#ask((node) =>
      this.#cluster.request(
        'Heartbeat',
        {
          groupId,
          generationId: this.#generation,
          memberId: this.#memberId,
          ...(groupInstanceId === null ? {} : { groupInstanceId }),
        },
        { ...this.#requestOptions(node), timeoutMs },
      ),
    );
    this.#check(response.errorCode, 'stay in');
  }

  #check(code: number, verb: string): void {
    const { groupId } = this.#options;
    if (code === ErrorCode.NOT_COORDINATOR || code === ErrorCode.COORDINATOR_NOT_AVAILABLE)
      this.#cluster.forgetCoordinator(groupId);
    else this.#heardAtMs = this.#nowMs();
    if (code !== ErrorCode.NONE) throw brokerError(code, `${verb} the group ${groupId}`);
  }

  #ask<R>(ask: (node: NodeInfo) => Promise<R>): Promise<R> {
    return onceAtCoordinator(this.#cluster, this.#options.groupId, ask, this.#stopping.signal);
  }

  #requestOptions(node: NodeInfo): RequestOptions {
    return { target: node, lane: 'group', signal: this.#stopping.signal };
  }

  async #pause(delayMs: number): Promise<void> {
    // Stopping ends the pause early; the loop then sees it.
    await this.#cluster.pause(delayMs, this.#stopping.signal).catch(() => undefined);
  }

  get #components(): Cluster['components'] {
    return this.#cluster.components;
  }

  #nowMs(): number {
    return this.#components.clock.monotonicMs();
  }
}

/** What only says that the group is changing: the remedy is to join again. */
const rejoinAtOnce: ReadonlySet<string> = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
]);
