/**
 * OffsetFetch: what a group has committed; -1 where nothing is.
 *
 * Up to v7 a request asks for one group, from v8 for several. No topics (null, v2+) asks for all. Topics go by name up to v9,
 * by id from v10. A group's error stands at the top from v2 and with each partition before. `requireStable` (v7+) asks
 * to wait for open transactions to end; none can be open here, and what is answered is committed in any case. From v9 a member of a
 * consumer group says so and is told STALE_MEMBER_EPOCH where it has been left behind.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { OffsetFetchRequest } from '../../protocol/index.ts';
import { noTopicId } from '../groups/group-commands.ts';
import type {
  FetchedOffset,
  FetchOffsetsCommand,
  FetchOffsetsReply,
  FetchOffsetsTopic,
} from '../groups/group-commands.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

interface GroupQuestion {
  readonly groupId: string;
  readonly memberId: string | null;
  readonly memberEpoch: number;
  readonly topics: readonly TopicQuestion[] | null;
}

interface TopicQuestion {
  readonly name: string;
  readonly topicId: string;
  readonly partitionIndexes: readonly number[];
}

interface GroupAnswer {
  readonly groupId: string;
  readonly errorCode: ErrorCode;
  readonly topics: FetchOffsetsReply['topics'];
}

export const offsetFetch = defineHandler({
  api: 'OffsetFetch',
  versions: [1, 10],
  async handle(context, request) {
    if (context.apiVersion >= 8) {
      const groups = await Promise.all(request.groups.map((group) => answerGroup(context, group)));
      return { groups, throttleTimeMs: 0 };
    }
    const question = singleGroup(request);
    const answer = await answerGroup(context, question);
    const topics =
      context.apiVersion < 2 && answer.errorCode !== ErrorCode.NONE
        ? (question.topics ?? []).map((topic) => withError(topic, answer.errorCode))
        : answer.topics;
    return { topics, errorCode: answer.errorCode, throttleTimeMs: 0 };
  },
});

function singleGroup(request: OffsetFetchRequest): GroupQuestion {
  return {
    groupId: request.groupId,
    memberId: null,
    memberEpoch: -1,
    topics: request.topics?.map((topic) => ({ ...topic, topicId: noTopicId })) ?? null,
  };
}

async function answerGroup(
  context: RequestContext,
  { groupId, memberId, memberEpoch, topics }: GroupQuestion,
): Promise<GroupAnswer> {
  if (!context.authorize('DESCRIBE', 'GROUP', groupId)) {
    return { groupId, errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED, topics: [] };
  }
  const isMember = memberEpoch >= 0 || (memberId !== null && memberId !== '');
  const member = isMember ? { memberId: memberId ?? '', memberEpoch } : undefined;
  if (topics === null) return answerAll(context, { groupId, member });
  const asked = topics.map((topic) => resolve(context, topic));
  const fetchable = asked.flatMap((topic) => ('refusal' in topic ? [] : [topic]));
  const reply = await context.node.groups.fetchOffsets({ groupId, member, topics: fetchable });
  if (reply.errorCode !== ErrorCode.NONE) return { groupId, errorCode: reply.errorCode, topics: [] };
  let next = 0;
  const answers = asked.map((topic) => ('refusal' in topic ? topic.refusal : reply.topics[next++]!));
  return { groupId, errorCode: ErrorCode.NONE, topics: answers };
}

/** Topics that the client may not see, or (by id) that are no more, are left out. */
async function answerAll(
  context: RequestContext,
  { groupId, member }: Pick<FetchOffsetsCommand, 'groupId' | 'member'>,
): Promise<GroupAnswer> {
  const reply = await context.node.groups.fetchOffsets({ groupId, member, topics: null });
  const topics = reply.topics.filter(({ name, topicId }) => {
    if (context.apiVersion >= 10 && topicId === noTopicId) return false;
    return context.authorize('DESCRIBE', 'TOPIC', name);
  });
  return { groupId, errorCode: reply.errorCode, topics };
}

/** What to ask the coordinator about a topic, or what to answer without asking. */
function resolve(
  context: RequestContext,
  topic: TopicQuestion,
): FetchOffsetsTopic | { readonly refusal: FetchOffsetsReply['topics'][number] } {
  const { image } = context.node.cluster;
  const byId = context.apiVersion >= 10;
  const known = byId ? image.topicById(topic.topicId) : image.topic(topic.name);
  if (byId && known === undefined) return { refusal: withError(topic, ErrorCode.UNKNOWN_TOPIC_ID) };
  const name = known?.name ?? topic.name;
  if (!context.authorize('DESCRIBE', 'TOPIC', name)) {
    return { refusal: withError(topic, ErrorCode.TOPIC_AUTHORIZATION_FAILED) };
  }
  return { name, topicId: known?.id ?? noTopicId, partitionIndexes: topic.partitionIndexes };
}

function withError(topic: TopicQuestion, errorCode: ErrorCode): FetchOffsetsReply['topics'][number] {
  return {
    name: topic.name,
    topicId: topic.topicId,
    partitions: topic.partitionIndexes.map((partitionIndex): FetchedOffset => ({
      partitionIndex,
      committedOffset: -1,
      committedLeaderEpoch: -1,
      metadata: '',
      errorCode,
    })),
  };
}
