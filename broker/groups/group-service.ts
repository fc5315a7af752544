/**
 * The group coordinator of one node: routes each group to the shard that owns its partition of `__consumer_offsets`, and
 * answers for the shards that this node does not have. Whoever keeps the partitions calls `lead` and `resign` as
 * leadership comes and goes; handlers call the rest.
 *
 * Invariant: at most one shard for each partition, and it is of the newest term.
 */
import { assert } from '../../platform/assert.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Ids } from '../../platform/ids.ts';
import { ErrorCode, partitionOfCoordinator } from '../../protocol/index.ts';
import type { AnyGroup } from './any-group.ts';
import type { CoordinatorLog } from '../coordinator/coordinator-log.ts';
import { CoordinatorShard } from '../coordinator/shard.ts';
import type { ShardState, Unavailability } from '../coordinator/shard.ts';
import type {
  CommitCommand,
  CommitReply,
  DeleteGroupReply,
  DeleteOffsetsCommand,
  DeleteOffsetsReply,
  DescribeGroupReply,
  FetchOffsetsCommand,
  FetchOffsetsReply,
  GroupCommand,
  GroupReply,
  GroupTimerEvent,
  HeartbeatCommand,
  HeartbeatReply,
  JoinCommand,
  JoinReply,
  LeaveCommand,
  LeaveReply,
  ListedGroup,
  ListGroupsCommand,
  ReplyTo,
  SyncCommand,
  SyncReply,
} from './group-commands.ts';
import { replyTo } from './group-commands.ts';
import type {
  ConsumerHeartbeatCommand,
  ConsumerHeartbeatReply,
  DescribeConsumerGroupReply,
} from './consumer/consumer-commands.ts';
import { undescribed } from './consumer/consumer-describing.ts';
import { heartbeatRefusal } from './consumer/consumer-heartbeat.ts';
import { PatternSubscriptions } from './consumer/pattern-subscriptions.ts';
import type { TopicsView } from './consumer/topics-view.ts';
import type { ConsumerGroupConfig, GroupConfig } from './group-config.ts';
import type { NoticeMigration } from './migration/migration-notice.ts';
import { GroupMachine } from './group-machine.ts';
import { joinError, syncError } from './group-step.ts';

/** The topic whose partitions hold the groups. */
export const groupsTopic = '__consumer_offsets';

export interface GroupServiceOptions {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly config: () => GroupConfig;
  readonly consumerConfig: (groupId: string) => ConsumerGroupConfig;
  readonly topics: () => TopicsView;
  /** Partitions of `__consumer_offsets`: as it is, or as it will be made. */
  readonly partitionCount: () => number;
  /** Largest batch that a partition of `__consumer_offsets` takes, in bytes. */
  readonly batchSizeBytesMax: () => number;
  /** Told when a shard could not load or lost its log; its groups have no coordinator until they are loaded again, or the next `lead`. */
  readonly onShardFailure: (partition: number, cause: unknown) => void;
  /** Told of patterns that match more topics than a record holds: what they matched before still counts. */
  readonly onLargePatterns: (groupId: string, patterns: readonly string[]) => void;
  /** Told of groups that change their protocol, or cannot. */
  readonly onMigration?: NoticeMigration;
}

type GroupShard = CoordinatorShard<GroupCommand, GroupReply, GroupTimerEvent>;
type Body<Command> = Omit<Command, 'kind'>;

interface Loading {
  readonly log: CoordinatorLog;
  readonly openLog: () => CoordinatorLog;
  /** Until it is tried again where it fails. */
  readonly pauseMs: number;
}

const reloadMsMin = 1_000;
const reloadMsMax = 60_000;

export class GroupService {
  readonly #options: GroupServiceOptions;
  readonly #shards = new Map<number, GroupShard>();
  /** Partitions whose groups could not be loaded or kept, and will be loaded again. */
  readonly #failed = new Set<number>();
  /** Of each shard its groups, for reading. */
  readonly #machines = new Map<number, GroupMachine>();
  readonly #patterns: PatternSubscriptions;

  constructor(options: GroupServiceOptions) {
    this.#options = options;
    this.#patterns = new PatternSubscriptions({
      ...options,
      submit: (command) => this.#shards.get(this.partitionFor(command.groupId))?.submit(command),
    });
  }

  /** The partition of `__consumer_offsets` that holds a group: Kafka's own choice, so that all brokers and tools agree. */
  partitionFor(groupId: string): number {
    return partitionOfCoordinator(groupId, this.#options.partitionCount());
  }

  /**
   * This node now leads `partition`, in the term of the log that is opened. Resolves when its groups are loaded (or it has ended before).
   * Where they could not be loaded or kept they are loaded again after a while, from the log opened anew.
   */
  lead(partition: number, openLog: () => CoordinatorLog): Promise<void> {
    const log = openLog();
    const previous = this.#shards.get(partition);
    assert(
      previous === undefined || previous.term < log.term,
      'leadership of a partition must come in a newer term',
    );
    previous?.unload();
    return this.#load(partition, { log, openLog, pauseMs: reloadMsMin });
  }

  #load(partition: number, { log, openLog, pauseMs }: Loading): Promise<void> {
    const { clock } = this.#options;
    const reload = (): void => {
      if (this.#shards.get(partition) !== shard) return;
      const next = { log: openLog(), openLog, pauseMs: Math.min(pauseMs * 2, reloadMsMax) };
      // Of another term: whoever leads in it has been told, or will be.
      if (next.log.term === log.term) void this.#load(partition, next);
    };
    const machine = new GroupMachine(this.#options);
    this.#machines.set(partition, machine);
    const shard: GroupShard = new CoordinatorShard({
      log,
      clock: this.#options.clock,
      machine,
      batchSizeBytesMax: this.#options.batchSizeBytesMax,
      onFailure: (cause) => {
        this.#options.onShardFailure(partition, cause);
        this.#failed.add(partition);
        clock.after(pauseMs, reload);
      },
    });
    this.#shards.set(partition, shard);
    this.#failed.delete(partition);
    return shard.load();
  }

  /** This node no longer leads `partition`, or the partition is gone. Does nothing where it did not lead. */
  resign(partition: number): void {
    this.#shards.get(partition)?.unload();
    this.#shards.delete(partition);
    this.#failed.delete(partition);
    this.#machines.delete(partition);
  }

  /** Ends all shards; who waits is answered NOT_COORDINATOR. */
  close(): void {
    for (const partition of this.#shards.keys()) this.resign(partition);
  }

  /** In which term this node leads `partition`; undefined where it does not. */
  termOf(partition: number): number | undefined {
    return this.#shards.get(partition)?.term;
  }

  /** State of a partition's shard; 'unloaded' where this node does not lead it. */
  stateOf(partition: number): ShardState {
    return this.#shards.get(partition)?.state ?? 'unloaded';
  }

  /** How many of the partitions that this node leads are in which state; those that failed are loaded again. */
  get shardCounts(): { readonly loading: number; readonly active: number; readonly failed: number } {
    const counts = { loading: 0, active: 0, failed: this.#failed.size };
    for (const { state } of this.#shards.values()) {
      if (state === 'loading' || state === 'active') counts[state] += 1;
    }
    return counts;
  }

  /** Over all partitions that this node leads: what of their logs its groups lack, while they load or where that has failed. */
  get applyLagRecords(): number {
    let lag = 0;
    for (const shard of this.#shards.values()) lag += shard.applyLagRecords;
    return lag;
  }

  /**
   * The groups that this node coordinates, as they are now, for reading only; those of partitions that load are not among them. Who goes
   * through them may do other things meanwhile: groups that come are met or not, those that go as well.
   */
  *coordinated(): Generator<AnyGroup> {
    for (const [partition, machine] of this.#machines) {
      if (this.stateOf(partition) === 'active') yield* machine.groups.values();
    }
  }

  /** One of them. */
  coordinatedGroup(groupId: string): AnyGroup | undefined {
    const partition = this.partitionFor(groupId);
    return this.stateOf(partition) === 'active'
      ? this.#machines.get(partition)?.groups.get(groupId)
      : undefined;
  }

  join(request: Omit<Body<JoinCommand>, 'freshMemberId'>): Promise<JoinReply> {
    const freshMemberId =
      request.memberId === ''
        ? `${request.groupInstanceId ?? request.clientId}-${dashed(this.#options.ids.uuid())}`
        : '';
    const command: JoinCommand = { ...request, kind: 'join', freshMemberId };
    return this.#run(command, (error) => joinError(error, request.memberId));
  }

  sync(request: Body<SyncCommand>): Promise<SyncReply> {
    return this.#run({ ...request, kind: 'sync' } satisfies SyncCommand, syncError);
  }

  /** While a shard loads, nobody's session runs, so that any heartbeat is answered as if all were well (as Kafka does). */
  heartbeat(request: Body<HeartbeatCommand>): Promise<HeartbeatReply> {
    return this.#run({ ...request, kind: 'heartbeat' } satisfies HeartbeatCommand, (error) => ({
      errorCode: error === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS ? ErrorCode.NONE : error,
    }));
  }

  /**
   * `maySee` says which topics the member may read by a pattern. The topics that match are found before the group hears of the member,
   * so that what it is told counts them.
   */
  async consumerHeartbeat(
    request: Omit<Body<ConsumerHeartbeatCommand>, 'matchingTopics'>,
    maySee: (topic: string) => boolean = () => true,
  ): Promise<ConsumerHeartbeatReply> {
    const unavailable = (errorCode: ErrorCode): ConsumerHeartbeatReply =>
      heartbeatRefusal(request, { errorCode, message: null });
    const { groupId, topicRegex } = request;
    if (!this.#shards.has(this.partitionFor(groupId))) return unavailable(ErrorCode.NOT_COORDINATOR);
    const matching = await this.#patterns.matching(topicRegex ?? '', maySee);
    if ('message' in matching) return heartbeatRefusal(request, matching);
    const command = { ...request, kind: 'consumer-heartbeat', matchingTopics: matching.topics } as const;
    const reply = await this.#run(command, unavailable);
    this.#patterns.refresh(groupId, reply.stalePatterns, maySee);
    return reply;
  }

  /** An id for a member of a consumer group that brings none. */
  freshMemberId(): string {
    return this.#options.ids.uuid();
  }

  describeConsumerGroup(groupId: string): Promise<DescribeConsumerGroupReply> {
    return this.#run({ kind: 'describe-consumer-group', groupId }, (error) => undescribed(error, null));
  }

  leave(request: Body<LeaveCommand>): Promise<LeaveReply> {
    return this.#run({ ...request, kind: 'leave' } satisfies LeaveCommand, (error) => ({
      errorCode: error,
      members: [],
    }));
  }

  commitOffsets(request: Body<CommitCommand>): Promise<CommitReply> {
    return this.#run({ ...request, kind: 'commit' } satisfies CommitCommand, (error) => ({
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: error })),
      })),
    }));
  }

  /** What was committed and acknowledged before is in the answer: a coordinator that is none any more gives none. */
  async fetchOffsets(request: Body<FetchOffsetsCommand>): Promise<FetchOffsetsReply> {
    const shard = this.#shards.get(this.partitionFor(request.groupId));
    const unavailable = (errorCode: ErrorCode): FetchOffsetsReply => ({ errorCode, topics: [] });
    const reply = await this.#run(
      { ...request, kind: 'fetch-offsets' } satisfies FetchOffsetsCommand,
      unavailable,
    );
    if (reply.errorCode !== ErrorCode.NONE || (await shard?.confirm()) === true) return reply;
    return unavailable(ErrorCode.NOT_COORDINATOR);
  }

  deleteOffsets(request: Body<DeleteOffsetsCommand>): Promise<DeleteOffsetsReply> {
    return this.#run({ ...request, kind: 'delete-offsets' } satisfies DeleteOffsetsCommand, (error) => ({
      errorCode: error,
      topics: [],
    }));
  }

  deleteGroup(groupId: string): Promise<DeleteGroupReply> {
    return this.#run({ kind: 'delete-group', groupId }, (error) => ({ errorCode: error }));
  }

  describeGroup(groupId: string): Promise<DescribeGroupReply> {
    return this.#run({ kind: 'describe-group', groupId }, (error) => ({
      errorCode: error,
      errorMessage: null,
      groupState: '',
      protocolType: '',
      protocolData: '',
      members: [],
    }));
  }

  /** The groups that this node coordinates. COORDINATOR_LOAD_IN_PROGRESS, or COORDINATOR_NOT_AVAILABLE, where some of them cannot be told just now. */
  async listGroups(
    request: Body<ListGroupsCommand>,
  ): Promise<{ errorCode: ErrorCode; groups: ListedGroup[] }> {
    const command: ListGroupsCommand = { ...request, kind: 'list-groups' };
    if (this.#failed.size > 0) return { errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, groups: [] };
    const outcomes = await Promise.all([...this.#shards.values()].map((shard) => shard.submit(command)));
    const groups: ListedGroup[] = [];
    for (const outcome of outcomes) {
      if (outcome.kind === 'replied') groups.push(...replyTo(command, outcome.reply).groups);
      else if (outcome.reason !== 'not-coordinator')
        return { errorCode: errorOfUnavailability[outcome.reason], groups: [] };
    }
    return { errorCode: ErrorCode.NONE, groups };
  }

  /** The topics have been deleted: offsets committed for them go, in every partition that this node leads. */
  async forgetTopics(names: readonly string[]): Promise<void> {
    const command: GroupCommand = { kind: 'forget-topics', names: new Set(names) };
    await Promise.all([...this.#shards.values()].map((shard) => shard.submit(command)));
  }

  async #run<Command extends Extract<GroupCommand, { groupId: string }>>(
    command: Command,
    unavailable: (error: ErrorCode) => ReplyTo<Command>,
  ): Promise<ReplyTo<Command>> {
    const shard = this.#shards.get(this.partitionFor(command.groupId));
    if (shard === undefined) return unavailable(ErrorCode.NOT_COORDINATOR);
    const outcome = await shard.submit(command);
    if (outcome.kind === 'unavailable') return unavailable(errorOfUnavailability[outcome.reason]);
    return replyTo(command, outcome.reply);
  }
}

const errorOfUnavailability: Readonly<Record<Unavailability, ErrorCode>> = {
  loading: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  busy: ErrorCode.COORDINATOR_NOT_AVAILABLE,
  'not-coordinator': ErrorCode.NOT_COORDINATOR,
};

/** A UUID in the form that member ids have in Kafka. */
function dashed(uuid: string): string {
  const hex = Buffer.from(uuid, 'base64url').toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5');
}
