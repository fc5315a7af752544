/**
 * JoinGroup: answered when the rebalance that it takes part in (or starts) has come to its next generation.
 *
 * v0 has no rebalance timeout of its own: the session timeout serves for both. From v4 a new member is first answered MEMBER_ID_REQUIRED
 * with an id to come back with. Static members (v5+) bring a group instance id. Before v7 a missing protocol
 * name is an empty one; v7 and later tell the protocol type. v9 knows `skipAssignment`.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { defineHandler } from './handler.ts';

export const joinGroup = defineHandler({
  api: 'JoinGroup',
  versions: [0, 9],
  async handle(context, request) {
    const { apiVersion } = context;
    if (!context.authorize('READ', 'GROUP', request.groupId)) {
      return {
        errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED,
        memberId: request.memberId,
        protocolName: apiVersion >= 7 ? null : '',
        throttleTimeMs: 0,
      };
    }
    const reply = await context.node.groups.join({
      groupId: request.groupId,
      memberId: request.memberId,
      groupInstanceId: request.groupInstanceId,
      clientId: context.clientId ?? '',
      clientHost: `/${context.remote.host}`,
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: apiVersion === 0 ? request.sessionTimeoutMs : request.rebalanceTimeoutMs,
      protocolType: request.protocolType,
      protocols: request.protocols,
      requiresKnownMemberId: apiVersion >= 4,
      supportsSkipAssignment: apiVersion >= 9,
    });
    const protocolName = reply.protocolName ?? (apiVersion >= 7 ? null : '');
    return { ...reply, protocolName, throttleTimeMs: 0 };
  },
});
