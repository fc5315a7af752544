/** ConsumerGroupDescribe: what can be seen of a consumer group (KIP-848). */
import { ErrorCode } from '../../../protocol/index.ts';
import type { GroupStep } from '../group-step.ts';
import { assignorNameOf } from './assigning.ts';
import type { AssignedPartitions } from './assigned-partitions.ts';
import type {
  DescribeConsumerGroupReply,
  DescribedAssignment,
  DescribedConsumerMember,
} from './consumer-commands.ts';
import { ConsumerGroup } from './consumer-group.ts';

/** Kafka's numbers for the protocol by which a member takes part. */
const memberTypes = { classic: 0, consumer: 1 } as const;

export function describeConsumerGroup(step: GroupStep, groupId: string): DescribeConsumerGroupReply {
  const group = step.groups.get(groupId);
  if (!(group instanceof ConsumerGroup)) {
    const message =
      group === undefined ? `Group ${groupId} not found.` : `Group ${groupId} is not a consumer group.`;
    return undescribed(ErrorCode.GROUP_ID_NOT_FOUND, message);
  }
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    groupState: group.state,
    groupEpoch: group.epoch,
    assignmentEpoch: group.assignmentEpoch,
    assignorName: assignorNameOf(step, group),
    members: Array.from(group.members.values(), (member): DescribedConsumerMember => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: member.rackId,
      memberEpoch: member.epoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: member.topicNames,
      subscribedTopicRegex: member.topicRegex,
      assignment: described(step, member.assigned),
      targetAssignment: described(step, group.targetOf(member.memberId)),
      memberType: member.classic === null ? memberTypes.consumer : memberTypes.classic,
    })),
  };
}

/** As a group is described that cannot be. */
export function undescribed(errorCode: ErrorCode, errorMessage: string | null): DescribeConsumerGroupReply {
  return {
    errorCode,
    errorMessage,
    groupState: '',
    groupEpoch: 0,
    assignmentEpoch: 0,
    assignorName: '',
    members: [],
  };
}

/** Topics that were deleted meanwhile have no names, and are left out. */
function described({ topics }: GroupStep, assigned: AssignedPartitions): DescribedAssignment {
  const topicPartitions = [];
  for (const [topicId, partitions] of assigned) {
    const topicName = topics.nameOf(topicId);
    if (topicName !== undefined) topicPartitions.push({ topicId, topicName, partitions: [...partitions] });
  }
  return { topicPartitions };
}
