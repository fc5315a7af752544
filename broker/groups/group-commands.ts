/**
 * What can be asked of the group state machine, and what it answers: independent of the versions of the wire protocol.
 * Buffers in commands may be slices of a request; the machine copies what it keeps.
 */
import type { ErrorCode } from '../../protocol/index.ts';
import type {
  ConsumerHeartbeatCommand,
  ConsumerHeartbeatReply,
  DescribeConsumerGroupCommand,
  DescribeConsumerGroupReply,
  RefreshPatternsCommand,
  RefreshPatternsReply,
} from './consumer/consumer-commands.ts';

export interface JoinCommand {
  readonly kind: 'join';
  readonly groupId: string;
  /** Empty for a member that has no id yet. */
  readonly memberId: string;
  /** The id that a member without one is to get. */
  readonly freshMemberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  /** In the member's order of preference. */
  readonly protocols: readonly JoinProtocol[];
  /** Whether a new dynamic member is told its id and has to come back with it (JoinGroup v4+). */
  readonly requiresKnownMemberId: boolean;
  /** Whether the client understands `skipAssignment` (JoinGroup v9+). */
  readonly supportsSkipAssignment: boolean;
}

export interface JoinProtocol {
  readonly name: string;
  readonly metadata: Buffer;
}

export interface JoinReply {
  readonly errorCode: ErrorCode;
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leader: string;
  readonly skipAssignment: boolean;
  readonly memberId: string;
  readonly members: readonly JoinedMember[];
}

export interface JoinedMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly metadata: Buffer;
}

export interface SyncCommand {
  readonly kind: 'sync';
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  /** Null where the request's version does not tell (before v5). */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[];
}

export interface SyncReply {
  readonly errorCode: ErrorCode;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
}

export interface HeartbeatCommand {
  readonly kind: 'heartbeat';
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

export interface HeartbeatReply {
  readonly errorCode: ErrorCode;
}

export interface LeaveCommand {
  readonly kind: 'leave';
  readonly groupId: string;
  /** An empty member id with an instance id removes whoever holds that instance id. */
  readonly members: readonly { readonly memberId: string; readonly groupInstanceId: string | null }[];
}

export interface LeaveReply {
  readonly errorCode: ErrorCode;
  readonly members: readonly {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly errorCode: ErrorCode;
  }[];
}

export interface CommitCommand {
  readonly kind: 'commit';
  readonly groupId: string;
  /** Negative for a commit outside of group membership. */
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  /** -1 for the broker's own retention. */
  readonly retentionTimeMs: number;
  /** Whether an unknown group is answered GROUP_ID_NOT_FOUND (v9+) and not ILLEGAL_GENERATION. */
  readonly supportsGroupIdNotFound: boolean;
  readonly topics: readonly CommitTopic[];
}

export interface CommitTopic {
  readonly name: string;
  /** All zeros (see `noTopicId`) where it is not known. */
  readonly topicId: string;
  readonly partitions: readonly {
    readonly partitionIndex: number;
    readonly committedOffset: number;
    readonly committedLeaderEpoch: number;
    readonly committedMetadata: string | null;
  }[];
}

/** One error for each partition of the command, in the same order. */
export interface CommitReply {
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: ErrorCode }[];
  }[];
}

export interface FetchOffsetsCommand {
  readonly kind: 'fetch-offsets';
  readonly groupId: string;
  /** The member that asks; undefined for whoever need not be one. */
  readonly member?: { readonly memberId: string; readonly memberEpoch: number } | undefined;
  /** Null for all that the group has committed. */
  readonly topics: readonly FetchOffsetsTopic[] | null;
}

export interface FetchOffsetsTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitionIndexes: readonly number[];
}

export interface FetchOffsetsReply {
  readonly errorCode: ErrorCode;
  readonly topics: readonly {
    readonly name: string;
    readonly topicId: string;
    readonly partitions: readonly FetchedOffset[];
  }[];
}

export interface FetchedOffset {
  readonly partitionIndex: number;
  /** -1 where none is committed. */
  readonly committedOffset: number;
  readonly committedLeaderEpoch: number;
  readonly metadata: string;
  readonly errorCode: ErrorCode;
}

export interface DeleteOffsetsCommand {
  readonly kind: 'delete-offsets';
  readonly groupId: string;
  readonly topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[];
}

export interface DeleteOffsetsReply {
  readonly errorCode: ErrorCode;
  readonly topics: readonly {
    readonly name: string;
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: ErrorCode }[];
  }[];
}

export interface DeleteGroupCommand {
  readonly kind: 'delete-group';
  readonly groupId: string;
}

export interface DeleteGroupReply {
  readonly errorCode: ErrorCode;
}

export interface DescribeGroupCommand {
  readonly kind: 'describe-group';
  readonly groupId: string;
}

export interface DescribeGroupReply {
  /** GROUP_ID_NOT_FOUND for an unknown group, whose state reads 'Dead' then. */
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
  readonly groupState: string;
  readonly protocolType: string;
  readonly protocolData: string;
  readonly members: readonly DescribedMember[];
}

export interface DescribedMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly memberMetadata: Buffer;
  readonly memberAssignment: Buffer;
}

export interface ListGroupsCommand {
  readonly kind: 'list-groups';
  /** Lower-case names; empty for all. */
  readonly states: ReadonlySet<string>;
  readonly types: ReadonlySet<string>;
}

export interface ListGroupsReply {
  readonly groups: readonly ListedGroup[];
}

export interface ListedGroup {
  readonly groupId: string;
  readonly protocolType: string;
  readonly groupState: string;
  readonly groupType: string;
}

/** The topics exist no more: what groups have committed for them goes. */
export interface ForgetTopicsCommand {
  readonly kind: 'forget-topics';
  readonly names: ReadonlySet<string>;
}

export interface ForgetTopicsReply {
  readonly removedOffsets: number;
}

/** Each command with its reply. */
export interface GroupOperations {
  join: { command: JoinCommand; reply: JoinReply };
  sync: { command: SyncCommand; reply: SyncReply };
  heartbeat: { command: HeartbeatCommand; reply: HeartbeatReply };
  leave: { command: LeaveCommand; reply: LeaveReply };
  commit: { command: CommitCommand; reply: CommitReply };
  'fetch-offsets': { command: FetchOffsetsCommand; reply: FetchOffsetsReply };
  'delete-offsets': { command: DeleteOffsetsCommand; reply: DeleteOffsetsReply };
  'delete-group': { command: DeleteGroupCommand; reply: DeleteGroupReply };
  'describe-group': { command: DescribeGroupCommand; reply: DescribeGroupReply };
  'list-groups': { command: ListGroupsCommand; reply: ListGroupsReply };
  'consumer-heartbeat': { command: ConsumerHeartbeatCommand; reply: ConsumerHeartbeatReply };
  'describe-consumer-group': { command: DescribeConsumerGroupCommand; reply: DescribeConsumerGroupReply };
  'refresh-patterns': { command: RefreshPatternsCommand; reply: RefreshPatternsReply };
  'forget-topics': { command: ForgetTopicsCommand; reply: ForgetTopicsReply };
}

export type GroupCommand = GroupOperations[keyof GroupOperations]['command'];
export type GroupReply = GroupOperations[keyof GroupOperations]['reply'];
export type ReplyTo<Command extends GroupCommand> = GroupOperations[Command['kind']]['reply'];

/** A reply as what it is known to be: the answer to that command. */
export function replyTo<Command extends GroupCommand>(
  _command: Command,
  reply: GroupReply,
): ReplyTo<Command> {
  return reply;
}

/** Timers of a group; each names what it is about, so that one which outlived its subject does nothing. */
export type GroupTimerEvent =
  /** A member has not been heard of for its session timeout (or, when pending, has not come back with its id). */
  | { readonly kind: 'session'; readonly groupId: string; readonly memberId: string }
  /** The time for members to rejoin is over. */
  | { readonly kind: 'join'; readonly groupId: string }
  /** The time for members to send SyncGroup is over. */
  | { readonly kind: 'sync'; readonly groupId: string }
  /** A member of a consumer group has had its time to give up partitions. */
  | { readonly kind: 'revocation'; readonly groupId: string; readonly memberId: string }
  /** A member of the classic protocol in a consumer group was told to rejoin, and has had its time for it. */
  | { readonly kind: 'member-join'; readonly groupId: string; readonly memberId: string }
  /** Such a member has joined, and has had its time to fetch its assignment by SyncGroup. */
  | { readonly kind: 'member-sync'; readonly groupId: string; readonly memberId: string }
  /** The time since the last target assignment of a consumer group is over. */
  | { readonly kind: 'assignment'; readonly groupId: string }
  /** Offsets whose retention is over are looked for. */
  | { readonly kind: 'expire-offsets' };

/** Kafka's zero UUID: a topic whose id is not known. */
export const noTopicId = 'AAAAAAAAAAAAAAAAAAAAAA';
