import { expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';

const asked = { topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] };

it('every node tells how far the members of the metadata group are, also after its leader is gone', async () => {
  await using cluster = await EmbeddedCluster.start();
  const describe = async (id: number, version = 2) => {
    await using connection = await cluster.connect(id);
    const answer = await connection.call('DescribeQuorum', version, asked);
    expect(answer.errorCode).toBe(ErrorCode.NONE);
    return { ...answer.topics[0]!.partitions[0]!, nodes: answer.nodes };
  };
  const settled = await vi.waitFor(
    async () => {
      const state = await describe(1);
      expect(state.errorCode).toBe(ErrorCode.NONE);
      expect(state.currentVoters).toHaveLength(3);
      const ends = state.currentVoters.map(({ logEndOffset }) => logEndOffset);
      expect(ends).toEqual(ends.map(() => state.highWatermark));
      return state;
    },
    { timeout: 10_000, interval: 100 },
  );
  expect(settled.highWatermark).toBeGreaterThan(3);
  expect(settled.leaderEpoch).toBeGreaterThan(0);
  expect(settled.observers).toEqual([]);
  expect(settled.currentVoters.map(({ replicaId }) => replicaId).toSorted((a, b) => a - b)).toEqual([
    1, 2, 3,
  ]);
  const directories = settled.currentVoters.map(({ replicaDirectoryId }) => replicaDirectoryId);
  expect(new Set(directories).size).toBe(3);
  expect(settled.nodes.map(({ listeners }) => listeners.map(({ name }) => name))).toEqual([
    ['INTERNAL'],
    ['INTERNAL'],
    ['INTERNAL'],
  ]);
  for (const { replicaId, lastFetchTimestamp, lastCaughtUpTimestamp } of settled.currentVoters) {
    const agoMs = Date.now() - lastFetchTimestamp;
    expect([replicaId, agoMs >= 0 && agoMs < 5_000]).toEqual([replicaId, true]);
    expect(lastCaughtUpTimestamp).toBeLessThanOrEqual(Date.now());
    expect(lastCaughtUpTimestamp).toBeGreaterThan(Date.now() - 10_000);
  }
  for (const id of [2, 3]) {
    expect(await describe(id)).toMatchObject({
      leaderId: settled.leaderId,
      leaderEpoch: settled.leaderEpoch,
    });
  }
  await cluster.stopNode(settled.leaderId);
  const [left] = cluster.running;
  await vi.waitFor(
    async () => {
      const state = await describe(left!, 1);
      expect(state.errorCode).toBe(ErrorCode.NONE);
      expect(state.leaderId).not.toBe(settled.leaderId);
      expect(state.leaderEpoch).toBeGreaterThan(settled.leaderEpoch);
    },
    { timeout: 15_000, interval: 100 },
  );
}, 60_000);
