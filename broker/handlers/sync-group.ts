/**
 * SyncGroup: the leader brings everybody's assignment, everybody gets their own.
 *
 * Static members (v3+) bring a group instance id. From v5 the client must say which protocol type and name it assumes; a
 * mismatch, like their absence, is INCONSISTENT_GROUP_PROTOCOL.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { defineHandler } from './handler.ts';

export const syncGroup = defineHandler({
  api: 'SyncGroup',
  versions: [0, 5],
  async handle(context, request) {
    const { protocolType, protocolName } = request;
    if (context.apiVersion >= 5 && (protocolType === null || protocolName === null)) {
      return { errorCode: ErrorCode.INCONSISTENT_GROUP_PROTOCOL, throttleTimeMs: 0 };
    }
    if (!context.authorize('READ', 'GROUP', request.groupId)) {
      return { errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED, throttleTimeMs: 0 };
    }
    const reply = await context.node.groups.sync({
      groupId: request.groupId,
      generationId: request.generationId,
      memberId: request.memberId,
      groupInstanceId: request.groupInstanceId,
      protocolType,
      protocolName,
      assignments: request.assignments,
    });
    return { ...reply, throttleTimeMs: 0 };
  },
});
