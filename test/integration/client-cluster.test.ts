import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Kappalog, type Admin } from '../../client/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';

let cluster: EmbeddedCluster;
let client: Kappalog;
let admin: Admin;

beforeAll(async () => {
  cluster = await EmbeddedCluster.start({ settings: { 'auto.leader.rebalance.enable': 'false' } });
  client = new Kappalog({ brokers: cluster.addresses });
  admin = client.admin();
});
afterAll(async () => {
  await client.close();
  await cluster[Symbol.asyncDispose]();
});

const within = { timeout: 20_000, interval: 50 };

async function replicasOf(topic: string): Promise<readonly (readonly number[])[]> {
  const [described] = await admin.describeTopics([topic]);
  return described!.partitions.map(({ replicas }) => replicas);
}

describe('the nodes', () => {
  it('are described, with who controls and what they agree on', async () => {
    const { clusterId, controllerId, brokers } = await admin.describeCluster();
    expect(clusterId).toMatch(/^[\w-]{22}$/);
    expect([1, 2, 3]).toContain(controllerId);
    expect(brokers).toEqual(
      [1, 2, 3].map((id) => ({
        id,
        host: '127.0.0.1',
        port: cluster.node(id).broker.port,
        rack: null,
        fenced: false,
      })),
    );
    const features = await admin.describeFeatures();
    expect(features).toContainEqual({ name: 'metadata.version', minVersion: 30, maxVersion: 30, level: 30 });
  });

  it('vote on the metadata', async () => {
    const quorum = await admin.describeQuorum();
    expect(quorum.voters.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(quorum.observers).toEqual([]);
    expect([1, 2, 3]).toContain(quorum.leader);
    expect(quorum.leaderEpoch).toBeGreaterThan(0);
    expect(quorum.highWatermark).toBeGreaterThan(0);
    const leader = quorum.voters.find(({ id }) => id === quorum.leader)!;
    expect(leader.logEndOffset).toBeGreaterThanOrEqual(quorum.highWatermark);
  });

  it('have data directories, all or some', async () => {
    await admin.createTopics([{ name: 'placed', assignments: [[1, 2]] }]);
    const all = await admin.describeLogDirs({ topics: ['placed'] });
    expect(all.map(({ broker, partitions }) => [broker, partitions.length])).toEqual([
      [1, 1],
      [2, 1],
      [3, 0],
    ]);
    const some = await admin.describeLogDirs({ topics: ['placed'], brokers: [2, 9] });
    expect(some.map(({ broker }) => broker)).toEqual([2]);
  });

  it('are not taken out while they hold replicas and are alive, nor when they are unknown', async () => {
    await admin.createTopics([{ name: 'held', assignments: [[3]] }]);
    await expect(admin.unregisterBroker(3)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    await expect(admin.unregisterBroker(7)).rejects.toMatchObject({ code: 'BROKER_ID_NOT_REGISTERED' });
  });
});

describe('reassignments', () => {
  it('give each partition other replicas, or say why not', async () => {
    await admin.createTopics([
      {
        name: 'moved',
        assignments: [
          [1, 2],
          [1, 2],
          [1, 3],
        ],
      },
    ]);
    const outcomes = await admin.alterPartitionReassignments([
      { topic: 'moved', partition: 0, replicas: [3, 2] },
      { topic: 'moved', partition: 1, replicas: [3, 9] },
      { topic: 'moved', partition: 2, replicas: [2, 3, 1] },
      { topic: 'moved', partition: 7, replicas: [1] },
    ]);
    expect(outcomes.map(({ partition, error }) => [partition, error?.code])).toEqual([
      [0, undefined],
      [1, 'INVALID_REPLICA_ASSIGNMENT'],
      [2, undefined],
      [7, 'UNKNOWN_TOPIC_OR_PARTITION'],
    ]);
    await vi.waitFor(async () => {
      expect(await admin.listPartitionReassignments()).toEqual([]);
      expect(await replicasOf('moved')).toEqual([
        [3, 2],
        [1, 2],
        [2, 3, 1],
      ]);
    }, within);
    const [none] = await admin.alterPartitionReassignments([
      { topic: 'moved', partition: 0, replicas: null },
    ]);
    expect(none?.error?.code).toBe('NO_REASSIGNMENT_IN_PROGRESS');
    const [grown] = await admin.alterPartitionReassignments(
      [{ topic: 'moved', partition: 1, replicas: [1, 2, 3] }],
      { allowReplicationFactorChange: false },
    );
    expect(grown?.error?.code).toBe('INVALID_REPLICATION_FACTOR');
  });

  it('are listed while they last, and taken back', async () => {
    await admin.createTopics([{ name: 'stuck', assignments: [[1, 3]] }]);
    await cluster.stopNode(3);
    // A partition whose majority is away cannot change its members.
    await admin.alterPartitionReassignments([{ topic: 'stuck', partition: 0, replicas: [1, 2] }]);
    expect(await admin.listPartitionReassignments()).toEqual([
      { topic: 'stuck', partition: 0, replicas: [1, 2, 3], adding: [2], removing: [3] },
    ]);
    const [back] = await admin.alterPartitionReassignments([
      { topic: 'stuck', partition: 0, replicas: null },
    ]);
    expect(back?.error).toBeNull();
    await cluster.startNode(3);
    await vi.waitFor(async () => {
      expect(await admin.listPartitionReassignments()).toEqual([]);
      expect(await replicasOf('stuck')).toEqual([[1, 3]]);
    }, within);
  });
});

describe('preferred leaders', () => {
  it('are elected where they do not lead, and others are not told of', async () => {
    await admin.createTopics([
      {
        name: 'led',
        assignments: [
          [2, 1, 3],
          [1, 2, 3],
        ],
      },
    ]);
    const swapped = { topic: 'led', partition: 0, replicas: [3, 1, 2] };
    await admin.alterPartitionReassignments([swapped]);
    const leaders = async (): Promise<number[]> =>
      (await admin.describeTopics(['led']))[0]!.partitions.map(({ leader }) => leader);
    await vi.waitFor(async () => expect(await admin.listPartitionReassignments()).toEqual([]), within);
    await vi.waitFor(async () => {
      await admin.electLeaders([{ topic: 'led', partition: 0 }]);
      expect(await leaders()).toEqual([3, 1]);
    }, within);
    const asked = [
      { topic: 'led', partition: 0 },
      { topic: 'led', partition: 5 },
    ];
    expect((await admin.electLeaders(asked)).map(({ partition, error }) => [partition, error?.code])).toEqual(
      [
        [0, undefined],
        [5, 'UNKNOWN_TOPIC_OR_PARTITION'],
      ],
    );
    const all = await admin.electLeaders();
    expect(all.filter(({ topic }) => topic === 'led')).toEqual([]);
  });
});
