import { describe, expect, test } from 'vitest';
import { ErrorCode } from '../../../protocol/index.ts';
import { GroupNode, versionsOf } from './group-node.ts';
import type { WireRequest, WireResponse } from './group-node.ts';

const noTopicId = 'AAAAAAAAAAAAAAAAAAAAAA';
const strangeTopicId = 'AAAAAAAAAAAAAAAAAAAABg';

function commitRequest(
  node: GroupNode,
  version: number,
  offsets: Readonly<Record<string, number[]>>,
): WireRequest<'OffsetCommit'> {
  return {
    groupId: 'g',
    topics: Object.entries(offsets).map(([name, partitions]) => ({
      ...(version >= 10 ? { topicId: node.cluster.image.topic(name)?.id ?? strangeTopicId } : { name }),
      partitions: partitions.map((partitionIndex) => ({
        partitionIndex,
        committedOffset: version * 100 + partitionIndex,
        ...(version >= 6 && { committedLeaderEpoch: 4 }),
        committedMetadata: partitionIndex === 0 ? 'note' : null,
      })),
    })),
  };
}

function fetchRequest(
  node: GroupNode,
  version: number,
  topics: Readonly<Record<string, number[]>> | null,
): WireRequest<'OffsetFetch'> {
  const asked =
    topics === null
      ? null
      : Object.entries(topics).map(([name, partitionIndexes]) => ({
          ...(version >= 10 ? { topicId: node.cluster.image.topic(name)?.id ?? strangeTopicId } : { name }),
          partitionIndexes,
        }));
  return version >= 8 ? { groups: [{ groupId: 'g', topics: asked }] } : { groupId: 'g', topics: asked };
}

/** The topics of the (first) group in an answer. */
function topicsOf(reply: WireResponse<'OffsetFetch'>, version: number) {
  return version >= 8
    ? reply.groups[0]!.topics
    : reply.topics.map(({ name, partitions }) => ({ name, topicId: noTopicId, partitions }));
}

function errors(topic: { readonly partitions: readonly { readonly errorCode: number }[] }): number[] {
  return topic.partitions.map(({ errorCode }) => errorCode);
}

describe('OffsetCommit', () => {
  test.each(versionsOf('OffsetCommit'))(
    'version %i commits what it can, and says what it cannot',
    async (version) => {
      const node = await GroupNode.open();
      const request = commitRequest(node, version, { nowhere: [0], t: [2, 9, 0], u: [0] });
      const topics = (await node.call('OffsetCommit', version, request)).topics;
      const unknown = version >= 10 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
      expect(topics.map(errors)).toEqual([
        [unknown],
        [ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NONE],
        [ErrorCode.NONE],
      ]);
      expect(topics.map(({ name, topicId }) => [name, topicId])).toEqual(
        version >= 10
          ? [
              ['', strangeTopicId],
              ['', node.topicId('t')],
              ['', node.topicId('u')],
            ]
          : [
              ['nowhere', noTopicId],
              ['t', noTopicId],
              ['u', noTopicId],
            ],
      );
      const fetched = await node.call('OffsetFetch', 8, fetchRequest(node, 8, { t: [0, 1, 2] }));
      const committedLeaderEpoch = version >= 6 ? 4 : -1;
      expect(topicsOf(fetched, 8)[0]!.partitions).toEqual([
        {
          partitionIndex: 0,
          committedOffset: version * 100,
          committedLeaderEpoch,
          metadata: 'note',
          errorCode: 0,
        },
        { partitionIndex: 1, committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 },
        {
          partitionIndex: 2,
          committedOffset: version * 100 + 2,
          committedLeaderEpoch,
          metadata: '',
          errorCode: 0,
        },
      ]);
    },
  );

  test('asks the coordinator nothing when nothing is left to commit', async () => {
    const node = await GroupNode.open({ lead: false });
    const reply = await node.call('OffsetCommit', 9, commitRequest(node, 9, { nowhere: [0] }));
    expect(reply.topics.map(errors)).toEqual([[ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]]);
    const refused = await node.call('OffsetCommit', 9, commitRequest(node, 9, { nowhere: [0], t: [0] }));
    expect(refused.topics.map(errors)).toEqual([
      [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      [ErrorCode.NOT_COORDINATOR],
    ]);
  });

  test('tells a member of an unknown group so in the way of its version', async () => {
    const node = await GroupNode.open();
    for (const [version, error] of [
      [8, ErrorCode.ILLEGAL_GENERATION],
      [9, ErrorCode.GROUP_ID_NOT_FOUND],
    ] as const) {
      const request = {
        ...commitRequest(node, version, { t: [0] }),
        memberId: 'm',
        generationIdOrMemberEpoch: 3,
      };
      const reply = await node.call('OffsetCommit', version, request);
      expect(reply.topics.map(errors)).toEqual([[error]]);
    }
  });

  test('respects permissions on group and topics', async () => {
    const node = await GroupNode.open({ deny: (_operation, type, name) => type === 'TOPIC' && name === 'u' });
    const request = commitRequest(node, 9, { u: [0], t: [0] });
    const reply = await node.call('OffsetCommit', 9, request);
    expect(reply.topics.map(errors)).toEqual([[ErrorCode.TOPIC_AUTHORIZATION_FAILED], [ErrorCode.NONE]]);
    node.deny = (_operation, type) => type === 'GROUP';
    const refused = await node.call('OffsetCommit', 9, request);
    expect(refused.topics.map(errors)).toEqual([
      [ErrorCode.GROUP_AUTHORIZATION_FAILED],
      [ErrorCode.GROUP_AUTHORIZATION_FAILED],
    ]);
  });
});

describe('OffsetFetch', () => {
  test.each(versionsOf('OffsetFetch'))('version %i gives what is committed', async (version) => {
    const node = await GroupNode.open();
    await node.call('OffsetCommit', 9, commitRequest(node, 9, { t: [1], u: [0] }));
    const asked = await node.call(
      'OffsetFetch',
      version,
      fetchRequest(node, version, { t: [1, 0], nowhere: [5] }),
    );
    const topics = topicsOf(asked, version);
    const committedLeaderEpoch = version >= 5 ? 4 : -1;
    expect(topics[0]!.partitions).toEqual([
      { partitionIndex: 1, committedOffset: 901, committedLeaderEpoch, metadata: '', errorCode: 0 },
      { partitionIndex: 0, committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 },
    ]);
    expect(topics[1]!.partitions).toEqual([
      {
        partitionIndex: 5,
        committedOffset: -1,
        committedLeaderEpoch: -1,
        metadata: '',
        errorCode: version >= 10 ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.NONE,
      },
    ]);
    if (version >= 10)
      expect(topics.map(({ topicId }) => topicId)).toEqual([node.topicId('t'), strangeTopicId]);
    else expect(topics.map(({ name }) => name)).toEqual(['t', 'nowhere']);
    if (version < 2) return;
    const all = topicsOf(await node.call('OffsetFetch', version, fetchRequest(node, version, null)), version);
    expect(all.map((topic) => topic[version >= 10 ? 'topicId' : 'name'])).toEqual(
      version >= 10 ? [node.topicId('t'), node.topicId('u')] : ['t', 'u'],
    );
    expect(all.flatMap(({ partitions }) => partitions.map(({ committedOffset }) => committedOffset))).toEqual(
      [901, 900],
    );
  });

  test.each(versionsOf('OffsetFetch'))(
    'version %i says that this is not the coordinator',
    async (version) => {
      const node = await GroupNode.open({ lead: false });
      const reply = await node.call('OffsetFetch', version, fetchRequest(node, version, { t: [0, 1] }));
      const error = ErrorCode.NOT_COORDINATOR;
      if (version >= 8) expect(reply.groups).toMatchObject([{ groupId: 'g', errorCode: error, topics: [] }]);
      else if (version >= 2) expect(reply).toMatchObject({ errorCode: error, topics: [] });
      else expect(topicsOf(reply, version).map(errors)).toEqual([[error, error]]);
    },
  );

  test('answers each of several groups, with permissions', async () => {
    const node = await GroupNode.open({
      deny: (_operation, type, name) => name === (type === 'GROUP' ? 'h' : 'u'),
    });
    await node.call('OffsetCommit', 9, commitRequest(node, 9, { t: [0] }));
    const topics = ['t', 'u'].map((name) => ({ name, partitionIndexes: [0] }));
    const reply = await node.call('OffsetFetch', 9, {
      groups: ['g', 'h', 'i'].map((groupId) => ({ groupId, topics })),
      requireStable: true,
    });
    const groups = reply.groups;
    expect(groups.map(({ groupId, errorCode }) => [groupId, errorCode])).toEqual([
      ['g', ErrorCode.NONE],
      ['h', ErrorCode.GROUP_AUTHORIZATION_FAILED],
      ['i', ErrorCode.NONE],
    ]);
    expect(groups[0]!.topics.map(errors)).toEqual([[ErrorCode.NONE], [ErrorCode.TOPIC_AUTHORIZATION_FAILED]]);
  });

  test('does not give a deleted topic’s offsets to its namesake', async () => {
    const node = await GroupNode.open();
    await node.call('OffsetCommit', 9, commitRequest(node, 9, { t: [0], u: [0] }));
    await node.cluster.deleteTopics([node.topicId('t')]);
    await node.cluster.createTopics([
      { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
    ]);
    for (const version of [7, 9, 10]) {
      const reply = await node.call('OffsetFetch', version, fetchRequest(node, version, { t: [0], u: [0] }));
      expect(
        topicsOf(reply, version).flatMap(({ partitions }) => partitions.map((each) => each.committedOffset)),
      ).toEqual([-1, 900]);
    }
    const all = async (version: number) =>
      topicsOf(await node.call('OffsetFetch', version, fetchRequest(node, version, null)), version).map(
        ({ name, partitions }) => [name, partitions.length],
      );
    for (const version of [7, 9, 10]) expect(await all(version)).toHaveLength(1);
    expect(await all(9)).toEqual([['u', 1]]);
    await node.groups.forgetTopics(['t']);
    expect(await all(9)).toEqual([['u', 1]]);
  });
});

describe('DeleteGroups and OffsetDelete', () => {
  test('delete groups in all versions', async () => {
    for (const version of versionsOf('DeleteGroups')) {
      const node = await GroupNode.open({ deny: (_operation, _type, name) => name === 'secret' });
      await node.call('OffsetCommit', 9, commitRequest(node, 9, { t: [0] }));
      const reply = await node.call('DeleteGroups', version, {
        groupsNames: ['g', 'unknown', 'secret', 'g'],
      });
      expect(reply.results.map(({ groupId, errorCode }) => [groupId, errorCode])).toEqual([
        ['g', ErrorCode.NONE],
        ['unknown', ErrorCode.GROUP_ID_NOT_FOUND],
        ['secret', ErrorCode.GROUP_AUTHORIZATION_FAILED],
      ]);
      const all = await node.call('OffsetFetch', 7, fetchRequest(node, 7, null));
      expect(all.topics).toEqual([]);
    }
  });

  test('delete offsets partition by partition', async () => {
    const node = await GroupNode.open({ deny: (_operation, type, name) => type === 'TOPIC' && name === 'u' });
    await node.call('OffsetCommit', 9, commitRequest(node, 9, { t: [0, 1] }));
    const topics = Object.entries({ t: [0, 9], u: [0], nowhere: [0] }).map(([name, partitions]) => ({
      name,
      partitions: partitions.map((partitionIndex) => ({ partitionIndex })),
    }));
    const reply = await node.call('OffsetDelete', 0, { groupId: 'g', topics });
    expect(reply.errorCode).toBe(ErrorCode.NONE);
    expect(reply.topics.map((topic) => [topic.name, ...errors(topic)])).toEqual([
      ['t', ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ['u', ErrorCode.TOPIC_AUTHORIZATION_FAILED],
      ['nowhere', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ]);
    const left = await node.call('OffsetFetch', 7, fetchRequest(node, 7, null));
    expect(left.topics.map(({ partitions }) => partitions)).toMatchObject([[{ partitionIndex: 1 }]]);
    expect(await node.call('OffsetDelete', 0, { groupId: 'unknown', topics: [] })).toMatchObject({
      errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
    });
  });
});
