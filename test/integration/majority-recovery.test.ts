import { expect, it, vi } from 'vitest';
import { openDataDirectory } from '../../broker/data-directory.ts';
import { removeSurvivors } from '../../broker/formation/formation-files.ts';
import { sayWhoSurvived } from '../../broker/node-recovery.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { realPlatform } from '../../platform/real/real-platform.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { fetchOf, fetchVersion, produceOf, produceVersion } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

const topic = 'kept';
const partitions = [0, 1, 2];
const directory = '/kappalog';
const wait = { timeout: 20_000, interval: 50 };
const settings = { 'broker.session.timeout.ms': '2000', 'broker.heartbeat.interval.ms': '200' };

async function create(connection: WireConnection, name: string, nodes: readonly number[]): Promise<number> {
  const { topics } = await connection.call('CreateTopics', 7, {
    topics: [
      {
        name,
        numPartitions: -1,
        replicationFactor: -1,
        assignments: partitions.map((partitionIndex) => ({ partitionIndex, brokerIds: [...nodes] })),
        configs: [],
      },
    ],
    timeoutMs: 10_000,
  });
  return topics[0]!.errorCode;
}

async function produce(connection: WireConnection, values: string[], partition: number): Promise<number> {
  const asked = produceOf(topic, values, { partition });
  const { responses } = await connection.call('Produce', produceVersion, asked);
  return responses[0]!.partitionResponses[0]!.errorCode;
}

async function leaders(connection: WireConnection): Promise<number[]> {
  const { topics } = await connection.call('Metadata', 9, { topics: [{ name: topic }] });
  return topics[0]!.partitions
    .toSorted((left, right) => left.partitionIndex - right.partitionIndex)
    .map(({ leaderId }) => leaderId);
}

async function survivorsFile(cluster: EmbeddedCluster, node: number): Promise<boolean> {
  return cluster.diskOf(node).exists(`${directory}/survivors`);
}

it('one node goes on with all that it has when the two others are lost for good and it is told so', async () => {
  await using cluster = await EmbeddedCluster.start({ settings });
  expect(await create(await cluster.connect(1), topic, [2, 1, 3])).toBe(ErrorCode.NONE);
  const ledBy = await leaders(await cluster.connect(1));
  for (const partition of partitions) {
    const connection = await cluster.connect(ledBy[partition]!);
    expect(await produce(connection, [`${partition}: a`, `${partition}: b`], partition)).toBe(ErrorCode.NONE);
  }
  for (const node of [2, 3, 1]) await cluster.stopNode(node);
  expect(await sayWhoSurvived(cluster.diskOf(1), directory, [1])).toBe(1);
  const { log } = await cluster.startNode(1);
  const first = await cluster.connect(1);
  await vi.waitFor(async () => expect(await leaders(first)).toEqual([1, 1, 1]), wait);
  for (const partition of partitions) {
    await vi.waitFor(
      async () => expect(await produce(first, [`${partition}: c`], partition)).toBe(ErrorCode.NONE),
      wait,
    );
    const { responses } = await first.call(
      'Fetch',
      fetchVersion,
      fetchOf(topic, [{ partition, fetchOffset: 0 }]),
    );
    const { errorCode, highWatermark, records } = responses[0]!.partitions[0]!;
    expect({ errorCode, highWatermark }).toEqual({ errorCode: ErrorCode.NONE, highWatermark: 3 });
    for (const value of ['a', 'b', 'c']) expect(records!.includes(`${partition}: ${value}`)).toBe(true);
  }
  // The metadata takes changes too, and the next start is one like any other.
  expect(await create(first, 'new', [1])).toBe(ErrorCode.NONE);
  await vi.waitFor(async () => expect(await survivorsFile(cluster, 1)).toBe(false), wait);
  expect(
    log.lines.filter((line) => line.startsWith(`error: ${topic}-0 goes on without its voters`)),
  ).toHaveLength(1);
  await cluster.stopNode(1);
  await cluster.startNode(1);
  const again = await cluster.connect(1);
  await vi.waitFor(async () => expect(await leaders(again)).toEqual([1, 1, 1]), wait);
  expect(await produce(again, ['d'], 0)).toBe(ErrorCode.NONE);
}, 60_000);

it('a node that is said to be lost and answers keeps the others from going on without it', async () => {
  await using cluster = await EmbeddedCluster.start({ settings });
  for (const node of [1, 2, 3]) await cluster.stopNode(node);
  await sayWhoSurvived(cluster.diskOf(1), directory, [1]);
  const second = cluster.startNode(2);
  await expect(cluster.startNode(1)).rejects.toThrow(
    'node 2 is said to be lost, and answers: nothing was done',
  );
  // Nothing was done: both are what they were, a majority.
  await removeSurvivors(cluster.diskOf(1), directory);
  await cluster.startNode(1);
  await second;
  expect(await create(await cluster.connect(1), topic, [1, 2])).toBe(ErrorCode.NONE);
}, 60_000);

it('a node is not told to go on without itself', async () => {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  await openDataDirectory(disk, directory, { nodeId: 1, ids: realPlatform().ids });
  await expect(sayWhoSurvived(disk, directory, [2, 3])).rejects.toThrow(
    '/kappalog is that of node 1, which is not among the survivors',
  );
});
