/**
 * A member of a group, as the clients of this world are: it lives in turns, may be frozen between any two of them, commits what it has
 * read, and ends by saying goodbye or without a word.
 */
import { noPartitions } from '../../../broker/groups/consumer/assigned-partitions.ts';
import type { AssignedPartitions } from '../../../broker/groups/consumer/assigned-partitions.ts';
import type { GroupService } from '../../../broker/groups/group-service.ts';
import type { Random } from '../../../platform/random.ts';
import { ErrorCode, errorName } from '../../../protocol/index.ts';
import type { Answer } from './group-nodes.ts';
import type { GroupsWorld } from './groups-world.ts';
import type { Owner } from './ownership.ts';

export interface MemberOptions {
  readonly name: string;
  readonly groupId: string;
  readonly instanceId: string | null;
  readonly topics: readonly string[];
}

/** Answers that say for certain that a commit has not been carried out. */
const refusals: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.ILLEGAL_GENERATION,
  ErrorCode.STALE_MEMBER_EPOCH,
  ErrorCode.FENCED_INSTANCE_ID,
  ErrorCode.REBALANCE_IN_PROGRESS,
  ErrorCode.GROUP_ID_NOT_FOUND,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
]);

export abstract class SimulatedMember implements Owner {
  readonly name: string;
  readonly groupId: string;
  readonly instanceId: string | null;
  protected readonly world: GroupsWorld;
  protected readonly random: Random;
  topics: readonly string[];
  memberId = '';
  /** Generation, or member epoch. */
  round = -1;
  owned: AssignedPartitions = noPartitions;
  heldUntilMs = -Infinity;
  state: 'alive' | 'ending' | 'gone' = 'alive';
  /** It may not go on: its instance id is another's now. */
  isFenced = false;
  #frozenUntilMs = 0;
  /** When its settled state began, as it sees it. */
  protected abstract readonly isSettled: boolean;
  /** How long the coordinator waits for a word of it, in ms. */
  protected abstract readonly sessionMs: number;

  constructor(world: GroupsWorld, random: Random, options: MemberOptions) {
    this.world = world;
    this.random = random;
    this.name = options.name;
    this.groupId = options.groupId;
    this.instanceId = options.instanceId;
    this.topics = options.topics;
  }

  get isLive(): boolean {
    return this.state === 'alive' && !this.isFenced;
  }

  get hasSettled(): boolean {
    return this.isLive && this.isSettled;
  }

  get identity(): string {
    return this.instanceId ?? this.name;
  }

  /** Lives until it has ended. Errors of this world go to its keeper. */
  start(): void {
    this.world.ownership.enter(this);
    this.#live().catch((error: unknown) => {
      if (error !== ended) this.world.broken(error instanceof Error ? error : new Error(String(error)));
    });
  }

  /** Nothing of it goes on until then, as in a process that hangs. */
  freeze(forMs: number): void {
    this.#frozenUntilMs = this.world.clock.monotonicMs() + forMs;
  }

  thaw(): void {
    this.#frozenUntilMs = 0;
  }

  /** It is gone without a word. What it had is nobody's any more. */
  crash(): void {
    this.state = 'gone';
    this.world.ownership.exit(this);
  }

  /** It says goodbye with its next turn. `returns`: a static one that will come back. */
  end(returns: boolean): void {
    if (this.state !== 'alive') return;
    this.state = 'ending';
    this.thaw();
    this.release(noPartitions);
    void this.goodbye(returns).catch(() => {});
    this.crash();
  }

  /** Commits one more for a partition that it reads, and then looks. */
  async commit(random: Random): Promise<void> {
    const { world, groupId, memberId, instanceId, round } = this;
    const [topicId, partitions] = oneOf(random, [...this.owned]) ?? [];
    const name = topicId === undefined ? undefined : world.topics.nameOf(topicId);
    if (topicId === undefined || name === undefined) return;
    const partitionIndex = oneOf(random, partitions!)!;
    const commit = world.history.begin(`${groupId} ${topicId} ${partitionIndex}`);
    const answer = await world.nodes.ask(groupId, (service) =>
      service.commitOffsets({
        groupId,
        generationId: round,
        memberId,
        groupInstanceId: instanceId,
        retentionTimeMs: -1,
        supportsGroupIdNotFound: true,
        topics: [
          {
            name,
            topicId,
            partitions: [
              {
                partitionIndex,
                committedOffset: commit.value,
                committedLeaderEpoch: -1,
                committedMetadata: null,
              },
            ],
          },
        ],
      }),
    );
    const errorCode = answer?.reply.topics[0]!.partitions[0]!.errorCode;
    if (errorCode === undefined) return;
    world.tally.count('commits', errorName(errorCode));
    if (errorCode === ErrorCode.NONE) world.history.acknowledged(commit);
    else if (refusals.has(errorCode)) world.history.refused(commit);
  }

  /** Asks what is committed of the partitions that it reads: whatever a coordinator says must have been so since it was asked. */
  async look(): Promise<void> {
    const { world, groupId } = this;
    const topics = Array.from(this.owned, ([topicId, partitions]) => ({
      name: world.topics.nameOf(topicId),
      topicId,
      partitionIndexes: [...partitions],
    }));
    const known = topics.flatMap(({ name, ...topic }) => (name === undefined ? [] : [{ name, ...topic }]));
    if (known.length === 0) return;
    const beganMs = world.clock.monotonicMs();
    const answer = await world.nodes.ask(groupId, (service) =>
      service.fetchOffsets({ groupId, topics: known }),
    );
    if (answer?.reply.errorCode !== ErrorCode.NONE) return;
    for (const { topicId, partitions } of answer.reply.topics) {
      // What was committed for a topic goes with it.
      if (world.topics.isDeleted(topicId)) continue;
      for (const { partitionIndex, committedOffset } of partitions) {
        world.history.read(`${groupId} ${topicId} ${partitionIndex}`, committedOffset, beganMs);
      }
    }
  }

  protected abstract turn(): Promise<void>;
  protected abstract goodbye(returns: boolean): Promise<void>;

  /** Another turn comes after so long. */
  protected async pause(forMs: number): Promise<void> {
    await this.#sleep(forMs);
    await this.#goOn();
  }

  protected async ask<Reply>(
    call: (service: GroupService) => Promise<Reply>,
    timeoutMs?: number,
  ): Promise<Answer<Reply> | undefined> {
    const answer = await this.world.nodes.ask(this.groupId, call, timeoutMs);
    await this.#goOn();
    return answer;
  }

  /** The coordinator has heard of it at `sinceMs`, and may not put it out for a while. */
  protected heard(sinceMs: number): void {
    this.heldUntilMs = Math.max(this.heldUntilMs, sinceMs + this.sessionMs);
    this.world.ownership.heard(this, sinceMs);
  }

  /** From now on it has `owned`, which is less than before. */
  protected release(owned: AssignedPartitions): void {
    this.owned = owned;
  }

  protected drawMs(limitMs: number): number {
    return (limitMs * (1 + this.random.below(1000))) / 1000;
  }

  async #live(): Promise<void> {
    for (;;) {
      await this.turn();
      await this.#goOn();
    }
  }

  /** Waits while it is frozen; goes no further where it has ended. */
  async #goOn(): Promise<void> {
    const { clock } = this.world;
    while (this.#frozenUntilMs > clock.monotonicMs()) await this.#sleep(100);
    if (this.state !== 'alive') throw ended;
    if (this.isFenced) {
      this.crash();
      throw ended;
    }
  }

  #sleep(forMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.world.clock.after(forMs, resolve);
    });
  }
}

/** Thrown through a member's life when it is over. */
const ended = new Error('the member has ended');

export function oneOf<Value>(random: Random, values: readonly Value[]): Value | undefined {
  return values.length === 0 ? undefined : values[random.below(values.length)];
}
