/**
 * Heartbeat: keeps a member's session alive; REBALANCE_IN_PROGRESS tells it to join again. Static members (v3+) bring a
 * group instance id and learn by FENCED_INSTANCE_ID that another process has taken their place.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { defineHandler } from './handler.ts';

export const heartbeat = defineHandler({
  api: 'Heartbeat',
  versions: [0, 4],
  async handle(context, request) {
    if (!context.authorize('READ', 'GROUP', request.groupId)) {
      return { errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED, throttleTimeMs: 0 };
    }
    const { groupId, generationId, memberId, groupInstanceId } = request;
    const reply = await context.node.groups.heartbeat({ groupId, generationId, memberId, groupInstanceId });
    return { errorCode: reply.errorCode, throttleTimeMs: 0 };
  },
});
