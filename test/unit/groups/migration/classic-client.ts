/** A consumer as it behaves by the classic protocol, in a group of either kind: eager or cooperative, and assigning where it leads. */
import {
  assignedFrom,
  difference,
  intersection,
  noPartitions,
  union,
} from '../../../../broker/groups/consumer/assigned-partitions.ts';
import type { AssignedPartitions } from '../../../../broker/groups/consumer/assigned-partitions.ts';
import type { JoinCommand, JoinReply, SyncReply } from '../../../../broker/groups/group-commands.ts';
import {
  decodeConsumerAssignment,
  decodeConsumerSubscription,
  encodeConsumerAssignment,
  encodeConsumerSubscription,
  ErrorCode,
  errorName,
} from '../../../../protocol/index.ts';
import { topicId } from '../consumer/consumer-client.ts';
import type { Asked, MachineDriver } from '../machine-driver.ts';

export interface ClassicClientOptions {
  readonly name: string;
  readonly instanceId?: string | null;
  readonly topics?: readonly string[];
  readonly isCooperative?: boolean;
  readonly protocolNames?: readonly string[];
  readonly sessionTimeoutMs?: number;
  readonly rebalanceTimeoutMs?: number;
}

type Phase = 'to-join' | 'joining' | 'syncing' | 'stable' | 'fenced';

/** By name, as the bytes of the protocol have them. */
type Named = { readonly topic: string; readonly partitions: number[] }[];

export class ClassicClient {
  driver: MachineDriver;
  readonly name: string;
  readonly instanceId: string | null;
  readonly #options: ClassicClientOptions;
  topics: readonly string[];
  memberId = '';
  generationId = -1;
  phase: Phase = 'to-join';
  /** What it reads. */
  owned: AssignedPartitions = noPartitions;
  /** What it read when it last joined. */
  #joinedTopics: readonly string[] = [];
  /** `TopicsView.version` when it last shared the partitions out; undefined where another does. */
  #assignedVersion: number | undefined;
  joined: Asked<JoinReply> | undefined;
  synced: Asked<SyncReply> | undefined;
  /** Errors of the last answers, the newest last. */
  readonly errors: string[] = [];

  constructor(driver: MachineDriver, options: ClassicClientOptions) {
    this.driver = driver;
    this.name = options.name;
    this.instanceId = options.instanceId ?? null;
    this.topics = options.topics ?? ['t'];
    this.#options = options;
  }

  get isCooperative(): boolean {
    return this.#options.isCooperative ?? false;
  }

  /** Whether it has joined for what it reads, and need not share the partitions out anew. */
  get isSettled(): boolean {
    const version = this.#assignedVersion;
    const isOutdated = version !== undefined && version !== this.driver.topics.version;
    return this.phase === 'stable' && !isOutdated && this.#joinedTopics.join() === this.topics.join();
  }

  /** The coordinator that it asked is gone, and with it what it waited for. */
  reconnect(driver: MachineDriver): void {
    this.driver = driver;
    if (this.phase === 'joining' || this.phase === 'syncing') this.phase = 'to-join';
    this.joined = undefined;
    this.synced = undefined;
  }

  /** What comes next: it joins, fetches its assignment, or says that it is there. */
  act(): void {
    if (this.phase === 'stable' && !this.isSettled) this.phase = 'to-join';
    if (this.phase === 'to-join') this.join();
    if (this.phase === 'joining') this.#takeJoined();
    if (this.phase === 'syncing') this.#takeSynced();
    else if (this.phase === 'stable') this.heartbeat();
  }

  /** As `act`, until it is there, or has to wait. */
  proceed(): void {
    for (let turn = 0; turn < 10; turn++) {
      this.act();
      const isWaiting = this.joined?.reply === undefined && this.synced?.reply === undefined;
      if (this.phase === 'fenced' || this.phase === 'stable' || isWaiting) return;
    }
  }

  /** Eager ones give up all that they have before. */
  join(options: Partial<JoinCommand> = {}): void {
    if (!this.isCooperative) this.owned = noPartitions;
    this.driver.freshIds.given += 1;
    const { name, instanceId } = this;
    const ask = () =>
      this.driver.ask({
        kind: 'join',
        groupId: 'g',
        memberId: this.memberId,
        freshMemberId: `${name}-${this.driver.freshIds.given}`,
        groupInstanceId: instanceId,
        clientId: name,
        clientHost: '/10.0.0.1',
        sessionTimeoutMs: this.#options.sessionTimeoutMs ?? 10_000,
        rebalanceTimeoutMs: this.#options.rebalanceTimeoutMs ?? 60_000,
        protocolType: 'consumer',
        protocols: this.protocols,
        requiresKnownMemberId: instanceId === null,
        supportsSkipAssignment: true,
        ...options,
      });
    this.joined = ask();
    if (this.joined.reply?.errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
      this.memberId = this.joined.reply.memberId;
      this.joined = ask();
    }
    this.#joinedTopics = this.topics;
    this.phase = 'joining';
  }

  get protocols(): { name: string; metadata: Buffer }[] {
    const names = this.#options.protocolNames ?? [this.isCooperative ? 'cooperative-sticky' : 'range'];
    const metadata = encodeConsumerSubscription(this.isCooperative ? 2 : 0, {
      topics: [...this.topics],
      userData: null,
      ...(this.isCooperative && { ownedPartitions: named(this.owned), generationId: this.generationId }),
    });
    return names.map((name) => ({ name, metadata }));
  }

  heartbeat(): string {
    const { errorCode } = this.driver.answer({
      kind: 'heartbeat',
      groupId: 'g',
      generationId: this.generationId,
      memberId: this.memberId,
      groupInstanceId: this.instanceId,
    });
    this.#react(errorCode);
    return errorName(errorCode);
  }

  leave(): string {
    const { members } = this.driver.answer({
      kind: 'leave',
      groupId: 'g',
      members: [{ memberId: this.memberId, groupInstanceId: this.instanceId }],
    });
    this.#lose();
    this.memberId = '';
    return errorName(members[0]!.errorCode);
  }

  commit(offsets: Readonly<Record<string, number>>): string[] {
    const { generationId, memberId, instanceId: groupInstanceId } = this;
    return this.driver.commit(offsets, { generationId, memberId, groupInstanceId });
  }

  #takeJoined(): void {
    const reply = this.joined?.reply;
    if (reply === undefined) return;
    this.joined = undefined;
    if (reply.errorCode !== ErrorCode.NONE) {
      this.phase = 'to-join';
      this.#react(reply.errorCode);
      return;
    }
    const { memberId, generationId, leader, protocolName, skipAssignment } = reply;
    Object.assign(this, { memberId, generationId, phase: 'syncing' });
    const isLeader = leader === memberId && !skipAssignment;
    this.#assignedVersion = undefined;
    if (leader === memberId) this.#assignedVersion = isLeader ? this.driver.topics.version : -1;
    this.synced = this.driver.ask({
      kind: 'sync',
      groupId: 'g',
      generationId,
      memberId,
      groupInstanceId: this.instanceId,
      protocolType: 'consumer',
      protocolName,
      assignments: isLeader ? this.#assign(reply.members) : [],
    });
  }

  #takeSynced(): void {
    const reply = this.synced?.reply;
    if (reply === undefined) return;
    this.synced = undefined;
    this.phase = reply.errorCode === ErrorCode.NONE ? 'stable' : 'to-join';
    this.#react(reply.errorCode);
    if (reply.errorCode !== ErrorCode.NONE) return;
    const assigned = owned(decodeConsumerAssignment(reply.assignment).value.assignedPartitions);
    const isToGiveUp = this.isCooperative && difference(this.owned, assigned).size > 0;
    this.owned = assigned;
    // It has given up what it had beside, and says so.
    if (isToGiveUp) this.phase = 'to-join';
  }

  #react(errorCode: ErrorCode): void {
    this.errors.push(errorName(errorCode));
    switch (errorCode) {
      case ErrorCode.NONE:
        return;
      case ErrorCode.UNKNOWN_MEMBER_ID:
        this.memberId = '';
        this.#lose();
        return;
      case ErrorCode.ILLEGAL_GENERATION:
        this.#lose();
        return;
      case ErrorCode.FENCED_INSTANCE_ID:
        this.#lose();
        this.phase = 'fenced';
        return;
      default:
        this.phase = 'to-join';
    }
  }

  #lose(): void {
    this.generationId = -1;
    this.owned = noPartitions;
    this.phase = 'to-join';
  }

  /** What one has stays with it; what several could have goes to who has least. Of what another still has nobody is given anything yet. */
  #assign(members: JoinReply['members']): { memberId: string; assignment: Buffer }[] {
    const all = members.map(({ memberId, metadata }) => {
      const { topics, ownedPartitions } = decodeConsumerSubscription(metadata).value;
      return { memberId, topics, owned: owned(ownedPartitions), assigned: noPartitions };
    });
    for (const topic of new Set(all.flatMap(({ topics }) => topics))) {
      const count = this.driver.topics.partitionCount(topicId(topic));
      const able = all.filter(({ topics }) => topics.includes(topic));
      for (let partition = 0; partition < count; partition++) {
        const one = assignedFrom([{ topicId: topicId(topic), partitions: [partition] }]);
        const [first] = able.toSorted((left, right) => sizeOf(left.assigned) - sizeOf(right.assigned));
        const target = first!;
        target.assigned = union(target.assigned, one);
      }
    }
    return all.map((member) => {
      let { assigned } = member;
      for (const other of all) {
        if (other !== member) assigned = difference(assigned, intersection(assigned, other.owned));
      }
      const assignment = encodeConsumerAssignment(0, { assignedPartitions: named(assigned), userData: null });
      return { memberId: member.memberId, assignment };
    });
  }
}

function sizeOf(assigned: AssignedPartitions): number {
  return [...assigned.values()].flat().length;
}

function named(assigned: AssignedPartitions): Named {
  return Array.from(assigned, ([id, partitions]) => ({
    topic: id.replace(/-+A$/u, ''),
    partitions: [...partitions],
  }));
}

function owned(
  topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
): AssignedPartitions {
  return assignedFrom(topics.map(({ topic, partitions }) => ({ topicId: topicId(topic), partitions })));
}
