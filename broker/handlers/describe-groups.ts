/**
 * DescribeGroups: state and members of classic groups. An unknown group, and one of another protocol, is described as Dead;
 * from v6 also with GROUP_ID_NOT_FOUND. v3 can ask which operations the client may do with each group.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { groupAuthorizedOperations, operationsOmitted } from './authorized-operations.ts';
import { defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

export const describeGroups = defineHandler({
  api: 'DescribeGroups',
  versions: [0, 6],
  async handle(context, request) {
    const { includeAuthorizedOperations } = request;
    const groups = await Promise.all(
      request.groups.map((groupId) => describe(context, groupId, includeAuthorizedOperations)),
    );
    return { groups, throttleTimeMs: 0 };
  },
});

async function describe(context: RequestContext, groupId: string, withOperations: boolean) {
  if (!context.authorize('DESCRIBE', 'GROUP', groupId)) {
    return { groupId, errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED };
  }
  const reply = await context.node.groups.describeGroup(groupId);
  if (reply.errorCode === ErrorCode.GROUP_ID_NOT_FOUND) {
    if (context.apiVersion < 6) return { groupId, ...reply, errorCode: ErrorCode.NONE };
    return { groupId, ...reply, errorMessage: reply.errorMessage ?? `Group ${groupId} not found.` };
  }
  const authorizedOperations =
    withOperations && reply.errorCode === ErrorCode.NONE
      ? groupAuthorizedOperations(context, groupId)
      : operationsOmitted;
  return { groupId, ...reply, authorizedOperations };
}
