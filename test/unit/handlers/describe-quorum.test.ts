import { expect, it } from 'vitest';
import { ErrorCode } from '../../../protocol/index.ts';
import { serveNode } from './served-node.ts';

const topicName = '__cluster_metadata';
const asked = { topics: [{ topicName, partitions: [{ partitionIndex: 0 }] }] };

it.each([0, 1, 2])('a node alone is the one voter of the metadata group (version %i)', async (version) => {
  await using node = await serveNode();
  const answer = await node.call('DescribeQuorum', version, asked);
  const { image } = node.services.cluster;
  expect(answer.errorCode).toBe(ErrorCode.NONE);
  const [partition] = answer.topics[0]!.partitions;
  expect(partition).toMatchObject({
    partitionIndex: 0,
    errorCode: ErrorCode.NONE,
    leaderId: 1,
    leaderEpoch: 1,
    highWatermark: image.endOffset,
    observers: [],
  });
  expect(partition!.currentVoters).toHaveLength(1);
  const [voter] = partition!.currentVoters;
  expect(voter).toMatchObject({ replicaId: 1, logEndOffset: image.endOffset });
  if (version >= 1) {
    expect(Math.abs(voter!.lastFetchTimestamp - Date.now())).toBeLessThan(10_000);
    expect(voter!.lastCaughtUpTimestamp).toBe(voter!.lastFetchTimestamp);
  }
  if (version < 2) return;
  expect(voter!.replicaDirectoryId).toBe(image.brokers.get(1)?.logDirectories[0]);
  // It has no listener for other nodes.
  expect(answer.nodes).toEqual([{ nodeId: 1, listeners: [] }]);
});

it.each([
  ['another topic', [{ topicName: 'orders', partitions: [{ partitionIndex: 0 }] }]],
  ['another partition', [{ topicName, partitions: [{ partitionIndex: 1 }] }]],
  ['more than one partition', [{ topicName, partitions: [{ partitionIndex: 0 }, { partitionIndex: 1 }] }]],
])('%s cannot be described', async (_, topics) => {
  await using node = await serveNode();
  const answer = await node.call('DescribeQuorum', 2, { topics });
  expect(answer.errorCode).toBe(ErrorCode.NONE);
  expect(answer.topics.map(({ topicName: name }) => name)).toEqual(topics.map(({ topicName: name }) => name));
  const codes = answer.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
  expect(codes).toEqual(
    topics.flatMap(({ partitions }) => partitions.map(() => ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)),
  );
});

it.each([0, 2])('a client that may not describe the cluster is told so (version %i)', async (version) => {
  await using node = await serveNode();
  node.authorize = (operation) => operation !== 'DESCRIBE';
  const answer = await node.call('DescribeQuorum', version, asked);
  expect(answer.errorCode).toBe(ErrorCode.CLUSTER_AUTHORIZATION_FAILED);
  expect(answer.topics).toEqual([]);
});
