import { describe, expect, test } from 'vitest';
import { encodeConsumerSubscription, decodeConsumerAssignment, ErrorCode } from '../../../protocol/index.ts';
import { GroupNode, versionsOf } from './group-node.ts';
import type { WireResponse } from './group-node.ts';

const protocols = [
  { name: 'range', metadata: encodeConsumerSubscription(0, { topics: ['t'], userData: null }) },
];

function heartbeat(
  node: GroupNode,
  memberEpoch: number,
  owned: readonly number[],
): Promise<WireResponse<'ConsumerGroupHeartbeat'>> {
  const isJoining = memberEpoch === 0;
  const topicPartitions = owned.length === 0 ? [] : [{ topicId: node.topicId('t'), partitions: [...owned] }];
  return node.call('ConsumerGroupHeartbeat', 1, {
    groupId: 'g',
    memberId: 'c',
    memberEpoch,
    rebalanceTimeoutMs: isJoining ? 60_000 : -1,
    subscribedTopicNames: isJoining ? ['t'] : null,
    topicPartitions,
  });
}

/** A group of one member of KIP-848, which has all of t. */
async function openConsumerGroup(settings: Readonly<Record<string, string>> = {}): Promise<GroupNode> {
  const node = await GroupNode.open({
    settings: { 'group.consumer.assignment.interval.ms': '0', ...settings },
  });
  expect(await heartbeat(node, 0, [])).toMatchObject({ errorCode: ErrorCode.NONE, memberEpoch: 1 });
  return node;
}

function join(node: GroupNode, version: number, memberId: string): Promise<WireResponse<'JoinGroup'>> {
  return node.call('JoinGroup', version, {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    ...(version >= 1 && { rebalanceTimeoutMs: 30_000 }),
    memberId,
    protocolType: 'consumer',
    protocols,
  });
}

describe('JoinGroup, SyncGroup, Heartbeat and LeaveGroup of a consumer group', () => {
  test.each(versionsOf('JoinGroup'))(
    'version %i of JoinGroup joins it, is assigned, and leaves',
    async (version) => {
      const node = await openConsumerGroup();
      const first = await join(node, version, '');
      expect(first.errorCode).toBe(version >= 4 ? ErrorCode.MEMBER_ID_REQUIRED : ErrorCode.NONE);
      const { memberId } = first;
      expect(version >= 4 ? await join(node, version, memberId) : first).toMatchObject({
        errorCode: ErrorCode.NONE,
        generationId: 2,
        protocolType: version >= 7 ? 'consumer' : null,
        protocolName: 'range',
        leader: '',
        members: [],
        skipAssignment: false,
      });
      // The other gives up what the new one is to get, and says so.
      const told = await heartbeat(node, 1, [0, 1, 2]);
      const kept = told.assignment!.topicPartitions[0]!.partitions;
      await heartbeat(node, 1, kept);
      for (const each of versionsOf('Heartbeat')) {
        const { errorCode } = await node.call('Heartbeat', each, { groupId: 'g', generationId: 2, memberId });
        expect(errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS);
      }
      expect(await join(node, version, memberId)).toMatchObject({
        errorCode: ErrorCode.NONE,
        generationId: 2,
      });
      for (const each of versionsOf('SyncGroup')) {
        const synced = await node.call('SyncGroup', each, {
          groupId: 'g',
          generationId: 2,
          memberId,
          ...(each >= 5 && { protocolType: 'consumer', protocolName: 'range' }),
          assignments: [],
        });
        expect(synced).toMatchObject({
          errorCode: ErrorCode.NONE,
          protocolType: each >= 5 ? 'consumer' : null,
          protocolName: each >= 5 ? 'range' : null,
        });
        const { assignedPartitions } = decodeConsumerAssignment(synced.assignment).value;
        const partitions = [0, 1, 2].filter((partition) => !kept.includes(partition));
        expect(assignedPartitions).toEqual([{ topic: 't', partitions }]);
      }
      const described = await node.call('ConsumerGroupDescribe', 1, { groupIds: ['g'] });
      expect(new Set(described.groups[0]!.members.map(({ memberType }) => memberType))).toEqual(
        new Set([0, 1]),
      );
      for (const each of versionsOf('OffsetCommit')) {
        const topic = each >= 10 ? { topicId: node.topicId('t') } : { name: 't' };
        const committed = await node.call('OffsetCommit', each, {
          groupId: 'g',
          memberId,
          generationIdOrMemberEpoch: 2,
          topics: [{ ...topic, partitions: [{ partitionIndex: 0, committedOffset: each }] }],
        });
        expect(committed.topics[0]!.partitions[0]!.errorCode).toBe(ErrorCode.NONE);
      }
      const left = await node.call('LeaveGroup', 5, { groupId: 'g', members: [{ memberId }] });
      expect(left.members[0]!.errorCode).toBe(ErrorCode.NONE);
      const alone = await node.call('ConsumerGroupDescribe', 1, { groupIds: ['g'] });
      expect(alone.groups[0]!.members.map((member) => member.memberId)).toEqual(['c']);
    },
  );

  test('the group is listed and described as of one protocol after the other', async () => {
    const node = await openConsumerGroup();
    const { memberId } = await join(node, 9, '');
    await join(node, 9, memberId);
    const types = async () => (await node.call('ListGroups', 5, {})).groups.map(({ groupType }) => groupType);
    expect(await types()).toEqual(['consumer']);
    expect((await heartbeat(node, -1, [])).errorCode).toBe(ErrorCode.NONE);
    expect(await types()).toEqual(['classic']);
    const [group] = (await node.call('DescribeGroups', 6, { groups: ['g'] })).groups;
    expect(group).toMatchObject({ errorCode: ErrorCode.NONE, groupState: 'PreparingRebalance' });
    expect(group!.members.map((member) => member.memberId)).toEqual([memberId]);
  });

  test.each(['disabled', 'upgrade', 'downgrade', 'bidirectional'])(
    'group.consumer.migration.policy is %s',
    async (policy) => {
      const node = await GroupNode.open({
        settings: { 'group.consumer.migration.policy': policy.toUpperCase() },
        config: { initialRebalanceDelayMs: 0 },
      });
      const { memberId } = await join(node, 9, '');
      const joining = join(node, 9, memberId);
      await node.clock.advanceAsync(1);
      const { generationId } = await joining;
      const assignments = [{ memberId, assignment: Buffer.alloc(0) }];
      const named = { protocolType: 'consumer', protocolName: 'range' };
      await node.call('SyncGroup', 5, { groupId: 'g', generationId, memberId, ...named, assignments });
      const isUpgraded = policy === 'upgrade' || policy === 'bidirectional';
      const reply = await heartbeat(node, 0, []);
      expect(reply.errorCode).toBe(isUpgraded ? ErrorCode.NONE : ErrorCode.GROUP_ID_NOT_FOUND);
      if (!isUpgraded) {
        expect(reply.errorMessage).toContain(`group.consumer.migration.policy is ${policy}`);
        return;
      }
      await heartbeat(node, -1, []);
      const { groups } = await node.call('ListGroups', 5, {});
      expect(groups.map(({ groupType }) => groupType)).toEqual([
        policy === 'bidirectional' ? 'classic' : 'consumer',
      ]);
    },
  );
});
