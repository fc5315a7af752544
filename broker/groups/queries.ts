/** ListGroups and DescribeGroups: what can be seen of groups. */
import { ErrorCode } from '../../protocol/index.ts';
import type { AnyGroup } from './any-group.ts';
import type { DescribeGroupReply, ListedGroup, ListGroupsCommand } from './group-commands.ts';
import { Group, noAssignment } from './group.ts';

/** For members of the classic protocol; a consumer group is described as one that is not there, with another message. */
export function describeGroup(group: AnyGroup | undefined): DescribeGroupReply {
  if (!(group instanceof Group)) {
    return {
      errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
      errorMessage: group === undefined ? null : `Group ${group.groupId} is not a classic group.`,
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
    errorMessage: null,
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
