/** ListGroups and DescribeGroups: what can be seen of groups. */
import { ErrorCode } from '../../protocol/index.ts';
import type { AnyGroup } from './any-group.ts';
import type { DescribeGroupReply, ListedGroup, ListGroupsCommand } from './group-commands.ts';
import { Group, noAssignment } from './group.ts';

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

export function listGroups(groups: Iterable<AnyGroup>, { states, types }: ListGroupsCommand): ListedGroup[] {
  const listed: ListedGroup[] = [];
  for (const group of groups) {
    const groupType = group instanceof Group ? 'classic' : 'consumer';
    if (types.size > 0 && !types.has(groupType)) continue;
    if (states.size > 0 && !states.has(group.state.toLowerCase())) continue;
    listed.push({
      groupId: group.groupId,
      protocolType: group instanceof Group ? (group.protocolType ?? '') : 'consumer',
      groupState: group.state,
      groupType,
    });
  }
  return listed;
}
