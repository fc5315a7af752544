/**
 * DescribeTopicPartitions: topics and their partitions in order of name, as many as fit; `nextCursor` says where the next
 * request goes on. No topics in the request means all. At most `responsePartitionLimit` partitions, and never more than
 * max.request.partition.size.limit. A topic that does not exist is an answer of its own where it was asked for by name.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { DescribeTopicPartitionsRequest } from '../../protocol/index.ts';
import type { TopicImage } from '../cluster/metadata/metadata-image.ts';
import { isInternalTopic, topicNameFault } from '../cluster/topic-names.ts';
import { topicAuthorizedOperations } from './authorized-operations.ts';
import { partitionView } from './cluster-view.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext, ResponseOf } from './handler.ts';

type Answer = ResponseOf<'DescribeTopicPartitions'>;
type TopicAnswer = NonNullable<Answer['topics']>[number];

const noTopicId = 'AAAAAAAAAAAAAAAAAAAAAA';

export const describeTopicPartitions = defineHandler({
  api: 'DescribeTopicPartitions',
  versions: [0, 0],
  handle(context, request) {
    const { image } = context.node.cluster;
    const { cursor } = request;
    const all = request.topics.length === 0;
    const asked = all
      ? [...image.topics()].map(({ name }) => name)
      : [...new Set(request.topics.map(({ name }) => name))];
    const names = asked.filter((name) => cursor === null || name >= cursor.topicName).sort();
    if (cursor !== null && (cursor.partitionIndex < 0 || (!all && !names.includes(cursor.topicName)))) {
      return { topics: asked.map((name) => missing('INVALID_REQUEST', name)) };
    }
    const allowed = names.filter((name) => context.authorize('DESCRIBE', 'TOPIC', name));
    const answer = fill(context, request, allowed);
    if (all || allowed.length === names.length) return answer;
    const denied = names.filter((name) => !allowed.includes(name));
    const refusals = denied.map((name) => missing('TOPIC_AUTHORIZATION_FAILED', name));
    return { ...answer, topics: [...(answer.topics ?? []), ...refusals] };
  },
});

/** As many partitions of these topics as the limits allow. */
function fill(
  context: RequestContext,
  request: DescribeTopicPartitionsRequest,
  names: readonly string[],
): Answer {
  const { cursor } = request;
  const limit = Math.min(context.node.config.maxRequestPartitionSizeLimit, request.responsePartitionLimit);
  let left = Math.max(limit, 1);
  const topics: TopicAnswer[] = [];
  for (const name of names) {
    if (left === 0) return { throttleTimeMs: 0, topics, nextCursor: { topicName: name, partitionIndex: 0 } };
    const topic = context.node.cluster.image.topic(name);
    if (topic === undefined) {
      const invalid = topicNameFault(name) !== undefined;
      topics.push({
        ...missing(invalid ? 'INVALID_TOPIC_EXCEPTION' : 'UNKNOWN_TOPIC_OR_PARTITION', name),
        topicAuthorizedOperations: topicAuthorizedOperations(context, name),
      });
      continue;
    }
    const first = cursor?.topicName === name ? cursor.partitionIndex : 0;
    const described = describe(context, topic, first, left);
    topics.push(described);
    const next = first + left;
    if (next < topic.partitions.length) {
      return { throttleTimeMs: 0, topics, nextCursor: { topicName: name, partitionIndex: next } };
    }
    left -= described.partitions?.length ?? 0;
  }
  return { throttleTimeMs: 0, topics, nextCursor: null };
}

function describe(context: RequestContext, topic: TopicImage, first: number, count: number): TopicAnswer {
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.isInternal,
    partitions: topic.partitions.slice(first, first + count).map((partition) => ({
      ...partitionView(context, topic, partition),
      eligibleLeaderReplicas: [],
      lastKnownElr: [],
    })),
    topicAuthorizedOperations: topicAuthorizedOperations(context, topic.name),
  };
}

function missing(error: keyof typeof ErrorCode, name: string): TopicAnswer {
  return {
    errorCode: ErrorCode[error],
    name,
    topicId: noTopicId,
    isInternal: isInternalTopic(name),
    partitions: [],
  };
}
