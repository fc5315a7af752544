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
}

/** Why a request is refused: Kafka's code, and a sentence. */
export interface ConsumerRefusal {
  readonly errorCode: ErrorCode;
  readonly message: string;
}

/** The topics whose names match a pattern have been looked for anew. */
export interface RefreshPatternsCommand {
  readonly kind: 'refresh-patterns';
  readonly groupId: string;
  readonly patterns: ReadonlyMap<string, readonly string[]>;
}

export interface RefreshPatternsReply {
  readonly errorCode: ErrorCode;
}
