/**
 * LeaveGroup: takes members out at once, without waiting for their sessions.
 *
 * Up to v2 a request names one member, whose error is the answer's. From v3 it names several, each with an error of its
 * own; one with a group instance id and no member id is removed by an administrator, whoever holds the instance id.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { defineHandler } from './handler.ts';

export const leaveGroup = defineHandler({
  api: 'LeaveGroup',
  versions: [0, 5],
  async handle(context, request) {
    if (!context.authorize('READ', 'GROUP', request.groupId)) {
      return { errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED, throttleTimeMs: 0 };
    }
    const namesOne = context.apiVersion < 3;
    const members = namesOne ? [{ memberId: request.memberId, groupInstanceId: null }] : request.members;
    const reply = await context.node.groups.leave({
      groupId: request.groupId,
      members: members.map(({ memberId, groupInstanceId }) => ({ memberId, groupInstanceId })),
    });
    if (!namesOne) return { ...reply, throttleTimeMs: 0 };
    const errorCode = reply.errorCode === ErrorCode.NONE ? reply.members[0]?.errorCode : reply.errorCode;
    return { errorCode: errorCode ?? ErrorCode.NONE, throttleTimeMs: 0 };
  },
});
