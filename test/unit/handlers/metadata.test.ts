import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../../protocol/index.ts';
import { serveNode } from './served-node.ts';
import type { ServedNode } from './served-node.ts';

const zeroId = 'AAAAAAAAAAAAAAAAAAAAAA';
const versions = Array.from({ length: 14 }, (_, version) => version);

async function nodeWithTopics(): Promise<ServedNode> {
  const node = await serveNode({ rack: 'r1' });
  const topics = [
    { name: 'a', numPartitions: 2, replicationFactor: 1 },
    { name: 'b', numPartitions: 1, replicationFactor: 1 },
  ];
  await node.call('CreateTopics', 7, { topics });
  return node;
}

/** Name (or id) and error of each topic in an answer. */
function outcomes(answer: {
  topics: { name: string | null; errorCode: number }[];
}): [string | null, number][] {
  return answer.topics.map(({ name, errorCode }) => [name, errorCode]);
}

describe('Metadata', () => {
  it.each(versions)('version %i tells nodes, leaders and replicas', async (version) => {
    await using node = await nodeWithTopics();
    const answer = await node.call('Metadata', version, { topics: [{ name: 'a' }] });
    const id = node.services.cluster.image.topic('a')?.id;
    expect(answer.brokers).toEqual([
      { nodeId: 1, host: '10.0.0.7', port: 9192, rack: version >= 1 ? 'r1' : null },
    ]);
    expect(answer.clusterId).toBe(version >= 2 ? node.services.clusterId : null);
    expect(answer.controllerId).toBe(version >= 1 ? 1 : -1);
    const leaderEpoch = version >= 7 ? 1 : -1;
    expect(answer.topics).toEqual([
      {
        errorCode: 0,
        name: 'a',
        topicId: version >= 10 ? id : zeroId,
        isInternal: false,
        partitions: [0, 1].map((partitionIndex) => ({
          errorCode: 0,
          partitionIndex,
          leaderId: 1,
          leaderEpoch,
          replicaNodes: [1],
          isrNodes: [1],
          offlineReplicas: [],
        })),
        topicAuthorizedOperations: -2_147_483_648,
      },
    ]);
  });

  it('gives all topics for null, and for an empty list only in version 0', async () => {
    await using node = await nodeWithTopics();
    const names = async (version: number, topics: [] | null) =>
      (await node.call('Metadata', version, { topics })).topics.map(({ name }) => name);
    expect(await names(0, [])).toEqual(['a', 'b']);
    for (const version of versions.slice(1)) {
      expect([await names(version, []), await names(version, null)]).toEqual([[], ['a', 'b']]);
    }
  });

  it('finds topics by id from version 12, and refuses ids before', async () => {
    await using node = await nodeWithTopics();
    const topicId = node.services.cluster.image.topic('b')?.id ?? '';
    const unknown = `${topicId.slice(0, 20)}zw`;
    const asked = [
      { topicId, name: null },
      { topicId: unknown, name: null },
    ];
    expect(outcomes(await node.call('Metadata', 12, { topics: asked }))).toEqual([
      ['b', 0],
      [null, ErrorCode.UNKNOWN_TOPIC_ID],
    ]);
    expect(outcomes(await node.call('Metadata', 11, { topics: [{ topicId, name: 'b' }] }))).toEqual([
      ['b', ErrorCode.INVALID_REQUEST],
    ]);
    expect(outcomes(await node.call('Metadata', 10, { topics: [{ name: null }] }))).toEqual([
      ['', ErrorCode.INVALID_REQUEST],
    ]);
    expect(outcomes(await node.call('Metadata', 13, { topics: [{ name: null }] }))).toEqual([
      ['', ErrorCode.INVALID_REQUEST],
    ]);
  });

  it('creates what is missing and answers when it can be used', async () => {
    await using node = await serveNode({ settings: { 'num.partitions': '3' } });
    const topics = [{ name: 'new' }, { name: 'new' }, { name: 'b/d' }, { name: '__consumer_offsets' }];
    const answer = await node.call('Metadata', 4, { topics });
    expect(outcomes(answer)).toEqual([
      ['new', 0],
      ['b/d', ErrorCode.INVALID_TOPIC_EXCEPTION],
      ['__consumer_offsets', 0],
    ]);
    expect(answer.topics.map(({ partitions }) => partitions.filter((p) => p.leaderId === 1).length)).toEqual([
      3, 0, 50,
    ]);
    expect(answer.topics.map(({ isInternal }) => isInternal)).toEqual([false, false, true]);
    expect(node.services.partitions.replica('new', 2)?.isLeader).toBe(true);
  });

  it('creates a topic once for many that ask at once, each gets its leader', async () => {
    await using node = await serveNode();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => node.call('Metadata', 9, { topics: [{ name: 'new' }] })),
    );
    expect(answers.map(({ topics }) => topics[0]?.partitions[0]?.leaderId)).toEqual(
      Array.from({ length: 20 }, () => 1),
    );
    expect(node.services.cluster.image.topicCount).toBe(1);
  });

  it('creates nothing when the request or the broker does not want it', async () => {
    await using willing = await serveNode();
    const request = { topics: [{ name: 'new' }], allowAutoTopicCreation: false };
    expect(outcomes(await willing.call('Metadata', 4, request))).toEqual([
      ['new', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ]);
    await using unwilling = await serveNode({ settings: { 'auto.create.topics.enable': 'false' } });
    for (const version of [0, 3, 4, 13]) {
      expect(outcomes(await unwilling.call('Metadata', version, { topics: [{ name: 'new' }] }))).toEqual([
        ['new', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ]);
    }
    expect([willing, unwilling].map(({ services }) => services.cluster.image.topicCount)).toEqual([0, 0]);
  });

  it('says why a topic could not be created', async () => {
    await using node = await serveNode({ settings: { 'default.replication.factor': '3' } });
    await node.call('CreateTopics', 7, { topics: [{ name: 'a.b', numPartitions: 1, replicationFactor: 1 }] });
    const answer = await node.call('Metadata', 13, { topics: [{ name: 'new' }, { name: 'a_b' }] });
    expect(outcomes(answer)).toEqual([
      ['new', ErrorCode.INVALID_REPLICATION_FACTOR],
      ['a_b', ErrorCode.INVALID_TOPIC_EXCEPTION],
    ]);
  });

  it('hides what the client may not see', async () => {
    await using node = await nodeWithTopics();
    node.authorize = (operation, _, name) => operation === 'DESCRIBE' && name !== 'b';
    const topicId = node.services.cluster.image.topic('b')?.id ?? '';
    expect(outcomes(await node.call('Metadata', 13, { topics: null }))).toEqual([['a', 0]]);
    expect(outcomes(await node.call('Metadata', 13, { topics: [{ name: 'b' }, { name: 'new' }] }))).toEqual([
      ['b', ErrorCode.TOPIC_AUTHORIZATION_FAILED],
      ['new', ErrorCode.TOPIC_AUTHORIZATION_FAILED],
    ]);
    expect(outcomes(await node.call('Metadata', 13, { topics: [{ topicId, name: null }] }))).toEqual([
      [null, ErrorCode.TOPIC_AUTHORIZATION_FAILED],
    ]);
    expect(node.services.cluster.image.topic('new')).toBeUndefined();
  });

  it('tells what the client may do, when asked', async () => {
    await using node = await nodeWithTopics();
    const request = {
      topics: [{ name: 'a' }],
      includeClusterAuthorizedOperations: true,
      includeTopicAuthorizedOperations: true,
    };
    const bits = (...operations: number[]) => operations.reduce((field, bit) => field + 2 ** bit, 0);
    const all = await node.call('Metadata', 8, request);
    expect(all.clusterAuthorizedOperations).toBe(bits(5, 7, 8, 9, 10, 11, 12));
    expect(all.topics[0]?.topicAuthorizedOperations).toBe(bits(3, 4, 5, 6, 7, 8, 10, 11));
    node.authorize = (operation, type) =>
      operation === 'READ' || (operation === 'DESCRIBE' && type === 'TOPIC');
    const some = await node.call('Metadata', 8, request);
    expect(some.clusterAuthorizedOperations).toBe(0);
    expect(some.topics[0]?.topicAuthorizedOperations).toBe(bits(3, 8));
  });
});
