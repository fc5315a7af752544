/** ListGroups and DescribeGroups: what can be seen of groups. */
import { ErrorCode } from '../../protocol/index.ts';
import type { DescribeGroupReply, ListedGroup, ListGroupsCommand } from './group-commands.ts';
import { noAssignment } from './group.ts';
import type { Group } from './group.ts';

const groupType = 'classic';

export function describeGroup(group: Group | undefined): DescribeGroupReply {
  if (group === undefined) {
    return {
      errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
      groupState: 'Dead',
      protocolType: '',
      protocolData: '',
      members: [],
    };
  }
  // Between generations there is no telling what a member's metadata and assignment are worth.
  const isStable = group.state === 'Stable';
  return {
    errorCode: ErrorCode.NONE,
    groupState: group.state,
    protocolType: group.protocolType ?? '',
    protocolData: isStable ? (group.protocolName ?? '') : '',
    members: [...group.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: isStable ? group.metadataOf(member) : noAssignment,
      memberAssignment: isStable ? member.assignment : noAssignment,
    })),
  };
}

export function listGroups(groups: Iterable<Group>, { states, types }: ListGroupsCommand): ListedGroup[] {
  const listed: ListedGroup[] = [];
  if (types.size > 0 && !types.has(groupType)) return listed;
  for (const group of groups) {
    if (states.size > 0 && !states.has(group.state.toLowerCase())) continue;
    listed.push({
      groupId: group.groupId,
      protocolType: group.protocolType ?? '',
      groupState: group.state,
      groupType,
    });
  }
  return listed;
}
