/** What clients may ask of any node of a cluster, and get the same answer. */
import { expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import type { WireConnection } from './wire-connection.ts';

const nodeIds = [1, 2, 3];

async function onEach<Answer>(
  cluster: EmbeddedCluster,
  ask: (connection: WireConnection) => Promise<Answer>,
): Promise<Answer[]> {
  return Promise.all(
    cluster.running.map(async (id) => {
      await using connection = await cluster.connect(id);
      return await ask(connection);
    }),
  );
}

it('every node answers for the whole cluster', async () => {
  await using cluster = await EmbeddedCluster.start({
    settings: { 'broker.session.timeout.ms': '1500', 'broker.heartbeat.interval.ms': '200' },
  });
  const [made] = await onEach(cluster, (connection) =>
    connection.call('CreateTopics', 7, {
      topics: [{ name: 't', numPartitions: 4, replicationFactor: 3, assignments: [], configs: [] }],
      timeoutMs: 10_000,
    }),
  );
  expect(made!.topics).toHaveLength(1);
  const describeTopic = async (connection: WireConnection) => {
    const request = { topics: [{ name: 't' }], responsePartitionLimit: 2000, cursor: null };
    const answer = await connection.call('DescribeTopicPartitions', 0, request);
    return answer.topics[0]!.partitions.map(
      ({ partitionIndex, leaderId, leaderEpoch, isrNodes, replicaNodes }) => ({
        partitionIndex,
        leaderId,
        leaderEpoch,
        isrNodes: isrNodes.toSorted((a, b) => a - b),
        replicaNodes,
      }),
    );
  };
  await vi.waitFor(
    async () => {
      const answers = await onEach(cluster, describeTopic);
      expect(answers[0]!.map(({ isrNodes }) => isrNodes)).toEqual(answers[0]!.map(() => nodeIds));
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    },
    { timeout: 10_000, interval: 100 },
  );
  const features = await onEach(cluster, async (connection) => {
    const { finalizedFeatures } = await connection.call('ApiVersions', 4, {
      clientSoftwareName: 'test',
      clientSoftwareVersion: '1',
    });
    const featureUpdates = finalizedFeatures.map(({ name, maxVersionLevel }) => ({
      feature: name,
      maxVersionLevel,
      upgradeType: 1,
    }));
    const updated = await connection.call('UpdateFeatures', 2, { featureUpdates, validateOnly: true });
    expect(updated.errorCode).toBe(ErrorCode.NONE);
    return finalizedFeatures;
  });
  expect(features[0]!.length).toBeGreaterThan(0);
  for (const each of features) expect(each).toEqual(features[0]);
  const producerIds = await onEach(cluster, async (connection) => {
    const ids: number[] = [];
    for (let count = 0; count < 5; count++) {
      const answer = await connection.call('InitProducerId', 4, {
        transactionalId: null,
        transactionTimeoutMs: 60_000,
      });
      expect(answer.errorCode).toBe(ErrorCode.NONE);
      ids.push(answer.producerId);
    }
    return ids;
  });
  expect(new Set(producerIds.flat()).size).toBe(15);
  for (const { errorCode } of await onEach(cluster, (connection) =>
    connection.call('DescribeCluster', 2, { endpointType: 2 }),
  )) {
    expect(errorCode).toBe(ErrorCode.MISMATCHED_ENDPOINT_TYPE);
  }

  await cluster.stopNode(3);
  // Long before replica.lag.time.max.ms (30 s).
  await vi.waitFor(
    async () => {
      for (const partitions of await onEach(cluster, describeTopic)) {
        for (const { leaderId, isrNodes, replicaNodes } of partitions) {
          expect([leaderId === 1 || leaderId === 2, isrNodes]).toEqual([true, [1, 2]]);
          expect(replicaNodes.toSorted((a, b) => a - b)).toEqual(nodeIds);
        }
      }
    },
    { timeout: 15_000, interval: 100 },
  );
  for (const includeFencedBrokers of [true, false]) {
    const answers = await onEach(cluster, (connection) =>
      connection.call('DescribeCluster', 2, { endpointType: 1, includeFencedBrokers }),
    );
    for (const { brokers } of answers) {
      const seen = brokers.map(({ brokerId, isFenced }) => [brokerId, isFenced] as const);
      const alive = [
        [1, false],
        [2, false],
      ];
      expect(seen.toSorted(([a], [b]) => a - b)).toEqual(
        includeFencedBrokers ? [...alive, [3, true]] : alive,
      );
    }
  }
}, 60_000);
