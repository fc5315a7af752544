/**
 * A member by the consumer protocol (KIP-848): it says in heartbeats what it is and has, gives up what it is told to, after a while, and
 * only then takes up what is new.
 */
import {
  difference,
  intersection,
  isSameAssignment,
  noPartitions,
  topicPartitionsOf,
} from '../../../broker/groups/consumer/assigned-partitions.ts';
import type { AssignedPartitions } from '../../../broker/groups/consumer/assigned-partitions.ts';
import type { ConsumerHeartbeatReply } from '../../../broker/groups/consumer/consumer-commands.ts';
import {
  joiningEpoch,
  leavingEpoch,
  staticLeavingEpoch,
} from '../../../broker/groups/consumer/consumer-member.ts';
import type { Random } from '../../../platform/random.ts';
import { ErrorCode, errorName } from '../../../protocol/index.ts';
import type { GroupsWorld } from './groups-world.ts';
import { SimulatedMember } from './simulated-member.ts';
import type { MemberOptions } from './simulated-member.ts';

export interface ConsumerOptions extends MemberOptions {
  readonly memberId: string;
  readonly assignor: string | null;
  /** Subscribes to these, beside its topics; empty: to none. */
  readonly pattern: string;
}

const rebalanceTimeoutMs = 60_000;
/** How long it may take to give partitions up. */
const releaseMsMax = 3_000;

export class SimulatedConsumer extends SimulatedMember {
  readonly #assignor: string | null;
  pattern: string;
  /** What it was last told to have. */
  #assigned: AssignedPartitions = noPartitions;
  #saysAll = true;
  #releasesAtMs: number | undefined;
  #saidTopics = '';

  constructor(world: GroupsWorld, random: Random, options: ConsumerOptions) {
    super(world, random, options);
    this.memberId = options.memberId;
    this.#assignor = options.assignor;
    this.pattern = options.pattern;
    this.round = joiningEpoch;
  }

  protected get sessionMs(): number {
    return this.world.options.consumerConfig.sessionTimeoutMs;
  }

  protected get isSettled(): boolean {
    return (
      this.round > 0 &&
      !this.#saysAll &&
      this.#saidTopics === this.#topicsText() &&
      isSameAssignment(this.owned, this.#assigned)
    );
  }

  protected async turn(): Promise<void> {
    await this.#heartbeat();
    if (this.#releasesAtMs !== undefined && this.world.clock.monotonicMs() >= this.#releasesAtMs) {
      this.#releasesAtMs = undefined;
      this.release(intersection(this.owned, this.#assigned));
      return;
    }
    this.#takeUp();
    const { heartbeatIntervalMs } = this.world.options.consumerConfig;
    await this.pause(this.drawMs(this.isSettled ? heartbeatIntervalMs : Math.min(heartbeatIntervalMs, 500)));
  }

  protected async goodbye(returns: boolean): Promise<void> {
    if (this.round <= 0) return;
    const isForAWhile = returns && this.instanceId !== null;
    await this.world.nodes.ask(this.groupId, (service) =>
      service.consumerHeartbeat({
        ...this.#said(isForAWhile ? staticLeavingEpoch : leavingEpoch),
        owned: null,
      }),
    );
  }

  async #heartbeat(): Promise<void> {
    const sentMs = this.world.clock.monotonicMs();
    const saidTopics = this.#topicsText();
    const said = this.#said(this.round);
    const answer = await this.ask((service) => service.consumerHeartbeat(said));
    if (answer === undefined) {
      // Whether the coordinator has heard it, it cannot know.
      this.#saysAll = true;
      return;
    }
    const { reply, isCoordinators } = answer;
    this.world.tally.count('heartbeats', errorName(reply.errorCode));
    if (reply.errorCode === ErrorCode.NONE && isCoordinators) this.heard(sentMs);
    this.#take(reply, saidTopics);
  }

  #said(memberEpoch: number) {
    const all = this.#saysAll || memberEpoch === joiningEpoch;
    const saysTopics = all || this.#saidTopics !== this.#topicsText();
    return {
      groupId: this.groupId,
      memberId: this.memberId,
      memberEpoch,
      instanceId: this.instanceId,
      rackId: null,
      rebalanceTimeoutMs: all ? rebalanceTimeoutMs : -1,
      topicNames: saysTopics ? this.topics : null,
      topicRegex: saysTopics ? this.pattern : null,
      serverAssignor: all ? this.#assignor : null,
      owned: topicPartitionsOf(memberEpoch === joiningEpoch ? noPartitions : this.owned),
      clientId: this.name,
      clientHost: '/10.0.0.1',
    };
  }

  #take(reply: ConsumerHeartbeatReply, saidTopics: string): void {
    switch (reply.errorCode) {
      case ErrorCode.NONE:
        this.round = reply.memberEpoch;
        this.#saysAll = false;
        this.#saidTopics = saidTopics;
        if (reply.assignment !== null) this.#assigned = reply.assignment;
        return;
      case ErrorCode.FENCED_MEMBER_EPOCH:
      case ErrorCode.UNKNOWN_MEMBER_ID:
      case ErrorCode.GROUP_ID_NOT_FOUND:
        this.round = joiningEpoch;
        this.#saysAll = true;
        this.#assigned = noPartitions;
        this.#releasesAtMs = undefined;
        this.heldUntilMs = -Infinity;
        this.release(noPartitions);
        return;
      case ErrorCode.FENCED_INSTANCE_ID:
        this.isFenced = true;
        return;
      default:
        this.#saysAll = true;
    }
  }

  #takeUp(): void {
    if (this.#releasesAtMs !== undefined) return;
    if (difference(this.owned, this.#assigned).size > 0) {
      this.#releasesAtMs = this.world.clock.monotonicMs() + this.drawMs(releaseMsMax);
      return;
    }
    const begun = difference(this.#assigned, this.owned);
    if (begun.size === 0) return;
    this.world.ownership.assigned(this, this.#assigned);
    this.world.ownership.begins(this, begun);
    this.owned = this.#assigned;
  }

  #topicsText(): string {
    return `${this.topics.join()} ${this.pattern}`;
  }
}
