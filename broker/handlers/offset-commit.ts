/**
 * OffsetCommit: stores offsets of a group, each partition with an answer of its own; answered when they are durable.
 *
 * Topics go by name up to v9 and by id from v10. Unknown topics and partitions are refused here (UNKNOWN_TOPIC_ID or
 * UNKNOWN_TOPIC_OR_PARTITION) and the rest is committed. v2 to v4 may carry a retention of their own. From v9 an unknown
 * group with a generation is GROUP_ID_NOT_FOUND, before ILLEGAL_GENERATION. A negative generation commits for a group
 * without members (`assign`), which that makes if need be.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { OffsetCommitRequest } from '../../protocol/index.ts';
import { noTopicId } from '../groups/group-commands.ts';
import type { CommitReply, CommitTopic } from '../groups/group-commands.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

interface PartitionAnswer {
  readonly partitionIndex: number;
  errorCode: ErrorCode;
}

interface TopicAnswer {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: readonly PartitionAnswer[];
}

type RequestTopic = OffsetCommitRequest['topics'][number];

export const offsetCommit = defineHandler({
  api: 'OffsetCommit',
  versions: [2, 10],
  async handle(context, request) {
    const isAuthorized = context.authorize('READ', 'GROUP', request.groupId);
    const accepted: CommitTopic[] = [];
    const answers = request.topics.map((topic) => {
      if (!isAuthorized) return refused(topic, ErrorCode.GROUP_AUTHORIZATION_FAILED);
      return accept(context, topic, accepted);
    });
    if (accepted.length > 0) {
      const reply = await context.node.groups.commitOffsets({
        groupId: request.groupId,
        generationId: request.generationIdOrMemberEpoch,
        memberId: request.memberId,
        groupInstanceId: request.groupInstanceId,
        retentionTimeMs: request.retentionTimeMs,
        supportsGroupIdNotFound: context.apiVersion >= 9,
        topics: accepted,
      });
      fillIn(answers, reply);
    }
    return { topics: answers, throttleTimeMs: 0 };
  },
});

/** Puts what can be committed of a topic into `accepted`; the answer says what cannot. */
function accept(context: RequestContext, topic: RequestTopic, accepted: CommitTopic[]): TopicAnswer {
  const { image } = context.node.cluster;
  const byId = context.apiVersion >= 10;
  const known = byId ? image.topicById(topic.topicId) : image.topic(topic.name);
  if (known === undefined && byId) return refused(topic, ErrorCode.UNKNOWN_TOPIC_ID);
  const name = known?.name ?? topic.name;
  if (!context.authorize('READ', 'TOPIC', name)) return refused(topic, ErrorCode.TOPIC_AUTHORIZATION_FAILED);
  if (known === undefined) return refused(topic, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  const partitions = topic.partitions.filter(
    ({ partitionIndex }) => known.partitions[partitionIndex] !== undefined,
  );
  if (partitions.length > 0) accepted.push({ name, topicId: known.id, partitions });
  return {
    name,
    topicId: known.id,
    partitions: topic.partitions.map(({ partitionIndex }) => ({
      partitionIndex,
      errorCode:
        known.partitions[partitionIndex] === undefined
          ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
          : ErrorCode.NONE,
    })),
  };
}

function refused(topic: RequestTopic, errorCode: ErrorCode): TopicAnswer {
  return {
    name: topic.name,
    topicId: topic.topicId === '' ? noTopicId : topic.topicId,
    partitions: topic.partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
  };
}

/** The reply has the accepted partitions in the order in which the answers have them. */
function fillIn(answers: readonly TopicAnswer[], reply: CommitReply): void {
  const errors = reply.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
  let next = 0;
  for (const { partitions } of answers) {
    for (const answer of partitions) {
      if (answer.errorCode !== ErrorCode.NONE) continue;
      answer.errorCode = errors[next]!;
      next += 1;
    }
  }
}
