import { expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';

const topic = 'balanced';
const preferred = [1, 2, 3, 2, 1, 2];

it('leadership goes back to preferred leaders by itself after a node was away', async () => {
  await using cluster = await EmbeddedCluster.start({
    settings: { 'leader.imbalance.check.interval.seconds': '1' },
  });
  const connection = await cluster.connect(1);
  const leaders = async (): Promise<number[]> => {
    const { topics } = await connection.call('Metadata', 9, { topics: [{ name: topic }] });
    return topics[0]!.partitions
      .toSorted((left, right) => left.partitionIndex - right.partitionIndex)
      .map(({ leaderId }) => leaderId);
  };
  const assignments = preferred.map((id, partitionIndex) => ({
    partitionIndex,
    brokerIds: [id, ...[1, 2, 3].filter((other) => other !== id)],
  }));
  const made = await connection.call('CreateTopics', 7, {
    topics: [{ name: topic, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]).toMatchObject({ errorCode: ErrorCode.NONE });
  await cluster.stopNode(2);
  await vi.waitFor(
    async () => {
      const now = await leaders();
      expect(now.every((leader) => leader === 1 || leader === 3)).toBe(true);
    },
    { timeout: 15_000, interval: 100 },
  );
  await cluster.startNode(2);
  await vi.waitFor(async () => expect(await leaders()).toEqual(preferred), {
    timeout: 20_000,
    interval: 100,
  });
}, 60_000);
