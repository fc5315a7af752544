/**
 * DeleteGroups: removes groups without members, with all that they have committed. NON_EMPTY_GROUP and
 * GROUP_ID_NOT_FOUND say what could not be. Every group has an answer of its own; a name given twice has one.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { defineHandler } from './handler.ts';

export const deleteGroups = defineHandler({
  api: 'DeleteGroups',
  versions: [0, 3],
  async handle(context, request) {
    const results = await Promise.all(
      [...new Set(request.groupsNames)].map(async (groupId) => {
        if (!context.authorize('DELETE', 'GROUP', groupId)) {
          return { groupId, errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED };
        }
        const { errorCode } = await context.node.groups.deleteGroup(groupId);
        return { groupId, errorCode };
      }),
    );
    return { results, throttleTimeMs: 0 };
  },
});
