import { expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { produceOf, produceVersion } from './embedded.ts';

const enable = 'kappalog.leader.lease.enable';
const drift = 'kappalog.leader.lease.clock.drift.percent';
const topic = 'leased';

it('three nodes with leases form a cluster, take records and changes, and go on without the leader of the metadata', async () => {
  await using cluster = await EmbeddedCluster.start({ settings: { [enable]: 'true', [drift]: '20' } });
  const first = await cluster.connect(1);
  const { results } = await first.call('DescribeConfigs', 4, {
    resources: [{ resourceType: 4, resourceName: '1', configurationKeys: [enable, drift] }],
  });
  expect(results[0]!.configs.map(({ name, value, readOnly }) => [name, value, readOnly])).toEqual([
    [drift, '20', true],
    [enable, 'true', true],
  ]);
  const create = async (id: number, name: string, replicationFactor: number): Promise<number> => {
    await using connection = await cluster.connect(id);
    const { topics } = await connection.call('CreateTopics', 7, {
      topics: [{ name, numPartitions: 3, replicationFactor, assignments: [], configs: [] }],
      timeoutMs: 10_000,
    });
    return topics[0]!.errorCode;
  };
  /** Asks each that runs: one of them leads. */
  const write = (): Promise<void> =>
    vi.waitFor(
      async () => {
        const codes: number[] = [];
        for (const id of cluster.running) {
          await using connection = await cluster.connect(id);
          const { responses } = await connection.call('Produce', produceVersion, produceOf(topic, ['x']));
          codes.push(responses[0]!.partitionResponses[0]!.errorCode);
        }
        expect(codes).toContain(ErrorCode.NONE);
      },
      { timeout: 15_000, interval: 100 },
    );
  expect(await create(1, topic, 3)).toBe(ErrorCode.NONE);
  await write();
  const quorum = await first.call('DescribeQuorum', 2, {
    topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }],
  });
  await cluster.stopNode(quorum.topics[0]!.partitions[0]!.leaderId);
  await write();
  const [left] = cluster.running;
  await vi.waitFor(
    async () => {
      const code = await create(left!, 'another', 2);
      expect([ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS]).toContain(code);
    },
    { timeout: 15_000, interval: 200 },
  );
}, 60_000);
