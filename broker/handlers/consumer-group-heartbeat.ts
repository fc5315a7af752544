/**
 * ConsumerGroupHeartbeat (KIP-848): how members of consumer groups join, are given partitions, give them up, and leave. Answered when
 * what it has changed is durable.
 *
 * Of v0 a member that joins has no id and is given one; from v1 it brings its own, and can subscribe by a pattern. The cluster
 * serves these groups from level 1 of the feature group.version on, where `group.coordinator.rebalance.protocols` names them.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { ConsumerGroupHeartbeatRequest, ErrorCode as Code } from '../../protocol/index.ts';
import { topicPartitionsOf } from '../groups/consumer/assigned-partitions.ts';
import { joiningEpoch } from '../groups/consumer/consumer-member.ts';
import { consumerGroupsRefusal } from './consumer-groups-served.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

export const consumerGroupHeartbeat = defineHandler({
  api: 'ConsumerGroupHeartbeat',
  versions: [0, 1],
  async handle(context, request) {
    const refusal = refusalOf(context, request);
    if (refusal !== undefined)
      return { ...refusal, memberEpoch: 0, heartbeatIntervalMs: 0, throttleTimeMs: 0 };
    const { groups } = context.node;
    const isUnnamed =
      context.apiVersion === 0 && request.memberId === '' && request.memberEpoch === joiningEpoch;
    const reply = await groups.consumerHeartbeat(
      {
        groupId: request.groupId,
        memberId: isUnnamed ? groups.freshMemberId() : request.memberId,
        memberEpoch: request.memberEpoch,
        instanceId: request.instanceId,
        rackId: request.rackId,
        rebalanceTimeoutMs: request.rebalanceTimeoutMs,
        topicNames: request.subscribedTopicNames,
        topicRegex: request.subscribedTopicRegex,
        serverAssignor: request.serverAssignor,
        owned: request.topicPartitions,
        clientId: context.clientId ?? '',
        clientHost: `/${context.remote.host}`,
      },
      (topic) => context.authorize('DESCRIBE', 'TOPIC', topic),
    );
    const { errorCode, errorMessage, memberId, memberEpoch, heartbeatIntervalMs } = reply;
    const assignment =
      reply.assignment === null ? null : { topicPartitions: topicPartitionsOf(reply.assignment) };
    return {
      errorCode,
      errorMessage,
      memberId,
      memberEpoch,
      heartbeatIntervalMs,
      assignment,
      throttleTimeMs: 0,
    };
  },
});

function refusalOf(
  context: RequestContext,
  { groupId, memberId, subscribedTopicNames }: ConsumerGroupHeartbeatRequest,
): { readonly errorCode: Code; readonly errorMessage: string | null; readonly memberId: string } | undefined {
  const unserved = consumerGroupsRefusal(context);
  if (unserved !== undefined) return { ...unserved, memberId };
  if (!context.authorize('READ', 'GROUP', groupId)) {
    return { errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED, errorMessage: null, memberId };
  }
  const hidden = subscribedTopicNames?.find((topic) => !context.authorize('DESCRIBE', 'TOPIC', topic));
  if (hidden === undefined) return undefined;
  return { errorCode: ErrorCode.TOPIC_AUTHORIZATION_FAILED, errorMessage: null, memberId };
}
