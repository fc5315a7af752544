/**
 * OffsetDelete: forgets what a group has committed for some partitions. A topic that a live member subscribes to is
 * refused with GROUP_SUBSCRIBED_TO_TOPIC; a live group that is not of consumers as a whole with NON_EMPTY_GROUP.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { OffsetDeleteRequest } from '../../protocol/index.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

type RequestTopic = OffsetDeleteRequest['topics'][number];

export const offsetDelete = defineHandler({
  api: 'OffsetDelete',
  versions: [0, 0],
  async handle(context, request) {
    if (!context.authorize('DELETE', 'GROUP', request.groupId)) {
      return { errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED, throttleTimeMs: 0 };
    }
    const refusals = request.topics.map((topic) => refusalsOf(context, topic));
    const reply = await context.node.groups.deleteOffsets({
      groupId: request.groupId,
      topics: request.topics.map((topic, index) => ({
        name: topic.name,
        partitionIndexes: topic.partitions
          .map(({ partitionIndex }) => partitionIndex)
          .filter((partitionIndex) => !refusals[index]!.has(partitionIndex)),
      })),
    });
    if (reply.errorCode !== ErrorCode.NONE) return { errorCode: reply.errorCode, throttleTimeMs: 0 };
    const topics = reply.topics.map((topic, index) => ({
      name: topic.name,
      partitions: [
        ...topic.partitions,
        ...[...refusals[index]!].map(([partitionIndex, errorCode]) => ({ partitionIndex, errorCode })),
      ],
    }));
    return { errorCode: ErrorCode.NONE, topics, throttleTimeMs: 0 };
  },
});

/** The partitions that are refused without asking the coordinator. */
function refusalsOf(context: RequestContext, topic: RequestTopic): Map<number, ErrorCode> {
  const known = context.node.cluster.image.topic(topic.name);
  const isAuthorized = context.authorize('READ', 'TOPIC', topic.name);
  const refusals = new Map<number, ErrorCode>();
  for (const { partitionIndex } of topic.partitions) {
    if (!isAuthorized) refusals.set(partitionIndex, ErrorCode.TOPIC_AUTHORIZATION_FAILED);
    else if (known?.partitions[partitionIndex] === undefined) {
      refusals.set(partitionIndex, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    }
  }
  return refusals;
}
