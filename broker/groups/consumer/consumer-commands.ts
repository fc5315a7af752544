/** What can be asked of a consumer group, and what it answers: independent of the versions of the wire protocol. */
import type { ErrorCode } from '../../../protocol/index.ts';
import type { AssignedPartitions, TopicPartitions } from './assigned-partitions.ts';

export interface ConsumerHeartbeatCommand {
  readonly kind: 'consumer-heartbeat';
  readonly groupId: string;
  readonly memberId: string;
  /** 0: it joins; -1: it leaves; -2: a static member leaves for a while. */
  readonly memberEpoch: number;
  readonly instanceId: string | null;
  /** Null, here and below: as before. */
  readonly rackId: string | null;
  /** -1: as before. */
  readonly rebalanceTimeoutMs: number;
  readonly topicNames: readonly string[] | null;
  /** Empty: none any more. */
  readonly topicRegex: string | null;
  /** The topics whose names match `topicRegex`, ascending; they have been looked for where one is given. */
  readonly matchingTopics: readonly string[];
  readonly serverAssignor: string | null;
  /** What the member has; null where it does not say. */
  readonly owned: TopicPartitions | null;
  readonly clientId: string;
  readonly clientHost: string;
}

export interface ConsumerHeartbeatReply {
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
  readonly memberId: string | null;
  readonly memberEpoch: number;
  readonly heartbeatIntervalMs: number;
  /** Null: as it was told before. */
  readonly assignment: AssignedPartitions | null;
  /** Patterns of the group for which topics are to be looked for anew (`RefreshPatternsCommand`), for whoever does; not for the member. */
  readonly stalePatterns: readonly string[];
}

export interface DescribeConsumerGroupCommand {
  readonly kind: 'describe-consumer-group';
  readonly groupId: string;
}

export interface DescribeConsumerGroupReply {
  /** GROUP_ID_NOT_FOUND for a group that is unknown, or goes by the classic protocol. */
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
  readonly groupState: string;
  readonly groupEpoch: number;
  readonly assignmentEpoch: number;
  readonly assignorName: string;
  readonly members: readonly DescribedConsumerMember[];
}

export interface DescribedConsumerMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly memberEpoch: number;
  readonly clientId: string;
  readonly clientHost: string;
  readonly subscribedTopicNames: readonly string[];
  /** Empty: none. */
  readonly subscribedTopicRegex: string;
  readonly assignment: DescribedAssignment;
  readonly targetAssignment: DescribedAssignment;
  readonly memberType: number;
}

export interface DescribedAssignment {
  readonly topicPartitions: readonly {
    readonly topicId: string;
    readonly topicName: string;
    readonly partitions: readonly number[];
  }[];
}

/** Why a request is refused: Kafka's code, and a sentence. */
export interface ConsumerRefusal {
  readonly errorCode: ErrorCode;
  /** Null where the code says it all. */
  readonly message: string | null;
}

/** The topics whose names match a pattern have been looked for anew. */
export interface RefreshPatternsCommand {
  readonly kind: 'refresh-patterns';
  readonly groupId: string;
  readonly patterns: ReadonlyMap<string, readonly string[]>;
  /** `TopicsView.version` as of which they were looked for. */
  readonly topicsVersion: number;
}

export interface RefreshPatternsReply {
  readonly errorCode: ErrorCode;
  /** Patterns that match more topics than a record holds: what they matched before still counts. */
  readonly tooLarge: readonly string[];
}
