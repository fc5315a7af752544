/**
 * ConsumerGroupDescribe (KIP-848): state, epochs, members and assignments of consumer groups. A group that is unknown, or goes by
 * the classic protocol, is GROUP_ID_NOT_FOUND: clients then ask DescribeGroups. v1 says of each member by which protocol it
 * takes part.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { DescribeConsumerGroupReply } from '../groups/consumer/consumer-commands.ts';
import { undescribed } from '../groups/consumer/consumer-describing.ts';
import { groupAuthorizedOperations, operationsOmitted } from './authorized-operations.ts';
import { consumerGroupsRefusal } from './consumer-groups-served.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

export const consumerGroupDescribe = defineHandler({
  api: 'ConsumerGroupDescribe',
  versions: [0, 1],
  async handle(context, request) {
    const groups = await Promise.all(
      request.groupIds.map(async (groupId) => {
        const reply = wireReply(await describe(context, groupId));
        const isAsked = request.includeAuthorizedOperations && reply.errorCode === ErrorCode.NONE;
        const authorizedOperations = isAsked
          ? groupAuthorizedOperations(context, groupId)
          : operationsOmitted;
        return { groupId, ...reply, authorizedOperations };
      }),
    );
    return { groups, throttleTimeMs: 0 };
  },
});

async function describe(context: RequestContext, groupId: string): Promise<DescribeConsumerGroupReply> {
  const unserved = consumerGroupsRefusal(context);
  if (unserved !== undefined) return undescribed(unserved.errorCode, unserved.errorMessage);
  if (!context.authorize('DESCRIBE', 'GROUP', groupId)) {
    return undescribed(ErrorCode.GROUP_AUTHORIZATION_FAILED, null);
  }
  if (groupId === '') return undescribed(ErrorCode.INVALID_GROUP_ID, 'The group id must not be empty.');
  const reply = await context.node.groups.describeConsumerGroup(groupId);
  const topics = new Set(reply.members.flatMap(topicsOf));
  if ([...topics].every((topic) => context.authorize('DESCRIBE', 'TOPIC', topic))) return reply;
  return undescribed(
    ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    'The group has described topic(s) that the client is not authorized to describe.',
  );
}

function topicsOf(member: DescribeConsumerGroupReply['members'][number]): string[] {
  const assigned = [member.assignment, member.targetAssignment].flatMap(({ topicPartitions }) =>
    topicPartitions.map(({ topicName }) => topicName),
  );
  return [...member.subscribedTopicNames, ...assigned];
}

/** No pattern is null on the wire. */
function wireReply(reply: DescribeConsumerGroupReply) {
  const members = reply.members.map((member) => ({
    ...member,
    subscribedTopicRegex: member.subscribedTopicRegex === '' ? null : member.subscribedTopicRegex,
  }));
  return { ...reply, members };
}
