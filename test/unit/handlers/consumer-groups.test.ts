import { describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../protocol/index.ts';
import { GroupNode, versionsOf } from './group-node.ts';
import type { WireRequest, WireResponse } from './group-node.ts';

type Heartbeat = WireRequest<'ConsumerGroupHeartbeat'>;

const joining: Heartbeat = {
  groupId: 'g',
  memberId: 'a',
  memberEpoch: 0,
  rebalanceTimeoutMs: 60_000,
  subscribedTopicNames: ['t'],
  topicPartitions: [],
};

function heartbeat(
  node: GroupNode,
  change: Partial<Heartbeat>,
  version = 1,
): Promise<WireResponse<'ConsumerGroupHeartbeat'>> {
  return node.call('ConsumerGroupHeartbeat', version, { ...joining, ...change });
}

/** A heartbeat of a member that has nothing new to say. */
function goingOn(memberEpoch: number): Partial<Heartbeat> {
  return { memberEpoch, rebalanceTimeoutMs: -1, subscribedTopicNames: null, topicPartitions: null };
}

function byPattern(pattern: string): Partial<Heartbeat> {
  return { subscribedTopicNames: null, subscribedTopicRegex: pattern };
}

async function makeTopic(node: GroupNode, name: string): Promise<void> {
  await node.cluster.createTopics([
    { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
  ]);
}

/** Names of the topics that the member was told to read. */
function told(node: GroupNode, { assignment }: WireResponse<'ConsumerGroupHeartbeat'>): string[] | undefined {
  return assignment?.topicPartitions
    .map(({ topicId }) => node.cluster.image.topicById(topicId)!.name)
    .toSorted();
}

describe('ConsumerGroupHeartbeat', () => {
  test.each(versionsOf('ConsumerGroupHeartbeat'))('version %i joins, goes on and leaves', async (version) => {
    const node = await GroupNode.open();
    expect(await heartbeat(node, {}, version)).toMatchObject({
      throttleTimeMs: 0,
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      memberId: 'a',
      memberEpoch: 1,
      heartbeatIntervalMs: 5_000,
      assignment: { topicPartitions: [{ topicId: node.topicId('t'), partitions: [0, 1, 2] }] },
    });
    const next = await heartbeat(node, goingOn(1), version);
    expect(next).toMatchObject({ errorCode: ErrorCode.NONE, memberEpoch: 1, assignment: null });
    const left = await heartbeat(node, goingOn(-1), version);
    expect(left).toMatchObject({ errorCode: ErrorCode.NONE, memberEpoch: -1 });
    const unknown = await heartbeat(node, goingOn(1), version);
    expect(unknown.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
  });

  test('version 0 gives an id to who has none, and version 1 asks for one', async () => {
    const node = await GroupNode.open();
    const given = await heartbeat(node, { memberId: '' }, 0);
    expect(given.memberId).toMatch(/^[\w-]{22}$/u);
    expect(given.memberEpoch).toBe(1);
    const refused = await heartbeat(node, { memberId: '' }, 1);
    expect(refused).toMatchObject({
      errorCode: ErrorCode.INVALID_REQUEST,
      errorMessage: "MemberId can't be empty.",
    });
  });

  test('is refused where the cluster does not serve such groups, and says what to change', async () => {
    const classic = await GroupNode.open({
      settings: { 'group.coordinator.rebalance.protocols': 'classic' },
    });
    expect(await heartbeat(classic, {})).toMatchObject({
      errorCode: ErrorCode.UNSUPPORTED_VERSION,
      errorMessage: expect.stringContaining('group.coordinator.rebalance.protocols'),
    });
    const node = await GroupNode.open();
    await node.cluster.updateFeatures([{ name: 'group.version', level: 0, allowDowngrade: true }], false);
    expect(await heartbeat(node, {})).toMatchObject({
      errorCode: ErrorCode.UNSUPPORTED_VERSION,
      errorMessage: expect.stringContaining('group.version'),
    });
  });

  test('is refused to who may not read the group, or see the topic', async () => {
    const node = await GroupNode.open({
      deny: (operation, type) => operation === 'READ' && type === 'GROUP',
    });
    expect((await heartbeat(node, {})).errorCode).toBe(ErrorCode.GROUP_AUTHORIZATION_FAILED);
    node.deny = (operation, type, name) => operation === 'DESCRIBE' && type === 'TOPIC' && name === 't';
    expect((await heartbeat(node, {})).errorCode).toBe(ErrorCode.TOPIC_AUTHORIZATION_FAILED);
    expect((await heartbeat(node, { subscribedTopicNames: ['u'] })).errorCode).toBe(ErrorCode.NONE);
  });

  test('is told of a coordinator that loads, and of none', async () => {
    const node = await GroupNode.open();
    await heartbeat(node, {});
    void node.changeTerm();
    expect((await heartbeat(node, goingOn(1))).errorCode).toBe(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS);
    const other = await GroupNode.open({ lead: false });
    expect((await heartbeat(other, {})).errorCode).toBe(ErrorCode.NOT_COORDINATOR);
  });
});

describe('a subscription by a pattern', () => {
  const topics = { 'orders-eu': 1, 'orders-us': 1, payments: 1 };

  test('is for the topics that match as a whole and that the member may see', async () => {
    const node = await GroupNode.open({
      topics,
      deny: (_, type, name) => type === 'TOPIC' && name === 'orders-us',
    });
    const joined = await heartbeat(node, byPattern('orders-.*|pay'));
    expect(joined.errorCode).toBe(ErrorCode.NONE);
    expect(told(node, joined)).toEqual(['orders-eu']);
  });

  test('that is none is refused, with where it goes wrong', async () => {
    const node = await GroupNode.open({ topics });
    expect(await heartbeat(node, byPattern('orders-('))).toMatchObject({
      errorCode: ErrorCode.INVALID_REGULAR_EXPRESSION,
      errorMessage:
        'SubscribedTopicRegex `orders-(` is not a valid regular expression: missing closing ): `orders-(`.',
    });
    const described = await node.call('ConsumerGroupDescribe', 1, { groupIds: ['g'] });
    expect(described.groups[0]?.errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND);
  });

  test('takes in topics that come later, and lets those go that are deleted', async () => {
    const node = await GroupNode.open({ topics });
    const joined = await heartbeat(node, byPattern('orders-.*'));
    expect(told(node, joined)).toEqual(['orders-eu', 'orders-us']);
    let epoch = joined.memberEpoch;
    let reading = told(node, joined)!;
    /** Heartbeats until what it reads has changed. */
    const change = async (): Promise<string[]> => {
      for (let beats = 0; beats < 5; beats++) {
        await node.clock.advanceAsync(5_000);
        const owned = reading.map((name) => ({ topicId: node.topicId(name), partitions: [0] }));
        const reply = await heartbeat(node, { ...goingOn(epoch), topicPartitions: owned });
        expect(reply.errorCode).toBe(ErrorCode.NONE);
        epoch = reply.memberEpoch;
        const now = told(node, reply);
        if (now === undefined || now.join() === reading.join()) continue;
        reading = now;
        return reading;
      }
      throw new Error(`the member goes on with ${reading.join()}`);
    };
    await makeTopic(node, 'orders-jp');
    await makeTopic(node, 'other');
    expect(await change()).toEqual(['orders-eu', 'orders-jp', 'orders-us']);
    const deleted = node.topicId('orders-eu');
    reading = reading.filter((name) => name !== 'orders-eu');
    await node.cluster.deleteTopics([deleted]);
    const described = async () => {
      const { groups } = await node.call('ConsumerGroupDescribe', 1, { groupIds: ['g'] });
      return groups[0]!.members[0]!.targetAssignment.topicPartitions.map(({ topicName }) => topicName);
    };
    for (let beats = 0; beats < 5 && (await described()).length > 2; beats++) {
      await node.clock.advanceAsync(5_000);
      epoch = (await heartbeat(node, goingOn(epoch))).memberEpoch;
    }
    expect((await described()).toSorted()).toEqual(['orders-jp', 'orders-us']);
  });
});

describe('ConsumerGroupDescribe', () => {
  test.each(versionsOf('ConsumerGroupDescribe'))('version %i tells all of a group', async (version) => {
    const node = await GroupNode.open();
    await heartbeat(node, { instanceId: 'i', rackId: 'r', serverAssignor: 'range' });
    const response = await node.call('ConsumerGroupDescribe', version, {
      groupIds: ['g', 'none', ''],
      includeAuthorizedOperations: true,
    });
    const assignment = {
      topicPartitions: [{ topicId: node.topicId('t'), topicName: 't', partitions: [0, 1, 2] }],
    };
    expect(response.groups).toMatchObject([
      {
        errorCode: ErrorCode.NONE,
        errorMessage: null,
        groupId: 'g',
        groupState: 'Stable',
        groupEpoch: 1,
        assignmentEpoch: 1,
        assignorName: 'range',
        members: [
          {
            memberId: 'a',
            instanceId: 'i',
            rackId: 'r',
            memberEpoch: 1,
            clientId: 'client',
            clientHost: '/10.0.0.9',
            subscribedTopicNames: ['t'],
            subscribedTopicRegex: null,
            assignment,
            targetAssignment: assignment,
            memberType: version >= 1 ? 1 : -1,
          },
        ],
        authorizedOperations: (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11),
      },
      {
        errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
        errorMessage: 'Group none not found.',
        authorizedOperations: -2_147_483_648,
      },
      { errorCode: ErrorCode.INVALID_GROUP_ID },
    ]);
  });

  test('keeps groups and topics from who may not see them', async () => {
    const node = await GroupNode.open();
    await heartbeat(node, {});
    node.deny = (_, type) => type === 'TOPIC';
    const hidden = await node.call('ConsumerGroupDescribe', 1, { groupIds: ['g'] });
    expect(hidden.groups).toMatchObject([{ errorCode: ErrorCode.TOPIC_AUTHORIZATION_FAILED, members: [] }]);
    node.deny = (_, type) => type === 'GROUP';
    const denied = await node.call('ConsumerGroupDescribe', 1, { groupIds: ['g'] });
    expect(denied.groups).toMatchObject([{ errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED }]);
  });
});

describe('a consumer group', () => {
  test('is listed by its type, and is no classic group', async () => {
    const node = await GroupNode.open();
    await heartbeat(node, {});
    const listed = await node.call('ListGroups', 5, { statesFilter: [], typesFilter: ['Consumer'] });
    expect(listed.groups).toEqual([
      { groupId: 'g', protocolType: 'consumer', groupState: 'Stable', groupType: 'consumer' },
    ]);
    const described = await node.call('DescribeGroups', 6, { groups: ['g'] });
    expect(described.groups).toMatchObject([
      {
        errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
        errorMessage: 'Group g is not a classic group.',
        groupState: 'Dead',
      },
    ]);
  });

  const topics = [
    { name: 't', partitions: [{ partitionIndex: 0, committedOffset: 7, committedMetadata: 'm' }] },
  ];

  test.each(versionsOf('OffsetCommit').filter((version) => version < 10))(
    'takes commits of its members in their epochs from version 9 on: %i',
    async (version) => {
      const node = await GroupNode.open();
      await heartbeat(node, {});
      const commit = async (generationIdOrMemberEpoch: number, memberId: string) => {
        const request = { groupId: 'g', generationIdOrMemberEpoch, memberId, topics };
        const { topics: answered } = await node.call('OffsetCommit', version, request);
        return answered[0]?.partitions[0]?.errorCode;
      };
      const [taken, stale] = [ErrorCode.NONE, ErrorCode.STALE_MEMBER_EPOCH];
      expect(await commit(1, 'a')).toBe(version >= 9 ? taken : ErrorCode.UNSUPPORTED_VERSION);
      expect(await commit(2, 'a')).toBe(version >= 9 ? stale : ErrorCode.UNSUPPORTED_VERSION);
      expect(await commit(1, 'b')).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
      expect(await commit(-1, '')).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    },
  );

  test.each([9, 10])(
    'tells a member that asks in another epoch that it is left behind: version %i',
    async (version) => {
      const node = await GroupNode.open();
      await heartbeat(node, {});
      const named = version >= 10 ? { topicId: node.topicId('t') } : { name: 't' };
      const fetch = async (member: { memberId?: string; memberEpoch?: number }) => {
        const group = { groupId: 'g', ...member, topics: [{ ...named, partitionIndexes: [0] }] };
        return (await node.call('OffsetFetch', version, { groups: [group] })).groups[0]!;
      };
      const known = await fetch({ memberId: 'a', memberEpoch: 1 });
      expect(known).toMatchObject({
        errorCode: ErrorCode.NONE,
        topics: [{ partitions: [{ partitionIndex: 0, committedOffset: -1 }] }],
      });
      expect((await fetch({ memberId: 'a', memberEpoch: 0 })).errorCode).toBe(ErrorCode.STALE_MEMBER_EPOCH);
      expect((await fetch({ memberId: 'b', memberEpoch: 1 })).errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
      expect((await fetch({})).errorCode).toBe(ErrorCode.NONE);
    },
  );
});
