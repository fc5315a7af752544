import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { fetchOf, produceOf } from './embedded.ts';

const { NONE, NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION, FENCED_LEADER_EPOCH } = ErrorCode;
const topic = 'placed';

let cluster: EmbeddedCluster;
let topicId: string;

/** Two nodes hold `placed`, node 1 as the preferred leader; node 3 has nothing of it. */
beforeAll(async () => {
  cluster = await EmbeddedCluster.start();
  const connection = await cluster.connect(1);
  const assignments = [{ partitionIndex: 0, brokerIds: [1, 2] }];
  const made = await connection.call('CreateTopics', 7, {
    topics: [{ name: topic, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]).toMatchObject({ errorCode: NONE });
  topicId = made.topics[0]!.topicId;
}, 30_000);

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

/** Who leads, as a node says, once it has heard. */
async function leaderAt(node: number): Promise<{ leaderId: number; leaderEpoch: number }> {
  const connection = await cluster.connect(node);
  const { topics } = await connection.call('Metadata', 9, {
    topics: [{ name: topic }],
    allowAutoTopicCreation: false,
  });
  const { leaderId, leaderEpoch } = topics[0]!.partitions[0]!;
  return { leaderId, leaderEpoch };
}

async function leaderKnownAt(node: number): Promise<{ leaderId: number; leaderEpoch: number }> {
  return vi.waitFor(
    async () => {
      const leader = await leaderAt(node);
      expect(leader.leaderId).toBeGreaterThan(0);
      return leader;
    },
    { timeout: 10_000, interval: 50 },
  );
}

describe('a node that does not lead a partition', () => {
  it('says so, whether it has a replica or none, to all that needs the leader', async () => {
    const { leaderId } = await leaderKnownAt(3);
    const follower = leaderId === 1 ? 2 : 1;
    for (const node of [3, follower]) {
      const connection = await cluster.connect(node);
      const partitions = (partition: number) => ({ partitionIndex: partition, timestamp: -1 });
      const offsets = await connection.call('ListOffsets', 6, {
        replicaId: -1,
        isolationLevel: 0,
        topics: [{ name: topic, partitions: [partitions(0), partitions(7)] }],
      });
      const epochs = await connection.call('OffsetForLeaderEpoch', 4, {
        topics: [
          {
            topic,
            partitions: [
              { partition: 0, leaderEpoch: 0 },
              { partition: 7, leaderEpoch: 0 },
            ],
          },
        ],
      });
      const deleted = await connection.call('DeleteRecords', 2, {
        topics: [
          {
            name: topic,
            partitions: [
              { partitionIndex: 0, offset: -1 },
              { partitionIndex: 7, offset: -1 },
            ],
          },
        ],
        timeoutMs: 1_000,
      });
      expect([errorsOf(offsets), errorsOf(epochs), errorsOf(deleted)]).toEqual([
        [NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION],
        [NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION],
        [NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION],
      ]);
    }
  });

  it.each([9, 10, 12, 13])('answers Produce %i with the leader, where there is room', async (version) => {
    const leader = await leaderKnownAt(3);
    const connection = await cluster.connect(3);
    const request = produceOf(topic, ['a']);
    const named = version < 13 ? request : withTopicId(request);
    const answer = await connection.call('Produce', version, named);
    const partition = answer.responses[0]!.partitionResponses[0]!;
    expect(partition.errorCode).toBe(NOT_LEADER_OR_FOLLOWER);
    if (version < 10) return;
    expect(partition.currentLeader).toMatchObject(leader);
    const { port } = cluster.node(leader.leaderId).broker;
    expect(answer.nodeEndpoints).toMatchObject([{ nodeId: leader.leaderId, host: '127.0.0.1', port }]);
  });

  it.each([11, 12, 15, 16, 17])('answers Fetch %i with the leader, where there is room', async (version) => {
    const leader = await leaderKnownAt(3);
    const connection = await cluster.connect(3);
    const answer = await connection.call('Fetch', version, fetchAs(version, -1));
    const partition = answer.responses[0]!.partitions[0]!;
    expect(partition.errorCode).toBe(NOT_LEADER_OR_FOLLOWER);
    if (version >= 12) expect(partition.currentLeader).toMatchObject(leader);
    if (version < 16) return;
    const { port } = cluster.node(leader.leaderId).broker;
    expect(answer.nodeEndpoints).toMatchObject([{ nodeId: leader.leaderId, host: '127.0.0.1', port }]);
  });
});

it('a leader that is asked with an epoch that is over says its own', async () => {
  const leader = await leaderKnownAt(3);
  const connection = await cluster.connect(leader.leaderId);
  const answer = await connection.call('Fetch', 16, fetchAs(16, leader.leaderEpoch - 1));
  const partition = answer.responses[0]!.partitions[0]!;
  expect(partition.errorCode).toBe(FENCED_LEADER_EPOCH);
  expect(partition.currentLeader).toMatchObject(leader);
  expect(answer.nodeEndpoints.map(({ nodeId }) => nodeId)).toEqual([leader.leaderId]);
});

it('an answer without errors of that kind names nobody', async () => {
  const { leaderId } = await leaderKnownAt(3);
  const connection = await cluster.connect(leaderId);
  const written = await connection.call('Produce', 12, produceOf(topic, ['a', 'b']));
  expect(written.responses[0]!.partitionResponses[0]).toMatchObject({
    errorCode: NONE,
    currentLeader: { leaderId: -1, leaderEpoch: -1 },
  });
  expect(written.nodeEndpoints).toEqual([]);
  const unknown = await connection.call('Produce', 12, produceOf(topic, ['a'], { partition: 7 }));
  expect(unknown.responses[0]!.partitionResponses[0]).toMatchObject({
    errorCode: UNKNOWN_TOPIC_OR_PARTITION,
    currentLeader: { leaderId: -1, leaderEpoch: -1 },
  });
});

function errorsOf({
  topics,
}: {
  topics: readonly { partitions: readonly { errorCode: number }[] }[];
}): number[] {
  return topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
}

function withTopicId(request: ReturnType<typeof produceOf>): ReturnType<typeof produceOf> {
  return { ...request, topicData: request.topicData!.map((data) => ({ ...data, name: '', topicId })) };
}

function fetchAs(version: number, currentLeaderEpoch: number): ReturnType<typeof fetchOf> {
  const request = fetchOf(topic, [{ fetchOffset: 0 }]);
  const topics = request.topics!.map((asked) => ({
    ...asked,
    ...(version >= 13 ? { topic: '', topicId } : {}),
    partitions: asked.partitions!.map((partition) => ({ ...partition, currentLeaderEpoch })),
  }));
  return { ...request, topics };
}
