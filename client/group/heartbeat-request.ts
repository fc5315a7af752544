/** What a member of a group of KIP-848 says of itself: all of it when it joins and after any failure, otherwise what has changed. */
import type { RequestOf } from '../cluster/apis.ts';
import { KafkaError } from '../errors.ts';
import type { MembershipOptions } from './membership.ts';
import type { OwnedPartition } from './reconciler.ts';

export interface ConsumerProtocolOptions extends MembershipOptions {
  /** Which topics, in place of `topics`: in the syntax of RE2. */
  readonly pattern: string | undefined;
  /** Null: what the group or the broker prefers. */
  readonly remoteAssignor: string | null;
  readonly rackId: string | null;
}

/** From this version on a member may subscribe by a pattern. */
const patternsFrom = 1;

export interface Said {
  readonly memberId: string;
  readonly memberEpoch: number;
  /** Undefined where it is as it was said before. */
  readonly owned: readonly OwnedPartition[] | undefined;
  /** All of the member. */
  readonly isWhole: boolean;
}

/** Throws UNSUPPORTED_VERSION where there is a pattern and the broker does not resolve any. */
export function heartbeatRequest(
  options: ConsumerProtocolOptions,
  { memberId, memberEpoch, owned, isWhole }: Said,
  version: number,
): RequestOf<'ConsumerGroupHeartbeat'> {
  const { groupId, groupInstanceId, topics, pattern, remoteAssignor, rackId, rebalanceTimeoutMs } = options;
  if (pattern !== undefined && version < patternsFrom) {
    throw new KafkaError(
      'UNSUPPORTED_VERSION',
      "The broker resolves no patterns: name the `topics`, or set `groupProtocol: 'classic'`, where the client matches `topicPattern` by itself.",
    );
  }
  const whole = {
    rackId,
    rebalanceTimeoutMs,
    subscribedTopicNames: [...topics],
    ...(pattern === undefined ? {} : { subscribedTopicRegex: pattern }),
    serverAssignor: remoteAssignor,
  };
  return {
    groupId,
    memberId,
    memberEpoch,
    instanceId: groupInstanceId,
    topicPartitions: owned === undefined ? null : byTopicId(owned),
    ...(isWhole ? whole : {}),
  };
}

function byTopicId(owned: readonly OwnedPartition[]): { topicId: string; partitions: number[] }[] {
  const grouped = Map.groupBy(owned, (item) => item.topicId);
  return [...grouped].map(([topicId, items]) => ({
    topicId,
    partitions: items.map((item) => item.partition).sort((a, b) => a - b),
  }));
}
