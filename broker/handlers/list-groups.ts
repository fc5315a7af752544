/**
 * ListGroups: the groups that this node coordinates; a client asks every node. v4 can filter by state and v5 by type, in
 * any case of letters; names that do not exist match nothing.
 */
import { clusterResource, defineHandler } from './handler.ts';

export const listGroups = defineHandler({
  api: 'ListGroups',
  versions: [0, 5],
  async handle(context, request) {
    const { errorCode, groups } = await context.node.groups.listGroups({
      states: new Set(request.statesFilter.map(normalized)),
      types: new Set(request.typesFilter.map(normalized)),
    });
    const seesAll = context.authorize('DESCRIBE', 'CLUSTER', clusterResource);
    const visible = groups.filter(
      ({ groupId }) => seesAll || context.authorize('DESCRIBE', 'GROUP', groupId),
    );
    return { errorCode, groups: visible, throttleTimeMs: 0 };
  },
});

function normalized(name: string): string {
  return name.trim().toLowerCase();
}
