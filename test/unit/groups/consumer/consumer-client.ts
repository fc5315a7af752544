/** A member as a client of KIP-848 behaves, and the topics that it reads, for tests of the group machine. */
import type {
  ConsumerHeartbeatCommand,
  ConsumerHeartbeatReply,
} from '../../../../broker/groups/consumer/consumer-commands.ts';
import {
  difference,
  noPartitions,
  topicPartitionsOf,
} from '../../../../broker/groups/consumer/assigned-partitions.ts';
import type { AssignedPartitions } from '../../../../broker/groups/consumer/assigned-partitions.ts';
import type { TopicsView } from '../../../../broker/groups/consumer/topics-view.ts';
import { ErrorCode } from '../../../../protocol/index.ts';
import type { MachineDriver } from '../machine-driver.ts';

/** Topics whose id is their name, in as many characters as an id has. */
export class Topics implements TopicsView {
  version: number;
  readonly #counts = new Map<string, number>();
  /** Ids that do not come again. */
  readonly #deleted = new Set<string>();

  constructor(counts: Readonly<Record<string, number>> = {}, version = 0) {
    this.version = version;
    for (const [name, count] of Object.entries(counts)) this.set(name, count);
  }

  /** 0 deletes it. */
  set(name: string, count: number): void {
    this.version++;
    if (count === 0) this.#counts.delete(name);
    else this.#counts.set(name, count);
  }

  /** A topic with this id has been deleted. */
  noteDeleted(id: string): void {
    this.#deleted.add(id);
  }

  idOf(name: string): string | undefined {
    return this.#counts.has(name) ? topicId(name) : undefined;
  }

  nameOf(id: string): string | undefined {
    const name = nameOf(id);
    return this.#counts.has(name) ? name : undefined;
  }

  names(): readonly string[] {
    return [...this.#counts.keys()];
  }

  isDeleted(id: string): boolean {
    return this.#deleted.has(id);
  }

  partitionCount(id: string): number {
    return this.#counts.get(nameOf(id)) ?? 0;
  }
}

export function topicId(name: string): string {
  return name.padEnd(21, '-') + 'A';
}

function nameOf(id: string): string {
  return id.replace(/-+A$/u, '');
}

/** As `topic: partitions`, for comparing. */
export function shown(assigned: AssignedPartitions): Record<string, readonly number[]> {
  return Object.fromEntries(Array.from(assigned, ([id, partitions]) => [nameOf(id), partitions]));
}

export interface ClientOptions {
  readonly memberId: string;
  readonly instanceId?: string | null;
  readonly topics?: readonly string[];
  readonly assignor?: string | null;
  readonly rebalanceTimeoutMs?: number;
}

export class ConsumerClient {
  driver: MachineDriver;
  readonly memberId: string;
  readonly instanceId: string | null;
  topics: readonly string[];
  readonly #assignor: string | null;
  readonly #rebalanceTimeoutMs: number;
  epoch = 0;
  /** What it reads. */
  owned: AssignedPartitions = noPartitions;
  /** What it was last told to read. */
  assigned: AssignedPartitions = noPartitions;
  /** It says all of itself in its next heartbeat. */
  saysAll = true;
  last: ConsumerHeartbeatReply | undefined;

  constructor(driver: MachineDriver, options: ClientOptions) {
    this.driver = driver;
    this.memberId = options.memberId;
    this.instanceId = options.instanceId ?? null;
    this.topics = options.topics ?? ['t'];
    this.#assignor = options.assignor ?? null;
    this.#rebalanceTimeoutMs = options.rebalanceTimeoutMs ?? 60_000;
  }

  /** `obeys`: it takes up at once what it is told. One that does not goes on with what it has. */
  heartbeat({ obeys = true, ...change }: Partial<ConsumerHeartbeatCommand> & { obeys?: boolean } = {}) {
    const all = this.saysAll || this.epoch === 0;
    const command: ConsumerHeartbeatCommand = {
      kind: 'consumer-heartbeat',
      groupId: 'g',
      memberId: this.memberId,
      memberEpoch: this.epoch,
      instanceId: this.instanceId,
      rackId: null,
      rebalanceTimeoutMs: all ? this.#rebalanceTimeoutMs : -1,
      topicNames: all ? this.topics : null,
      topicRegex: null,
      matchingTopics: [],
      serverAssignor: all ? this.#assignor : null,
      owned: topicPartitionsOf(this.epoch === 0 ? noPartitions : this.owned),
      clientId: 'client',
      clientHost: '/127.0.0.1',
      ...change,
    };
    const reply = this.driver.answer(command);
    this.last = reply;
    this.#take(reply, obeys);
    return reply;
  }

  leave(memberEpoch = -1): ConsumerHeartbeatReply {
    const reply = this.driver.answer({
      kind: 'consumer-heartbeat',
      groupId: 'g',
      memberId: this.memberId,
      memberEpoch,
      instanceId: this.instanceId,
      rackId: null,
      rebalanceTimeoutMs: -1,
      topicNames: null,
      topicRegex: null,
      matchingTopics: [],
      serverAssignor: null,
      owned: null,
      clientId: 'client',
      clientHost: '/127.0.0.1',
    });
    this.owned = noPartitions;
    this.assigned = noPartitions;
    this.epoch = 0;
    return reply;
  }

  /** Whether it has all that it was told, and no more. */
  get isSettled(): boolean {
    return (
      difference(this.owned, this.assigned).size === 0 && difference(this.assigned, this.owned).size === 0
    );
  }

  #take({ errorCode, memberEpoch, assignment }: ConsumerHeartbeatReply, obeys: boolean): void {
    if (errorCode === ErrorCode.FENCED_MEMBER_EPOCH || errorCode === ErrorCode.UNKNOWN_MEMBER_ID) {
      this.epoch = 0;
      this.owned = noPartitions;
      this.assigned = noPartitions;
      this.saysAll = true;
      return;
    }
    if (errorCode !== ErrorCode.NONE) return;
    this.epoch = memberEpoch;
    this.saysAll = false;
    if (assignment !== null) this.assigned = assignment;
    if (obeys) this.owned = this.assigned;
  }
}
