import { ErrorCode } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { atCoordinator } from '../cluster/at-coordinator.ts';
import { brokerError } from '../errors.ts';
import { atEachNode } from './at-each-node.ts';
import { decodeAssignment } from '../group/consumer-protocol.ts';
import type { CallOptions } from '../options.ts';
import type { GroupDescription, GroupListing } from './admin-types.ts';

/** Every broker lists the groups that it coordinates. */
export async function listGroups(cluster: Cluster, options: CallOptions): Promise<GroupListing[]> {
  const doing = 'list the groups';
  const lists = await atEachNode(cluster, { doing, ...options }, async (node) => {
    const response = await cluster.request('ListGroups', {}, { target: node, signal: options.signal });
    if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, doing);
    return response;
  });
  const listings = lists.flatMap((response) => {
    return response.groups.map(({ groupId, protocolType, groupState, groupType }) => ({
      groupId,
      protocolType,
      state: groupState,
      type: groupType,
    }));
  });
  return listings.sort((a, b) => (a.groupId < b.groupId ? -1 : 1));
}

export function describeGroups(
  cluster: Cluster,
  groupIds: readonly string[],
  options: CallOptions,
): Promise<GroupDescription[]> {
  return Promise.all(groupIds.map((groupId) => describeGroup(cluster, groupId, options)));
}

function describeGroup(cluster: Cluster, groupId: string, options: CallOptions): Promise<GroupDescription> {
  const doing = `describe the group ${groupId}`;
  return atCoordinator(cluster, groupId, { doing, ...options }, async (node) => {
    const response = await cluster.request(
      'DescribeGroups',
      { groups: [groupId] },
      { target: node, signal: options.signal },
    );
    const group = response.groups[0];
    const isMissing = group === undefined || group.errorCode === ErrorCode.GROUP_ID_NOT_FOUND;
    if (isMissing)
      return { groupId, state: 'Dead', protocolType: '', protocol: '', coordinator: node.id, members: [] };
    if (group.errorCode !== ErrorCode.NONE) throw brokerError(group.errorCode, doing, group.errorMessage);
    return {
      groupId,
      state: group.groupState,
      protocolType: group.protocolType,
      protocol: group.protocolData,
      coordinator: node.id,
      members: group.members.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        // Other protocol types (such as Connect's) have assignments of other forms.
        assignment: group.protocolType === 'consumer' ? decodeAssignment(member.memberAssignment) : [],
      })),
    };
  });
}

export async function deleteGroups(
  cluster: Cluster,
  groupIds: readonly string[],
  options: CallOptions,
): Promise<void> {
  for (const groupId of groupIds) {
    const doing = `delete the group ${groupId}`;
    await atCoordinator(cluster, groupId, { doing, ...options }, async (node, tries) => {
      const body = { groupsNames: [groupId] };
      const response = await cluster.request('DeleteGroups', body, { target: node, signal: options.signal });
      for (const { errorCode } of response.results) {
        const isGone = tries > 1 && errorCode === ErrorCode.GROUP_ID_NOT_FOUND;
        if (errorCode !== ErrorCode.NONE && !isGone) throw brokerError(errorCode, doing);
      }
    });
  }
}
