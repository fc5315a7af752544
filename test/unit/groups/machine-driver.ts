/** Drives a group machine by hand: its own clock, its timers, and the records and replies that come out. */
import { ShardTimers } from '../../../broker/coordinator/shard-timers.ts';
import type { Effects, RequestId } from '../../../broker/coordinator/state-machine.ts';
import type {
  CommitCommand,
  GroupCommand,
  GroupReply,
  GroupTimerEvent,
  HeartbeatReply,
  JoinCommand,
  JoinReply,
  LeaveReply,
  ReplyTo,
  SyncReply,
} from '../../../broker/groups/group-commands.ts';
import { noTopicId, replyTo } from '../../../broker/groups/group-commands.ts';
import type { TopicsView } from '../../../broker/groups/consumer/topics-view.ts';
import { defaultConsumerGroupConfig, defaultGroupConfig } from '../../../broker/groups/group-config.ts';
import type { ConsumerGroupConfig, GroupConfig } from '../../../broker/groups/group-config.ts';
import { GroupMachine } from '../../../broker/groups/group-machine.ts';
import { Group } from '../../../broker/groups/group.ts';
import type { MigrationNotice } from '../../../broker/groups/migration/migration-notice.ts';
import { ErrorCode, errorName } from '../../../protocol/index.ts';

export interface DrivenRecord {
  readonly key: Buffer;
  readonly value: Buffer | null;
  /** In ms; 0 where absent. */
  readonly timestamp?: number;
}

/** A request that was made: its reply, once there is one. */
export interface Asked<Reply> {
  readonly id: RequestId;
  readonly reply: Reply | undefined;
}

/** A cluster without topics. */
export const noTopics: TopicsView = {
  version: 0,
  idOf: () => undefined,
  nameOf: () => undefined,
  names: () => [],
  isDeleted: () => false,
  partitionCount: () => 0,
};

export const startWallMs = 1_700_000_000_000;

export interface DriverOptions {
  readonly nowMs?: number;
  readonly consumerConfig?: Partial<ConsumerGroupConfig>;
  readonly topics?: TopicsView;
}

export class MachineDriver {
  config: GroupConfig;
  consumerConfig: ConsumerGroupConfig;
  topics: TopicsView;
  nowMs = 0;
  readonly records: DrivenRecord[];
  /** How many records the log had when the last step began. */
  recordsBefore = 0;
  readonly machine: GroupMachine;
  /** Of groups that changed their protocol, or could not. */
  readonly notices: MigrationNotice[] = [];
  readonly replies = new Map<RequestId, GroupReply>();
  readonly #timers = new ShardTimers<GroupTimerEvent>();
  #lastRequest = 0;
  recordSizeBytesMax = 1_000_000;
  /** Shared with coordinators that take over: an id is given once. */
  freshIds = { given: 0 };

  constructor(
    config: Partial<GroupConfig> = {},
    records: readonly DrivenRecord[] = [],
    { nowMs = 0, consumerConfig = {}, topics = noTopics }: DriverOptions = {},
  ) {
    this.consumerConfig = { ...defaultConsumerGroupConfig, ...consumerConfig };
    this.topics = topics;
    this.config = { ...defaultGroupConfig, ...config };
    this.records = [...records];
    this.nowMs = nowMs;
    this.machine = new GroupMachine({
      config: () => this.config,
      consumerConfig: () => this.consumerConfig,
      topics: () => this.topics,
      onMigration: (notice) => this.notices.push(notice),
    });
    for (const [offset, { key, value, timestamp = 0 }] of records.entries()) {
      this.machine.replay({ offset, timestamp, key, value, producerId: -1 });
    }
    this.machine.activate(this.#effects());
  }

  /** What a coordinator elsewhere would have, that read the first `recordCount` records of this one. */
  reloaded(recordCount = this.records.length): MachineDriver {
    const { config, nowMs, consumerConfig, topics } = this;
    const records = this.records.slice(0, recordCount);
    const driver = new MachineDriver(config, records, { nowMs, consumerConfig, topics });
    driver.freshIds = this.freshIds;
    return driver;
  }

  ask<Command extends GroupCommand>(command: Command): Asked<ReplyTo<Command>> {
    this.#lastRequest += 1;
    const id = this.#lastRequest;
    this.recordsBefore = this.records.length;
    this.machine.execute(command, id, this.#effects());
    const { replies } = this;
    return {
      id,
      get reply() {
        const reply = replies.get(id);
        return reply && replyTo(command, reply);
      },
    };
  }

  /** Asks what is answered at once. */
  answer<Command extends GroupCommand>(command: Command): ReplyTo<Command> {
    const { reply } = this.ask(command);
    if (reply === undefined) throw new Error(`${command.kind} was not answered at once`);
    return reply;
  }

  /** Moves time on, firing each timer at its deadline. */
  advance(byMs: number): void {
    const untilMs = this.nowMs + byMs;
    for (;;) {
      const deadlineMs = this.#timers.nextDeadlineMs;
      if (deadlineMs === undefined || deadlineMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, deadlineMs);
      const event = this.#timers.popDue(this.nowMs);
      this.recordsBefore = this.records.length;
      if (event !== undefined) this.machine.expire(event, this.#effects());
    }
    this.nowMs = untilMs;
  }

  get wallMs(): number {
    return startWallMs + this.nowMs;
  }

  /** Undefined for one that goes by the other protocol as well. */
  group(groupId = 'g'): Group | undefined {
    const group = this.machine.groups.get(groupId);
    return group instanceof Group ? group : undefined;
  }

  member(name: string, options: Partial<JoinCommand> = {}): DrivenMember {
    return new DrivenMember(this, name, options);
  }

  commit(offsets: Readonly<Record<string, number>>, options: Partial<CommitCommand> = {}): string[] {
    const reply = this.answer(commitCommand(offsets, options));
    return reply.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorName(errorCode)));
  }

  /** All that the group has committed, as 'topic-partition' to offset. */
  committed(groupId = 'g'): Record<string, number> {
    const { topics } = this.answer({ kind: 'fetch-offsets', groupId, topics: null });
    return Object.fromEntries(
      topics.flatMap(({ name, partitions }) =>
        partitions.map((partition) => [`${name}-${partition.partitionIndex}`, partition.committedOffset]),
      ),
    );
  }

  #effects(): Effects<GroupReply, GroupTimerEvent> {
    return {
      monotonicMs: this.nowMs,
      wallMs: this.wallMs,
      recordSizeBytesMax: this.recordSizeBytesMax,
      append: (key, value) => {
        this.records.push({ key, value, timestamp: this.wallMs });
      },
      reply: (request, reply) => {
        if (this.replies.has(request)) throw new Error(`request ${request} is answered twice`);
        this.replies.set(request, reply);
      },
      arm: (timer, delayMs) => this.#timers.arm(timer, this.nowMs + delayMs),
      disarm: (timer) => this.#timers.disarm(timer),
    };
  }
}

export function commitCommand(
  offsets: Readonly<Record<string, number>>,
  options: Partial<CommitCommand> = {},
): CommitCommand {
  return {
    kind: 'commit',
    groupId: 'g',
    generationId: -1,
    memberId: '',
    groupInstanceId: null,
    retentionTimeMs: -1,
    supportsGroupIdNotFound: true,
    topics: Object.entries(offsets).map(([key, committedOffset]) => {
      const [name, partition] = key.split('-');
      return {
        name: name!,
        topicId: noTopicId,
        partitions: [
          {
            partitionIndex: Number(partition),
            committedOffset,
            committedLeaderEpoch: -1,
            committedMetadata: null,
          },
        ],
      };
    }),
    ...options,
  };
}

/** One client of a group, which remembers what it was told. */
export class DrivenMember {
  readonly driver: MachineDriver;
  readonly name: string;
  readonly options: Partial<JoinCommand>;
  memberId = '';
  generationId = -1;
  joined: Asked<JoinReply> | undefined = undefined;
  synced: Asked<SyncReply> | undefined = undefined;

  constructor(driver: MachineDriver, name: string, options: Partial<JoinCommand> = {}) {
    this.driver = driver;
    this.name = name;
    this.options = options;
  }

  joinCommand(): JoinCommand {
    this.driver.freshIds.given += 1;
    return {
      kind: 'join',
      groupId: 'g',
      memberId: this.memberId,
      freshMemberId: `${this.name}-fresh-${this.driver.freshIds.given}`,
      groupInstanceId: null,
      clientId: this.name,
      clientHost: '/10.0.0.1',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription(['t']) }],
      requiresKnownMemberId: true,
      supportsSkipAssignment: true,
      ...this.options,
    };
  }

  /** Sends JoinGroup, again with the id where one is given out. */
  join(options: Partial<JoinCommand> = {}): Asked<JoinReply> {
    this.joined = this.driver.ask({ ...this.joinCommand(), ...options });
    if (this.joined.reply?.errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
      this.memberId = this.joined.reply.memberId;
      this.joined = this.driver.ask({ ...this.joinCommand(), ...options });
    }
    return this.joined;
  }

  /** Takes over what the join reply said; fails where it has not come or is an error. */
  accept(): JoinReply {
    const reply = this.joined?.reply;
    if (reply?.errorCode !== ErrorCode.NONE) {
      throw new Error(`${this.name} has not joined: ${reply ? errorName(reply.errorCode) : 'no answer'}`);
    }
    this.memberId = reply.memberId;
    this.generationId = reply.generationId;
    return reply;
  }

  sync(assignments: Readonly<Record<string, string>> = {}): Asked<SyncReply> {
    const bytes = Object.entries(assignments).map(
      ([memberId, text]) => [memberId, Buffer.from(text)] as const,
    );
    return this.syncBytes(Object.fromEntries(bytes));
  }

  syncBytes(assignments: Readonly<Record<string, Buffer>>): Asked<SyncReply> {
    this.synced = this.driver.ask({
      kind: 'sync',
      groupId: this.options.groupId ?? 'g',
      generationId: this.generationId,
      memberId: this.memberId,
      groupInstanceId: this.options.groupInstanceId ?? null,
      protocolType: null,
      protocolName: null,
      assignments: Object.entries(assignments).map(([memberId, assignment]) => ({
        memberId,
        assignment,
      })),
    });
    return this.synced;
  }

  heartbeat(): string {
    const reply: HeartbeatReply = this.driver.answer({
      kind: 'heartbeat',
      groupId: this.options.groupId ?? 'g',
      generationId: this.generationId,
      memberId: this.memberId,
      groupInstanceId: this.options.groupInstanceId ?? null,
    });
    return errorName(reply.errorCode);
  }

  leave(): LeaveReply {
    return this.driver.answer({
      kind: 'leave',
      groupId: this.options.groupId ?? 'g',
      members: [{ memberId: this.memberId, groupInstanceId: this.options.groupInstanceId ?? null }],
    });
  }

  commit(offsets: Readonly<Record<string, number>>): string[] {
    return this.driver.commit(offsets, {
      groupId: this.options.groupId ?? 'g',
      generationId: this.generationId,
      memberId: this.memberId,
      groupInstanceId: this.options.groupInstanceId ?? null,
    });
  }
}

/** Joins all members, lets the initial delay pass and syncs them: each gets its name as assignment. */
export function stabilize(driver: MachineDriver, members: readonly DrivenMember[]): void {
  for (const member of members) member.join();
  if (members[0]!.joined?.reply === undefined) driver.advance(driver.config.initialRebalanceDelayMs * 2);
  syncAll(members);
}

export function syncAll(members: readonly DrivenMember[]): void {
  for (const member of members) member.accept();
  const assignments = Object.fromEntries(members.map(({ memberId, name }) => [memberId, name]));
  for (const member of members) member.sync(assignments);
  for (const { synced, name } of members) {
    const reply = synced?.reply;
    if (reply?.errorCode !== ErrorCode.NONE || reply.assignment.toString() !== name) {
      throw new Error(`${name} did not get its assignment`);
    }
  }
}

/** The metadata of a consumer that subscribes to these topics (version 0, no user data). */
export function subscription(topics: readonly string[], version = 0): Buffer {
  const head = Buffer.alloc(6);
  head.writeInt16BE(version, 0);
  head.writeInt32BE(topics.length, 2);
  const names = topics.map((topic) => {
    const size = Buffer.alloc(2);
    size.writeInt16BE(Buffer.byteLength(topic));
    return Buffer.concat([size, Buffer.from(topic)]);
  });
  const noUserData = Buffer.from([0xff, 0xff, 0xff, 0xff]);
  return Buffer.concat([head, ...names, noUserData]);
}

/** What must survive a coordinator: groups that are stable or empty, and all offsets. */
export function durablePart(driver: MachineDriver) {
  return [...driver.machine.groups.values()]
    .filter((group) => group instanceof Group)
    .filter((group) => group.state === 'Stable' || group.state === 'Empty')
    .filter((group) => group.hasRecord || group.offsets.topics.size > 0)
    .map((group) => ({
      groupId: group.groupId,
      state: group.state,
      generationId: group.generationId,
      protocolType: group.protocolType,
      protocolName: group.protocolName,
      leaderId: group.leaderId,
      stateTimestampMs: group.hasRecord ? group.stateTimestampMs : undefined,
      subscribedTopics: group.hasRecord ? [...(group.subscribedTopics ?? ['?'])].sort() : undefined,
      staticMembers: [...group.staticMembers].map(([instance, member]) => `${instance}: ${member}`).sort(),
      members: [...group.members.values()].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        sessionTimeoutMs: member.sessionTimeoutMs,
        rebalanceTimeoutMs: member.rebalanceTimeoutMs,
        metadata: group.metadataOf(member).toString('hex'),
        assignment: member.assignment.toString('hex'),
      })),
      offsets: [...group.offsets.topics]
        .flatMap(([topic, partitions]) =>
          [...partitions].map(([partition, offset]) => ({ topic, partition, ...offset })),
        )
        .sort((a, b) => `${a.topic}-${a.partition}`.localeCompare(`${b.topic}-${b.partition}`)),
    }))
    .sort((a, b) => a.groupId.localeCompare(b.groupId));
}
