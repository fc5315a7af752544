/** Groups of both protocols: which there are, what they are made of, and taking them or their members away. */
import { ErrorCode } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { atCoordinator } from '../cluster/at-coordinator.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { brokerError } from '../errors.ts';
import { atEachNode } from './at-each-node.ts';
import { decodeAssignment } from '../group/consumer-protocol.ts';
import type { TopicPartition } from '../messages.ts';
import type { CallOptions } from '../options.ts';
import type {
  GroupDescription,
  GroupFilter,
  GroupListing,
  GroupMember,
  MemberIdentity,
  MemberResult,
} from './admin-types.ts';

/** From these versions on, brokers filter by state, and by type. */
const statesFrom = 4;
const typesFrom = 5;
/** From this version on, several members can be taken out; before, one that is not static. */
const severalLeaveFrom = 3;
const reasonFrom = 5;

/** Every broker lists the groups that it coordinates; what an old one does not filter is filtered here. */
export async function listGroups(
  cluster: Cluster,
  { states = [], types = [], ...options }: CallOptions & GroupFilter,
): Promise<GroupListing[]> {
  const doing = 'list the groups';
  const body = (version: number): object => ({
    ...(version >= statesFrom && { statesFilter: states }),
    ...(version >= typesFrom && { typesFilter: types }),
  });
  const lists = await atEachNode(cluster, { doing, ...options }, async (node) => {
    const response = await cluster.request('ListGroups', body, { target: node, signal: options.signal });
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
  return listings
    .filter(({ state, type }) => isAmong(states, state) && isAmong(types, type))
    .sort((a, b) => (a.groupId < b.groupId ? -1 : 1));
}

function isAmong(wanted: readonly string[], name: string): boolean {
  return wanted.length === 0 || wanted.some((each) => each.toLowerCase() === name.toLowerCase());
}

export function describeGroups(
  cluster: Cluster,
  groupIds: readonly string[],
  options: CallOptions,
): Promise<GroupDescription[]> {
  return Promise.all(groupIds.map((groupId) => describeGroup(cluster, groupId, options)));
}

/** A group of the consumer protocol is described by an API of its own, which says so where the group is not one. */
function describeGroup(cluster: Cluster, groupId: string, options: CallOptions): Promise<GroupDescription> {
  const asked = { groupId, doing: `describe the group ${groupId}` };
  return atCoordinator(cluster, groupId, { doing: asked.doing, ...options }, async (node) => {
    const { versions } = await cluster.connection(node, 'control');
    const isServed = versions.pick('ConsumerGroupDescribe') !== undefined;
    const described = isServed ? await describeConsumerGroup(cluster, node, asked, options) : undefined;
    return described ?? describeClassicGroup(cluster, node, asked, options);
  });
}

interface Asked {
  readonly groupId: string;
  readonly doing: string;
}

/** Undefined where it is no group of the consumer protocol, or the cluster has none. */
async function describeConsumerGroup(
  cluster: Cluster,
  node: NodeInfo,
  { groupId, doing }: Asked,
  { signal }: CallOptions,
): Promise<GroupDescription | undefined> {
  const response = await cluster.request(
    'ConsumerGroupDescribe',
    { groupIds: [groupId] },
    { target: node, signal },
  );
  const group = response.groups[0];
  const isNone =
    group === undefined ||
    group.errorCode === ErrorCode.GROUP_ID_NOT_FOUND ||
    group.errorCode === ErrorCode.UNSUPPORTED_VERSION;
  if (isNone) return undefined;
  if (group.errorCode !== ErrorCode.NONE) throw brokerError(group.errorCode, doing, group.errorMessage);
  return {
    groupId,
    type: 'consumer',
    state: group.groupState,
    protocolType: 'consumer',
    protocol: group.assignorName,
    coordinator: node.id,
    epoch: group.groupEpoch,
    assignmentEpoch: group.assignmentEpoch,
    members: group.members.map((member): GroupMember => ({
      memberId: member.memberId,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      assignment: partitionsOf(member.assignment),
      consumer: {
        epoch: member.memberEpoch,
        rack: member.rackId,
        topics: member.subscribedTopicNames,
        topicPattern: member.subscribedTopicRegex === '' ? null : member.subscribedTopicRegex,
        targetAssignment: partitionsOf(member.targetAssignment),
        protocol: memberProtocols[member.memberType] ?? null,
      },
    })),
  };
}

/** By Kafka's numbers of member types. */
const memberProtocols = ['classic', 'consumer'] as const;

interface Assignment {
  readonly topicPartitions: readonly { readonly topicName: string; readonly partitions: readonly number[] }[];
}

function partitionsOf({ topicPartitions }: Assignment): TopicPartition[] {
  return topicPartitions.flatMap(({ topicName, partitions }) =>
    partitions.map((partition) => ({ topic: topicName, partition })),
  );
}

async function describeClassicGroup(
  cluster: Cluster,
  node: NodeInfo,
  { groupId, doing }: Asked,
  { signal }: CallOptions,
): Promise<GroupDescription> {
  const response = await cluster.request('DescribeGroups', { groups: [groupId] }, { target: node, signal });
  const group = response.groups[0];
  const common = {
    groupId,
    type: 'classic',
    coordinator: node.id,
    epoch: null,
    assignmentEpoch: null,
  } as const;
  if (group === undefined || group.errorCode === ErrorCode.GROUP_ID_NOT_FOUND) {
    return { ...common, state: 'Dead', protocolType: '', protocol: '', members: [] };
  }
  if (group.errorCode !== ErrorCode.NONE) throw brokerError(group.errorCode, doing, group.errorMessage);
  return {
    ...common,
    state: group.groupState,
    protocolType: group.protocolType,
    protocol: group.protocolData,
    members: group.members.map((member): GroupMember => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      // Other protocol types (such as Connect's) have assignments of other forms.
      assignment: group.protocolType === 'consumer' ? decodeAssignment(member.memberAssignment) : [],
      consumer: null,
    })),
  };
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

export interface RemoveMembersOptions extends CallOptions {
  /** For the broker's log. */
  readonly reason?: string;
}

/** Takes members out, as if they had left; one that is alive joins again. In the order of `members`. */
export function removeGroupMembers(
  cluster: Cluster,
  groupId: string,
  members: readonly MemberIdentity[],
  { reason = 'removed by an administrator', ...options }: RemoveMembersOptions,
): Promise<MemberResult[]> {
  const doing = `take members out of the group ${groupId}`;
  return atCoordinator(cluster, groupId, { doing, ...options }, async (node) => {
    const { versions } = await cluster.connection(node, 'control');
    if (versions.require('LeaveGroup') < severalLeaveFrom) {
      throw brokerError(ErrorCode.UNSUPPORTED_VERSION, doing, 'brokers take members out from release 2.4 on');
    }
    const body = (version: number): object => ({
      groupId,
      members: members.map((member) => ({
        memberId: 'memberId' in member ? member.memberId : '',
        groupInstanceId: 'groupInstanceId' in member ? member.groupInstanceId : null,
        ...(version >= reasonFrom && { reason }),
      })),
    });
    const response = await cluster.request('LeaveGroup', body, { target: node, signal: options.signal });
    if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, doing);
    return members.map((member, place): MemberResult => {
      const errorCode = response.members[place]?.errorCode ?? ErrorCode.UNKNOWN_MEMBER_ID;
      if (errorCode === ErrorCode.NONE) return { member, error: null };
      const name = 'memberId' in member ? member.memberId : member.groupInstanceId;
      return { member, error: brokerError(errorCode, `take the member ${name} out of the group ${groupId}`) };
    });
  });
}
