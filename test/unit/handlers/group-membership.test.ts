import { describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../protocol/index.ts';
import { GroupNode, versionsOf } from './group-node.ts';
import type { WireRequest, WireResponse } from './group-node.ts';

const metadata = Buffer.from('sub');
const assignment = Buffer.from('all of it');

function joinRequest(version: number, memberId = ''): WireRequest<'JoinGroup'> {
  return {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    ...(version >= 1 && { rebalanceTimeoutMs: 30_000 }),
    memberId,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata }],
    ...(version >= 8 && { reason: 'starting' }),
  };
}

/** Joins as a client of this version does: twice where it is told its id. */
async function join(node: GroupNode, version: number): Promise<WireResponse<'JoinGroup'>> {
  let memberId = '';
  if (version >= 4) {
    const first = await node.call('JoinGroup', version, joinRequest(version));
    expect(first.errorCode).toBe(ErrorCode.MEMBER_ID_REQUIRED);
    memberId = first.memberId;
  }
  const joining = node.call('JoinGroup', version, joinRequest(version, memberId));
  await node.clock.advanceAsync(3_000);
  return joining;
}

describe('JoinGroup and SyncGroup', () => {
  test.each(versionsOf('JoinGroup'))('version %i goes from join to assignment', async (version) => {
    const node = await GroupNode.open();
    const reply = await join(node, version);
    expect(reply).toMatchObject({
      errorCode: ErrorCode.NONE,
      throttleTimeMs: 0,
      generationId: 1,
      protocolType: version >= 7 ? 'consumer' : null,
      protocolName: 'range',
      leader: reply.memberId,
      skipAssignment: false,
      members: [{ memberId: reply.memberId, groupInstanceId: null, metadata }],
    });
    expect(reply.memberId).toMatch(
      /^client-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u,
    );
    const { memberId } = reply;
    for (const syncVersion of versionsOf('SyncGroup')) {
      const synced = await node.call('SyncGroup', syncVersion, {
        groupId: 'g',
        generationId: 1,
        memberId,
        ...(syncVersion >= 5 && { protocolType: 'consumer', protocolName: 'range' }),
        assignments: [{ memberId, assignment }],
      });
      expect(synced).toMatchObject({
        errorCode: ErrorCode.NONE,
        assignment,
        protocolType: syncVersion >= 5 ? 'consumer' : null,
        protocolName: syncVersion >= 5 ? 'range' : null,
      });
    }
  });

  test.each(versionsOf('JoinGroup'))('version %i says what is wrong', async (version) => {
    const node = await GroupNode.open();
    const error = { generationId: -1, protocolName: version >= 7 ? null : '', leader: '', members: [] };
    expect(
      await node.call('JoinGroup', version, { ...joinRequest(version), sessionTimeoutMs: 1 }),
    ).toMatchObject({
      ...error,
      errorCode: ErrorCode.INVALID_SESSION_TIMEOUT,
    });
    expect(await node.call('JoinGroup', version, joinRequest(version, 'who'))).toMatchObject({
      ...error,
      errorCode: ErrorCode.UNKNOWN_MEMBER_ID,
      memberId: 'who',
    });
    node.deny = (operation, type, name) => operation === 'READ' && type === 'GROUP' && name === 'g';
    expect(await node.call('JoinGroup', version, joinRequest(version))).toMatchObject({
      ...error,
      errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED,
    });
  });

  test('a version 0 client waits for others as long as its session lasts', async () => {
    const node = await GroupNode.open();
    await join(node, 0);
    const other = node.call('JoinGroup', 0, joinRequest(0));
    await node.clock.advanceAsync(10_000);
    expect(await other).toMatchObject({ errorCode: ErrorCode.NONE, generationId: 2 });
  });

  test('SyncGroup from version 5 must name its protocol', async () => {
    const node = await GroupNode.open();
    const reply = await node.call('SyncGroup', 5, {
      groupId: 'g',
      generationId: 1,
      memberId: 'm',
      assignments: [],
    });
    expect(reply.errorCode).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL);
  });
});

describe('Heartbeat and LeaveGroup', () => {
  test('in all versions', async () => {
    const node = await GroupNode.open();
    const { memberId } = await join(node, 5);
    for (const version of versionsOf('Heartbeat')) {
      const beat = { groupId: 'g', generationId: 1, memberId };
      expect(await node.call('Heartbeat', version, beat)).toMatchObject({ errorCode: ErrorCode.NONE });
      expect(await node.call('Heartbeat', version, { ...beat, generationId: 3 })).toMatchObject({
        errorCode: ErrorCode.ILLEGAL_GENERATION,
      });
    }
    for (const version of versionsOf('LeaveGroup')) {
      const request =
        version < 3 ? { groupId: 'g', memberId: 'who' } : { groupId: 'g', members: [{ memberId: 'who' }] };
      const reply = await node.call('LeaveGroup', version, request);
      if (version < 3) expect(reply).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, members: [] });
      else {
        expect(reply).toMatchObject({
          errorCode: ErrorCode.NONE,
          members: [{ memberId: 'who', groupInstanceId: null, errorCode: ErrorCode.UNKNOWN_MEMBER_ID }],
        });
      }
    }
    expect(await node.call('LeaveGroup', 0, { groupId: 'g', memberId })).toMatchObject({
      errorCode: ErrorCode.NONE,
    });
    expect(await node.call('Heartbeat', 4, { groupId: 'g', generationId: 1, memberId })).toMatchObject({
      errorCode: ErrorCode.UNKNOWN_MEMBER_ID,
    });
  });

  test('without permission', async () => {
    const node = await GroupNode.open({ deny: () => true });
    const errorCode = ErrorCode.GROUP_AUTHORIZATION_FAILED;
    expect(await node.call('Heartbeat', 4, { groupId: 'g', memberId: 'm' })).toMatchObject({ errorCode });
    expect(await node.call('LeaveGroup', 5, { groupId: 'g', members: [] })).toMatchObject({ errorCode });
    expect(await node.call('SyncGroup', 4, { groupId: 'g', memberId: 'm' })).toMatchObject({ errorCode });
  });
});

describe('a node that is not the coordinator', () => {
  test('says so', async () => {
    const node = await GroupNode.open({ lead: false });
    const errorCode = ErrorCode.NOT_COORDINATOR;
    const member = { groupId: 'g', generationId: 1, memberId: 'm' };
    expect(await node.call('JoinGroup', 9, joinRequest(9))).toMatchObject({ errorCode });
    expect(await node.call('SyncGroup', 4, member)).toMatchObject({ errorCode });
    expect(await node.call('Heartbeat', 4, member)).toMatchObject({ errorCode });
    expect(await node.call('LeaveGroup', 2, { groupId: 'g', memberId: 'm' })).toMatchObject({ errorCode });
    expect(await node.call('LeaveGroup', 5, { groupId: 'g', members: [] })).toMatchObject({ errorCode });
    expect(await node.call('DescribeGroups', 6, { groups: ['g'] })).toMatchObject({
      groups: [{ errorCode }],
    });
    expect(await node.call('ListGroups', 5, {})).toMatchObject({ errorCode: ErrorCode.NONE, groups: [] });
  });

  test('says that it is loading while it loads, but answers heartbeats, and goes on with members afterwards', async () => {
    const node = await GroupNode.open();
    const { memberId } = await join(node, 9);
    const member = { groupId: 'g', generationId: 1, memberId };
    await node.call('SyncGroup', 4, { ...member, assignments: [{ memberId, assignment }] });
    const waiting = node.call('JoinGroup', 2, joinRequest(2));
    const loading = node.changeTerm();
    expect(await waiting).toMatchObject({ errorCode: ErrorCode.NOT_COORDINATOR, memberId: '' });
    const errorCode = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS;
    expect(await node.call('SyncGroup', 4, member)).toMatchObject({ errorCode });
    expect(await node.call('Heartbeat', 4, member)).toMatchObject({ errorCode: ErrorCode.NONE });
    expect(await node.call('ListGroups', 5, {})).toMatchObject({ errorCode, groups: [] });
    for (const log of node.logs) log.becomeReady();
    await Promise.all(loading);
    expect(await node.call('Heartbeat', 4, member)).toMatchObject({ errorCode: ErrorCode.NONE });
    expect(await node.call('SyncGroup', 4, member)).toMatchObject({ errorCode: ErrorCode.NONE, assignment });
  });
});

describe('FindCoordinator', () => {
  const here = { errorCode: ErrorCode.NONE, nodeId: 1, host: 'broker', port: 9092 };
  const nowhere = { nodeId: -1, host: '', port: -1 };

  test('makes the groups’ topic and finds its leaders, in all versions', async () => {
    const node = await GroupNode.open({ lead: false });
    expect(node.cluster.image.topic('__consumer_offsets')).toBeUndefined();
    for (const version of versionsOf('FindCoordinator')) {
      const reply =
        version < 4
          ? await node.call('FindCoordinator', version, { key: 'g' })
          : await node.call('FindCoordinator', version, { keyType: 0, coordinatorKeys: ['g', 'h'] });
      if (version < 4) expect(reply).toMatchObject({ ...here, errorMessage: version === 0 ? '' : null });
      else {
        expect(reply.coordinators).toMatchObject([
          { key: 'g', ...here },
          { key: 'h', ...here },
        ]);
      }
    }
    expect(node.cluster.image.topic('__consumer_offsets')!.partitions).toHaveLength(50);
  });

  test('knows no coordinators for transactions and share groups', async () => {
    const node = await GroupNode.open({ lead: false });
    const message = 'This broker has no transaction coordinator.';
    expect(await node.call('FindCoordinator', 2, { key: 'x', keyType: 1 })).toMatchObject({
      ...nowhere,
      errorCode: ErrorCode.INVALID_REQUEST,
      errorMessage: message,
    });
    for (const [keyType, errorMessage] of [
      [1, message],
      [2, 'This broker has no share coordinator.'],
      [9, 'There is no coordinator of type 9.'],
    ] as const) {
      expect(await node.call('FindCoordinator', 6, { keyType, coordinatorKeys: ['x'] })).toMatchObject({
        coordinators: [{ key: 'x', ...nowhere, errorCode: ErrorCode.INVALID_REQUEST, errorMessage }],
      });
    }
    expect(node.cluster.image.topic('__consumer_offsets')).toBeUndefined();
  });

  test('respects permissions, for each key', async () => {
    const node = await GroupNode.open({ lead: false, deny: (_operation, _type, name) => name === 'secret' });
    expect(await node.call('FindCoordinator', 4, { coordinatorKeys: ['g', 'secret'] })).toMatchObject({
      coordinators: [
        { key: 'g', ...here },
        { key: 'secret', ...nowhere, errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED },
      ],
    });
    expect(await node.call('FindCoordinator', 1, { key: 'secret', keyType: 1 })).toMatchObject({
      ...nowhere,
      errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    });
  });

  test('spreads groups by Kafka’s hash', async () => {
    const node = await GroupNode.open({ lead: false });
    // "polygenelubricants" hashes to -2^31, whose absolute value Java cannot hold; Kafka takes 0.
    const groupIds = ['polygenelubricants', '', 'a', 'console-consumer-4711', 'my-group'];
    expect(groupIds.map((groupId) => node.groups.partitionFor(groupId))).toEqual([0, 0, 47, 22, 12]);
  });
});

describe('ListGroups and DescribeGroups', () => {
  async function nodeWithGroups(): Promise<{ node: GroupNode; memberId: string }> {
    const node = await GroupNode.open();
    const { memberId } = await join(node, 9);
    await node.call('SyncGroup', 4, {
      groupId: 'g',
      generationId: 1,
      memberId,
      assignments: [{ memberId, assignment }],
    });
    const partition = {
      partitionIndex: 0,
      committedOffset: 1,
      committedLeaderEpoch: -1,
      committedMetadata: null,
    };
    await node.groups.commitOffsets({
      groupId: 'simple',
      generationId: -1,
      memberId: '',
      groupInstanceId: null,
      retentionTimeMs: -1,
      supportsGroupIdNotFound: true,
      topics: [{ name: 't', topicId: node.topicId('t'), partitions: [partition] }],
    });
    return { node, memberId };
  }
  const g = { groupId: 'g', protocolType: 'consumer', groupState: 'Stable', groupType: 'classic' };
  const simple = { groupId: 'simple', protocolType: '', groupState: 'Empty', groupType: 'classic' };
  const listed = async (node: GroupNode, version: number, request: WireRequest<'ListGroups'> = {}) => {
    const reply = await node.call('ListGroups', version, request);
    expect(reply.errorCode).toBe(ErrorCode.NONE);
    return reply.groups.toSorted((a, b) => a.groupId.localeCompare(b.groupId));
  };

  test('list all, by state, by type and by permission', async () => {
    const { node } = await nodeWithGroups();
    for (const version of versionsOf('ListGroups')) {
      const groupState = (state: string) => (version >= 4 ? state : '');
      const groupType = version >= 5 ? 'classic' : '';
      expect(await listed(node, version)).toEqual([
        { ...g, groupState: groupState('Stable'), groupType },
        { ...simple, groupState: groupState('Empty'), groupType },
      ]);
    }
    expect(await listed(node, 4, { statesFilter: ['stable', 'Dead'] })).toMatchObject([{ groupId: 'g' }]);
    expect(await listed(node, 5, { statesFilter: ['Empty'], typesFilter: ['Classic'] })).toEqual([simple]);
    expect(await listed(node, 5, { typesFilter: ['consumer'] })).toEqual([]);
    node.deny = (_operation, type, name) => type === 'CLUSTER' || name === 'g';
    expect(await listed(node, 5)).toEqual([simple]);
  });

  test('describe members, unknown groups and permissions in all versions', async () => {
    const { node, memberId } = await nodeWithGroups();
    node.deny = (operation, _type, name) => name === 'secret' || operation === 'DELETE';
    for (const version of versionsOf('DescribeGroups')) {
      const reply = await node.call('DescribeGroups', version, {
        groups: ['g', 'simple', 'unknown', 'secret'],
        ...(version >= 3 && { includeAuthorizedOperations: true }),
      });
      const operations = version >= 3 ? (1 << 3) | (1 << 8) | (1 << 10) | (1 << 11) : -2_147_483_648;
      const groups = reply.groups;
      expect(groups[0]).toEqual({
        errorCode: ErrorCode.NONE,
        errorMessage: null,
        groupId: 'g',
        groupState: 'Stable',
        protocolType: 'consumer',
        protocolData: 'range',
        members: [
          {
            memberId,
            groupInstanceId: null,
            clientId: 'client',
            clientHost: '/10.0.0.9',
            memberMetadata: metadata,
            memberAssignment: assignment,
          },
        ],
        authorizedOperations: operations,
      });
      expect(groups[1]).toMatchObject({ groupState: 'Empty', members: [], authorizedOperations: operations });
      expect(groups[2]).toMatchObject({
        groupId: 'unknown',
        groupState: 'Dead',
        errorCode: version >= 6 ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.NONE,
        errorMessage: version >= 6 ? 'Group unknown not found.' : null,
      });
      expect(groups[3]).toMatchObject({ groupId: 'secret', errorCode: ErrorCode.GROUP_AUTHORIZATION_FAILED });
    }
  });
});
