import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { ErrorCode } from '../../../protocol/index.ts';
import type { DescribeTopicPartitionsResponse } from '../../../protocol/index.ts';
import { serveNode } from './served-node.ts';

const zeroId = 'AAAAAAAAAAAAAAAAAAAAAA';

function topic(name: string, numPartitions = 1, configs: { name: string; value: string }[] = []) {
  return { name, numPartitions, replicationFactor: 1, configs };
}

/** From the lowest to the highest, both included. */
function versions(lowest: number, highest: number): number[] {
  return Array.from({ length: highest - lowest + 1 }, (_, step) => lowest + step);
}

describe('CreateTopics', () => {
  it.each(versions(2, 7))(
    'version %i makes topics that can be used at once, and survives bad ones',
    async (version) => {
      await using node = await serveNode();
      const answer = await node.call('CreateTopics', version, {
        topics: [topic('good', 2, [{ name: 'retention.ms', value: '-1' }]), topic('..'), topic('wide', 200)],
      });
      const { cluster, partitions } = node.services;
      expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
        ['good', 0],
        ['..', ErrorCode.INVALID_TOPIC_EXCEPTION],
        ['wide', 0],
      ]);
      const [good, bad] = answer.topics;
      expect([good?.errorMessage, good?.topicId, good?.numPartitions, good?.replicationFactor]).toEqual([
        null,
        version >= 7 ? cluster.image.topic('good')?.id : zeroId,
        version >= 5 ? 2 : -1,
        version >= 5 ? 1 : -1,
      ]);
      expect(bad?.errorMessage).toContain("'..' is not allowed");
      expect(good?.configs?.length).toBe(version >= 5 ? 38 : 0);
      if (version >= 5) {
        expect(good?.configs?.find(({ name }) => name === 'retention.ms')).toEqual({
          name: 'retention.ms',
          value: '-1',
          readOnly: false,
          configSource: 1,
          isSensitive: false,
        });
      }
      expect(partitions.replica('good', 1)?.isLeader).toBe(true);
      expect(partitions.replica('wide', 199)?.ready).toBe(true);
      expect(cluster.topicConfig('good').retentionMs).toBe(-1);
    },
  );

  it('only validates when asked to', async () => {
    await using node = await serveNode();
    const answer = await node.call('CreateTopics', 7, {
      topics: [topic('t'), topic('')],
      validateOnly: true,
    });
    expect(answer.topics.map(({ errorCode }) => errorCode)).toEqual([0, ErrorCode.INVALID_TOPIC_EXCEPTION]);
    expect(node.services.cluster.image.topicCount).toBe(0);
  });

  it('needs the right to create, in the cluster or for the topic, and that to see settings', async () => {
    await using node = await serveNode();
    node.authorize = (operation, type, name) => operation === 'CREATE' && type === 'TOPIC' && name === 'mine';
    const answer = await node.call('CreateTopics', 7, { topics: [topic('mine'), topic('yours')] });
    expect(
      answer.topics.map(({ name, errorCode, topicConfigErrorCode }) => [
        name,
        errorCode,
        topicConfigErrorCode,
      ]),
    ).toEqual([
      ['mine', 0, ErrorCode.TOPIC_AUTHORIZATION_FAILED],
      ['yours', ErrorCode.TOPIC_AUTHORIZATION_FAILED, 0],
    ]);
    expect([answer.topics[0]?.configs, answer.topics[0]?.numPartitions]).toEqual([[], -1]);
    expect(node.services.cluster.image.topic('yours')).toBeUndefined();
  });

  it('answers a name that stands twice once', async () => {
    await using node = await serveNode();
    const answer = await node.call('CreateTopics', 7, { topics: [topic('t'), topic('t')] });
    expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['t', ErrorCode.INVALID_REQUEST],
    ]);
  });

  it('is remembered over a restart, with the settings', async () => {
    const disk = new MemoryDisk();
    const before = await serveNode({ disk });
    await before.call('CreateTopics', 7, { topics: [topic('t', 3, [{ name: 'segment.ms', value: '9' }])] });
    const id = before.services.cluster.image.topic('t')?.id;
    await before[Symbol.asyncDispose]();
    await using after = await serveNode({ disk });
    expect(after.services.cluster.image.topic('t')?.id).toBe(id);
    expect(after.services.cluster.topicConfig('t').segmentMs).toBe(9);
    const { topics } = await after.call('Metadata', 13, { topics: null });
    expect(topics[0]?.partitions.map(({ leaderId, leaderEpoch }) => [leaderId, leaderEpoch])).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
  });
});

describe('DeleteTopics', () => {
  it.each(versions(1, 5))('version %i deletes by name', async (version) => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('a'), topic('b')] });
    const topicNames = ['a', 'x', 'b', 'b'];
    const answer = await node.call('DeleteTopics', version, { topicNames });
    expect(answer.responses.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['a', 0],
      ['x', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ['b', ErrorCode.INVALID_REQUEST],
    ]);
    expect([...node.services.cluster.image.topics()].map(({ name }) => name)).toEqual(['b']);
    expect(answer.responses[2]?.errorMessage).toBe(version >= 5 ? 'Duplicate topic name.' : null);
  });

  it('deletes by id in version 6, and refuses what is neither or both', async () => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('a'), topic('b'), topic('c')] });
    const idOf = (name: string) => node.services.cluster.image.topic(name)?.id ?? '';
    const [a, b, c] = [idOf('a'), idOf('b'), idOf('c')];
    const unknown = `${a.slice(0, 20)}zw`;
    const answer = await node.call('DeleteTopics', 6, {
      topics: [
        { topicId: a, name: null },
        { topicId: unknown, name: null },
        { name: null },
        { name: 'b', topicId: b },
        { name: 'c' },
        { topicId: c, name: null },
      ],
    });
    expect(answer.responses.map(({ name, topicId, errorCode }) => [name, topicId, errorCode])).toEqual([
      ['a', a, 0],
      [null, unknown, ErrorCode.UNKNOWN_TOPIC_ID],
      [null, zeroId, ErrorCode.INVALID_REQUEST],
      ['b', b, ErrorCode.INVALID_REQUEST],
      ['c', c, ErrorCode.INVALID_REQUEST],
      ['c', c, ErrorCode.INVALID_REQUEST],
    ]);
    expect([...node.services.cluster.image.topics()].map(({ name }) => name)).toEqual(['b', 'c']);
  });

  it('lets a name be used again at once, for another topic', async () => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('t', 2)] });
    const before = node.services.cluster.image.topic('t')?.id;
    await node.call('DeleteTopics', 6, { topics: [{ name: 't' }] });
    const again = await node.call('CreateTopics', 7, { topics: [topic('t', 1)] });
    expect(again.topics[0]?.errorCode).toBe(0);
    expect(again.topics[0]?.topicId).not.toBe(before);
    expect(node.services.partitions.replica('t', 0)?.identity.topicId).toBe(again.topics[0]?.topicId);
    expect(node.services.partitions.replica('t', 1)).toBeUndefined();
  });

  it('can be turned off', async () => {
    await using node = await serveNode({ settings: { 'delete.topic.enable': 'false' } });
    await node.call('CreateTopics', 7, { topics: [topic('t')] });
    const errors = [
      (await node.call('DeleteTopics', 2, { topicNames: ['t'] })).responses[0]?.errorCode,
      (await node.call('DeleteTopics', 3, { topicNames: ['t'] })).responses[0]?.errorCode,
      (await node.call('DeleteTopics', 6, { topics: [{ name: 't' }] })).responses[0]?.errorCode,
    ];
    expect(errors).toEqual([
      ErrorCode.INVALID_REQUEST,
      ErrorCode.TOPIC_DELETION_DISABLED,
      ErrorCode.TOPIC_DELETION_DISABLED,
    ]);
    expect(node.services.cluster.image.topicCount).toBe(1);
  });

  it('does not tell a client of topics that it may not see', async () => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('seen'), topic('hidden')] });
    const idOf = (name: string) => node.services.cluster.image.topic(name)?.id ?? '';
    node.authorize = (operation, _, name) => operation === 'DESCRIBE' && name === 'seen';
    const topics = [
      { topicId: idOf('seen'), name: null },
      { topicId: idOf('hidden'), name: null },
      { name: 'hidden' },
      { name: 'absent' },
    ];
    const answer = await node.call('DeleteTopics', 6, { topics });
    const denied = ErrorCode.TOPIC_AUTHORIZATION_FAILED;
    expect(answer.responses.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['seen', denied],
      [null, denied],
      ['hidden', denied],
      ['absent', denied],
    ]);
    expect(node.services.cluster.image.topicCount).toBe(2);
  });
});

describe('CreatePartitions', () => {
  it.each(versions(0, 3))('version %i adds partitions that can be used at once', async (version) => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('a'), topic('b'), topic('c')] });
    const answer = await node.call('CreatePartitions', version, {
      topics: [
        { name: 'a', count: 3, assignments: null },
        { name: 'b', count: 2, assignments: [{ brokerIds: [1] }] },
        { name: 'c', count: 1, assignments: null },
        { name: 'x', count: 2, assignments: null },
      ],
    });
    expect(answer.results).toEqual([
      { name: 'a', errorCode: 0, errorMessage: null },
      { name: 'b', errorCode: 0, errorMessage: null },
      {
        name: 'c',
        errorCode: ErrorCode.INVALID_PARTITIONS,
        errorMessage: 'Topic already has 1 partition(s).',
      },
      {
        name: 'x',
        errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        errorMessage: "Topic 'x' does not exist.",
      },
    ]);
    const leads = (name: string, partition: number) =>
      node.services.partitions.replica(name, partition)?.isLeader;
    expect([leads('a', 2), leads('b', 1), leads('c', 1)]).toEqual([true, true, undefined]);
  });

  it('refuses a topic that stands twice or that the client may not alter', async () => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('a'), topic('b')] });
    node.authorize = (_, __, name) => name !== 'b';
    const grown = (name: string, count: number) => ({ name, count, assignments: null });
    const answer = await node.call('CreatePartitions', 3, {
      topics: [grown('a', 2), grown('b', 2), grown('a', 3)],
    });
    expect(answer.results.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['a', ErrorCode.INVALID_REQUEST],
      ['b', ErrorCode.TOPIC_AUTHORIZATION_FAILED],
    ]);
  });

  it('only validates when asked to', async () => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('a')] });
    const topics = [{ name: 'a', count: 5, assignments: null }];
    const answer = await node.call('CreatePartitions', 3, { topics, validateOnly: true });
    expect([answer.results[0]?.errorCode, node.services.cluster.image.topic('a')?.partitions.length]).toEqual(
      [0, 1],
    );
  });
});

describe('DescribeTopicPartitions', () => {
  it('goes through all topics in order of name, a page at a time, and misses none', async () => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('c', 3), topic('a', 2), topic('b', 1)] });
    const seen: string[] = [];
    const pages: number[] = [];
    let cursor: DescribeTopicPartitionsResponse['nextCursor'] = null;
    do {
      const answer: DescribeTopicPartitionsResponse = await node.call('DescribeTopicPartitions', 0, {
        topics: [],
        responsePartitionLimit: 2,
        cursor,
      });
      const page = answer.topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex, leaderId }) => `${name}-${partitionIndex}@${leaderId}`),
      );
      pages.push(page.length);
      seen.push(...page);
      cursor = answer.nextCursor;
    } while (cursor !== null);
    expect(seen).toEqual(['a-0@1', 'a-1@1', 'b-0@1', 'c-0@1', 'c-1@1', 'c-2@1']);
    expect(pages).toEqual([2, 2, 2]);
  });

  it('stays within the setting of the broker, and gives at least one partition', async () => {
    await using node = await serveNode({ settings: { 'max.request.partition.size.limit': '2' } });
    await node.call('CreateTopics', 7, { topics: [topic('t', 5)] });
    const page = async (responsePartitionLimit: number) => {
      const answer = await node.call('DescribeTopicPartitions', 0, { topics: [], responsePartitionLimit });
      return [answer.topics[0]?.partitions.length, answer.nextCursor?.partitionIndex];
    };
    expect([await page(2000), await page(-7)]).toEqual([
      [2, 2],
      [1, 1],
    ]);
  });

  it('answers topics that are not there, and not the others twice', async () => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('a'), topic('b')] });
    node.authorize = (_, __, name) => name !== 'b';
    const names = ['x', 'a', 'b', 'a', 'x/y'];
    const answer = await node.call('DescribeTopicPartitions', 0, { topics: names.map((name) => ({ name })) });
    expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['a', 0],
      ['x', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
      ['x/y', ErrorCode.INVALID_TOPIC_EXCEPTION],
      ['b', ErrorCode.TOPIC_AUTHORIZATION_FAILED],
    ]);
    expect(answer.topics[0]?.topicId).toBe(node.services.cluster.image.topic('a')?.id);
    expect(answer.topics[0]?.topicAuthorizedOperations).toBe(0b1101_1111_1000);
  });

  it.each([
    [['a'], { topicName: 'b', partitionIndex: 0 }],
    [['a'], { topicName: 'a', partitionIndex: -1 }],
  ])('refuses the topics %j with the cursor %j', async (names, cursor) => {
    await using node = await serveNode();
    await node.call('CreateTopics', 7, { topics: [topic('a')] });
    const topics = names.map((name) => ({ name }));
    const answer = await node.call('DescribeTopicPartitions', 0, { topics, cursor });
    expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['a', ErrorCode.INVALID_REQUEST],
    ]);
  });
});

describe('DescribeCluster', () => {
  it.each(versions(0, 2))('version %i tells nodes, controller and cluster', async (version) => {
    await using node = await serveNode({ rack: 'r1' });
    const answer = await node.call('DescribeCluster', version, {});
    expect(answer).toEqual({
      throttleTimeMs: 0,
      errorCode: 0,
      errorMessage: null,
      endpointType: 1,
      clusterId: node.services.clusterId,
      controllerId: 1,
      brokers: [{ brokerId: 1, host: '10.0.0.7', port: 9192, rack: 'r1', isFenced: false }],
      clusterAuthorizedOperations: -2_147_483_648,
    });
  });

  it('refuses to speak of controllers, and tells rights when asked', async () => {
    await using node = await serveNode();
    const errorFor = async (endpointType: number) =>
      (await node.call('DescribeCluster', 1, { endpointType })).errorCode;
    expect([await errorFor(2), await errorFor(7)]).toEqual([
      ErrorCode.MISMATCHED_ENDPOINT_TYPE,
      ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
    ]);
    const told = await node.call('DescribeCluster', 0, { includeClusterAuthorizedOperations: true });
    expect(told.clusterAuthorizedOperations).toBe(0b1_1111_1010_0000);
  });
});
