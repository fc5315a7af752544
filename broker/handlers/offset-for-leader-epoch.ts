/**
 * OffsetForLeaderEpoch: where an epoch ends in this log, so that a reader can tell whether its history is still this one's
 * (KIP-320). The leader's own epoch ends at its log end, so that clients see no false truncation while the first entry of
 * a term waits to be committed. An epoch that nothing is known of: epoch -1 and offset -1.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';
import { checkLeaderEpoch } from './leader-epoch.ts';
import { whyMissing } from './missing-replica.ts';

interface Answer {
  errorCode: ErrorCode;
  partition: number;
  leaderEpoch: number;
  endOffset: number;
}

export const offsetForLeaderEpoch = defineHandler({
  api: 'OffsetForLeaderEpoch',
  versions: [2, 4],
  handle(context, request) {
    return {
      throttleTimeMs: 0,
      topics: request.topics.map((topic) => {
        const allowed = context.authorize('DESCRIBE', 'TOPIC', topic.topic);
        return {
          topic: topic.topic,
          partitions: topic.partitions.map((asked) =>
            allowed
              ? lookUp(context, topic.topic, asked)
              : failed(asked.partition, 'TOPIC_AUTHORIZATION_FAILED'),
          ),
        };
      }),
    };
  },
});

interface AskedPartition {
  readonly partition: number;
  readonly currentLeaderEpoch: number;
  readonly leaderEpoch: number;
}

function lookUp(context: RequestContext, topic: string, asked: AskedPartition): Answer {
  const replica = context.node.partitions.replica(topic, asked.partition);
  if (replica === undefined) {
    return failed(asked.partition, whyMissing(context, topic, asked.partition));
  }
  if (replica.failed) return failed(asked.partition, 'KAFKA_STORAGE_ERROR');
  if (!replica.servesReads) return failed(asked.partition, 'NOT_LEADER_OR_FOLLOWER');
  const fenced = checkLeaderEpoch(replica, asked.currentLeaderEpoch);
  if (fenced !== undefined) return failed(asked.partition, fenced);
  const end = replica.endOffsetForEpoch(asked.leaderEpoch);
  return {
    errorCode: ErrorCode.NONE,
    partition: asked.partition,
    leaderEpoch: end?.epoch ?? -1,
    endOffset: end?.endOffset ?? -1,
  };
}

function failed(partition: number, error: keyof typeof ErrorCode): Answer {
  return { errorCode: ErrorCode[error], partition, leaderEpoch: -1, endOffset: -1 };
}
