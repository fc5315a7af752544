/**
 * DescribeGroups: state and members of classic groups. An unknown group is described as Dead; from v6 also with
 * GROUP_ID_NOT_FOUND. v3 can ask which operations the client may do with each group.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { defineHandler } from './handler.ts';
import type { AclOperation, RequestContext } from './handler.ts';

/** What can be done with a group, by Kafka's numbers: the bits of `authorizedOperations`. */
const groupOperations: readonly (readonly [AclOperation, number])[] = [
  ['READ', 3],
  ['DELETE', 6],
  ['DESCRIBE', 8],
  ['DESCRIBE_CONFIGS', 10],
  ['ALTER_CONFIGS', 11],
];

/** Kafka's mark for "not asked for". */
const operationsOmitted = -2_147_483_648;

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
    return { groupId, ...reply, errorMessage: `Group ${groupId} not found.` };
  }
  const authorizedOperations =
    withOperations && reply.errorCode === ErrorCode.NONE ? operationsOf(context, groupId) : operationsOmitted;
  return { groupId, ...reply, authorizedOperations };
}

function operationsOf(context: RequestContext, groupId: string): number {
  let bits = 0;
  for (const [operation, number] of groupOperations) {
    if (context.authorize(operation, 'GROUP', groupId)) bits |= 1 << number;
  }
  return bits;
}
