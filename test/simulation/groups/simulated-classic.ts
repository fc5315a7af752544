/**
 * A member by the classic protocol: it joins, shares the partitions out where it leads, and says by heartbeats that it is there. Eager
 * ones give up everything before they join again, cooperative ones only what another is to have.
 */
import {
  assignedFrom,
  difference,
  intersection,
  isSubset,
  noPartitions,
} from '../../../broker/groups/consumer/assigned-partitions.ts';
import type { AssignedPartitions } from '../../../broker/groups/consumer/assigned-partitions.ts';
import type { JoinReply } from '../../../broker/groups/group-commands.ts';
import type { Random } from '../../../platform/random.ts';
import {
  decodeConsumerAssignment,
  encodeConsumerSubscription,
  ErrorCode,
  errorName,
} from '../../../protocol/index.ts';
import { namedPartitions, sharedOut } from './classic-assignment.ts';
import type { GroupsWorld } from './groups-world.ts';
import { SimulatedMember } from './simulated-member.ts';
import type { MemberOptions } from './simulated-member.ts';

export interface ClassicOptions extends MemberOptions {
  readonly isCooperative: boolean;
}

const sessionTimeoutMs = 10_000;
const rebalanceTimeoutMs = 60_000;
const heartbeatIntervalMs = 2_000;
/** Beyond the time that the coordinator may take. */
const joinSlackMs = 5_000;

export class SimulatedClassic extends SimulatedMember {
  readonly #isCooperative: boolean;
  protected readonly sessionMs = sessionTimeoutMs;
  #phase: 'to-join' | 'stable' = 'to-join';
  #joinedTopics = '';
  /** Of the topics, when it last shared them out; undefined where another does. */
  #sharedVersion: number | undefined;

  constructor(world: GroupsWorld, random: Random, options: ClassicOptions) {
    super(world, random, options);
    this.#isCooperative = options.isCooperative;
  }

  protected get isSettled(): boolean {
    const version = this.#sharedVersion;
    return (
      this.#phase === 'stable' &&
      this.#joinedTopics === this.topics.join() &&
      (version === undefined || version === this.world.topics.version)
    );
  }

  protected async turn(): Promise<void> {
    if (this.#phase === 'stable' && !this.isSettled) this.#phase = 'to-join';
    if (this.#phase === 'to-join') await this.#join();
    else await this.#heartbeat();
    await this.pause(this.drawMs(this.#phase === 'stable' ? heartbeatIntervalMs : 300));
  }

  protected async goodbye(returns: boolean): Promise<void> {
    // A static member that will come back says nothing.
    if (this.memberId === '' || (returns && this.instanceId !== null)) return;
    const { memberId, instanceId: groupInstanceId, groupId } = this;
    await this.world.nodes.ask(groupId, (service) =>
      service.leave({ groupId, members: [{ memberId, groupInstanceId }] }),
    );
  }

  async #join(): Promise<void> {
    if (!this.#isCooperative) this.release(noPartitions);
    const joinedTopics = this.topics.join();
    const sentMs = this.world.clock.monotonicMs();
    const answer = await this.ask(
      (service) => service.join(this.#joinRequest()),
      rebalanceTimeoutMs + joinSlackMs,
    );
    if (answer === undefined) return;
    const { reply, isCoordinators } = answer;
    this.world.tally.count('joins', errorName(reply.errorCode));
    if (reply.errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
      this.memberId = reply.memberId;
      return this.#join();
    }
    if (reply.errorCode !== ErrorCode.NONE) return this.#react(reply.errorCode);
    if (isCoordinators) this.heard(sentMs);
    this.memberId = reply.memberId;
    this.#joinedTopics = joinedTopics;
    await this.#sync(reply);
  }

  async #sync({ leader, skipAssignment, protocolName, members, generationId }: JoinReply): Promise<void> {
    const { groupId, memberId, instanceId: groupInstanceId } = this;
    const isLeader = leader === memberId;
    // Where the coordinator shares them out it notices itself that topics change.
    this.#sharedVersion = isLeader && !skipAssignment ? this.world.topics.version : undefined;
    if (isLeader && skipAssignment) this.#sharedVersion = this.world.topics.version;
    const assignments = isLeader && !skipAssignment ? sharedOut(members, this.world.topics) : [];
    const sentMs = this.world.clock.monotonicMs();
    const answer = await this.ask(
      (service) =>
        service.sync({
          groupId,
          generationId,
          memberId,
          groupInstanceId,
          protocolType: 'consumer',
          protocolName,
          assignments,
        }),
      rebalanceTimeoutMs + joinSlackMs,
    );
    if (answer === undefined) return;
    this.world.tally.count('syncs', errorName(answer.reply.errorCode));
    if (answer.reply.errorCode !== ErrorCode.NONE) return this.#react(answer.reply.errorCode);
    if (answer.isCoordinators) this.heard(sentMs);
    this.#take(answer.reply.assignment, generationId);
  }

  /** A cooperative one that has something to give up joins again at once, and says so. */
  #take(bytes: Buffer, generationId: number): void {
    this.round = generationId;
    const { ownership } = this.world;
    const assigned = byTopicId(decodeConsumerAssignment(bytes).value.assignedPartitions, this.world);
    ownership.assigned(this, assigned);
    ownership.begins(this, difference(assigned, this.owned));
    this.#phase = isSubset(this.owned, assigned) ? 'stable' : 'to-join';
    this.release(intersection(this.owned, assigned));
    this.owned = assigned;
  }

  async #heartbeat(): Promise<void> {
    const { groupId, memberId, round, instanceId: groupInstanceId } = this;
    const sentMs = this.world.clock.monotonicMs();
    const answer = await this.ask((service) =>
      service.heartbeat({ groupId, generationId: round, memberId, groupInstanceId }),
    );
    if (answer === undefined) return;
    this.world.tally.count('heartbeats', errorName(answer.reply.errorCode));
    if (answer.reply.errorCode !== ErrorCode.NONE) return this.#react(answer.reply.errorCode);
    if (answer.isCoordinators) this.heard(sentMs);
  }

  #joinRequest() {
    const { topics, isCooperative, round, owned } = {
      topics: this.topics,
      isCooperative: this.#isCooperative,
      round: this.round,
      owned: namedPartitions(this.owned, this.world.topics),
    };
    const metadata = encodeConsumerSubscription(isCooperative ? 3 : 1, {
      topics: [...topics],
      userData: null,
      ownedPartitions: owned,
      ...(isCooperative && { generationId: round, rackId: null }),
    });
    return {
      groupId: this.groupId,
      memberId: this.memberId,
      groupInstanceId: this.instanceId,
      clientId: this.name,
      clientHost: '/10.0.0.1',
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      protocolType: 'consumer',
      protocols: [{ name: isCooperative ? 'cooperative-sticky' : 'range', metadata }],
      requiresKnownMemberId: this.instanceId === null,
      supportsSkipAssignment: true,
    };
  }

  #react(errorCode: ErrorCode): void {
    switch (errorCode) {
      case ErrorCode.UNKNOWN_MEMBER_ID:
        this.memberId = '';
        this.#lose();
        return;
      case ErrorCode.ILLEGAL_GENERATION:
        this.#lose();
        return;
      case ErrorCode.FENCED_INSTANCE_ID:
        this.isFenced = true;
        return;
      case ErrorCode.REBALANCE_IN_PROGRESS:
        this.#phase = 'to-join';
        return;
      default:
        // It asks again: a coordinator that loads, or another.
        return;
    }
  }

  #lose(): void {
    this.#phase = 'to-join';
    this.round = -1;
    this.heldUntilMs = -Infinity;
    this.release(noPartitions);
  }
}

function byTopicId(
  named: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
  { topics }: GroupsWorld,
): AssignedPartitions {
  const known = [];
  for (const { topic, partitions } of named) {
    const topicId = topics.idOf(topic);
    if (topicId !== undefined) known.push({ topicId, partitions });
  }
  return assignedFrom(known);
}
