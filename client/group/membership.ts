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
import { brokerError, KafkaError, toKafkaError } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';
import { Bell } from '../waiting.ts';
import { partitionKey, type Assignor, type GroupMember } from './assignor.ts';
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './consumer-protocol.ts';
import type { Committer } from './committed-offsets.ts';

export interface MembershipOptions {
  readonly groupId: string;
  readonly groupInstanceId: string | null;
  readonly topics: readonly string[];
  readonly assignors: readonly Assignor[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
}

export interface MembershipEvents {
  /** Partitions are to be given up: resolves when the application has finished with them and its offsets are committed. */
  onRevoke(partitions: readonly TopicPartition[]): Promise<void>;
  /** Partitions are gone already: nothing of them can be committed any more. */
  onLost(partitions: readonly TopicPartition[]): void;
  onAssign(partitions: readonly TopicPartition[]): void;
  /** Membership has ended for good. */
  onFatal(error: KafkaError): void;
}

const nothing = { partitions: [], generation: -1 } as const;
/** Waiting for all members may take the whole rebalance timeout; the answer then takes a moment more. */
const joinGraceMs = 5_000;
/** Topics that do not exist yet are looked for this often. */
const missingTopicsMs = 5_000;

export class Membership {
  readonly #cluster: Cluster;
  readonly #options: MembershipOptions;
  readonly #events: MembershipEvents;
  readonly #isCooperative: boolean;
  /** Aborted by `stop`. */
  readonly #stopping = new AbortController();
  /** Rings when the member should join again. */
  readonly #rejoin = new Bell();
  #running: Promise<void> | undefined;
  #memberId = '';
  #generation = -1;
  #owned: readonly TopicPartition[] = [];
  /** What it was last given, and in which generation: it is told to the next leader, also where it has been given up since. */
  #given: { readonly partitions: readonly TopicPartition[]; readonly generation: number } = nothing;
  #heardAtMs = 0;
  /** What the group's leader shared out: it joins again when this changes. Undefined in other members. */
  #sharedCounts: ReadonlyMap<string, number> | undefined;

  constructor(cluster: Cluster, options: MembershipOptions, events: MembershipEvents) {
    this.#cluster = cluster;
    this.#options = options;
    this.#events = events;
    this.#isCooperative = options.assignors.every((assignor) => assignor.mode === 'cooperative');
  }

  start(): void {
    this.#cluster.track(this.#options.topics);
    this.#running ??= this.#run();
  }

  /** Under what name offsets are committed now. */
  get committer(): Committer {
    const { groupId, groupInstanceId } = this.#options;
    return { groupId, groupInstanceId, generation: this.#generation, memberId: this.#memberId };
  }

  get owned(): readonly TopicPartition[] {
    return this.#owned;
  }

  /** Ends the loop; the member still belongs to the group, so that offsets can be committed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#rejoin.ring();
    await this.#running;
  }

  /** Tells the group, so that it need not wait for the session to time out. Static members stay. Rejects when that fails. */
  async leave(timeoutMs: number): Promise<void> {
    const { groupId, groupInstanceId } = this.#options;
    if (this.#memberId === '' || groupInstanceId !== null) return;
    const memberId = this.#memberId;
    const doing = `leave the group ${groupId}`;
    const body = (version: number): object =>
      version < 3 ? { groupId, memberId } : { groupId, members: [{ memberId }] };
    await atCoordinator(this.#cluster, groupId, { doing, timeoutMs }, async (node) => {
      const { errorCode } = await this.#cluster.request('LeaveGroup', body, { target: node, timeoutMs });
      if (errorCode !== ErrorCode.NONE) throw brokerError(errorCode, doing);
    });
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#isStopping) {
      try {
        const isSettled = await this.#rebalance();
        failures = 0;
        if (isSettled) await this.#stay();
      } catch (error) {
        if (this.#isStopping) return;
        const failure = toKafkaError(error, `take part in the group ${this.#options.groupId}`);
        if (!this.#mayGoOn(failure)) return this.#events.onFatal(failure);
        failures++;
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
    if (error.code === 'UNKNOWN_MEMBER_ID' || error.code === 'ILLEGAL_GENERATION') {
      this.#lose();
      if (error.code === 'UNKNOWN_MEMBER_ID') this.#memberId = '';
      return true;
    }
    if (this.#nowMs() - this.#heardAtMs > this.#options.sessionTimeoutMs) this.#lose();
    return error.retriable || rejoinAtOnce.has(error.code);
  }

  #lose(): void {
    const lost = this.#owned;
    this.#owned = [];
    this.#generation = -1;
    if (lost.length > 0) this.#events.onLost(lost);
  }

  /** One round of joining; false where another one has to follow at once. */
  async #rebalance(): Promise<boolean> {
    if (!this.#isCooperative) await this.#revoke(this.#owned);
    const joined = await this.#join();
    const assigned = await this.#sync(joined);
    const mine = new Set(assigned.map(partitionKey));
    const before = new Set(this.#owned.map(partitionKey));
    const gone = this.#owned.filter((item) => !mine.has(partitionKey(item)));
    await this.#revoke(gone);
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

  /** Heartbeats must go on meanwhile; what they answer changes nothing, as the member is about to join again. */
  async #beatUntil(over: AbortSignal): Promise<void> {
    const either = AbortSignal.any([over, this.#stopping.signal]);
    while (!either.aborted) {
      await this.#cluster.pause(this.#options.heartbeatIntervalMs, either).catch(() => undefined);
      if (!either.aborted) await this.#beat().catch(() => undefined);
    }
  }

  async #join(): Promise<JoinGroupResponse> {
    const { groupId, groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs, topics, assignors } =
      this.#options;
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
      return response;
    }
  }

  async #sync(joined: JoinGroupResponse): Promise<readonly TopicPartition[]> {
    const { groupId, groupInstanceId, rebalanceTimeoutMs } = this.#options;
    const isLeader = joined.leader === joined.memberId;
    if (!isLeader) this.#sharedCounts = undefined;
    const assignments = isLeader ? await this.#shareOut(joined) : [];
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

  async #shareOut(joined: JoinGroupResponse): Promise<{ memberId: string; assignment: Buffer }[]> {
    const assignor = this.#options.assignors.find(({ name }) => name === joined.protocolName);
    if (assignor === undefined) {
      throw new KafkaError(
        'INCONSISTENT_GROUP_PROTOCOL',
        `The group chose '${joined.protocolName ?? ''}', which this member did not offer.`,
      );
    }
    const members = joined.members.map(({ memberId, groupInstanceId, metadata }): GroupMember => ({
      memberId,
      groupInstanceId,
      subscription: decodeSubscription(metadata),
    }));
    const topics = new Set(members.flatMap((member) => member.subscription.topics));
    this.#cluster.track(topics);
    await this.#cluster.refresh();
    this.#sharedCounts = this.#partitionCounts(topics);
    if (joined.skipAssignment) return [];
    const assignment = assignor.assign(members, this.#sharedCounts);
    return [...assignment].map(([memberId, partitions]) => ({
      memberId,
      assignment: encodeAssignment(partitions),
    }));
  }

  /** Of the topics that exist. */
  #partitionCounts(topics: Iterable<string>): Map<string, number> {
    const counts = new Map<string, number>();
    for (const topic of topics) {
      const count = this.#cluster.metadata.topic(topic)?.partitions.length ?? 0;
      counts.set(topic, count);
    }
    return new Map([...counts].filter(([, count]) => count > 0));
  }

  /** Until it is time to join again: then it returns, or throws what a heartbeat was told. */
  async #stay(): Promise<void> {
    const { clock } = this.#components;
    let lookedAtMs = this.#nowMs();
    while (!this.#isStopping) {
      await this.#rejoin.nextWithin(clock, this.#options.heartbeatIntervalMs);
      if (this.#isStopping) return;
      await this.#beatPatiently();
      if (this.#hasTopicsMissing && this.#nowMs() - lookedAtMs >= missingTopicsMs) {
        lookedAtMs = this.#nowMs();
        this.#cluster.refreshSoon();
      } else this.#cluster.refreshIfOld();
      if (this.#haveTopicsChanged) return;
    }
  }

  get #hasTopicsMissing(): boolean {
    return this.#options.topics.some(
      (topic) => (this.#cluster.metadata.topic(topic)?.partitions.length ?? 0) === 0,
    );
  }

  get #haveTopicsChanged(): boolean {
    const shared = this.#sharedCounts;
    if (shared === undefined) return false;
    const topics = new Set([...shared.keys(), ...this.#options.topics]);
    const now = this.#partitionCounts(topics);
    return [...topics].some((topic) => now.get(topic) !== shared.get(topic));
  }

  /** A coordinator that is away or has moved is no reason to leave, until the session must have ended. */
  async #beatPatiently(): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#beat();
      } catch (error) {
        const failure = toKafkaError(error, 'stay in the group');
        const isOver = this.#nowMs() - this.#heardAtMs > this.#options.sessionTimeoutMs;
        if (!failure.retriable || rejoinAtOnce.has(failure.code) || isOver || this.#isStopping) throw failure;
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
