import { expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { fetchOf, fetchVersion, produceOf, produceVersion } from './embedded.ts';

const topic = 'kept';
const partitions = [0, 1, 2];
const wait = { timeout: 20_000, interval: 100 };

/** Which nodes are in sync, by partition, as a node says. */
async function inSync(cluster: EmbeddedCluster, node: number): Promise<number[][]> {
  const connection = await cluster.connect(node);
  const { topics } = await connection.call('Metadata', 9, { topics: [{ name: topic }] });
  return topics[0]!.partitions
    .toSorted((left, right) => left.partitionIndex - right.partitionIndex)
    .map(({ isrNodes }) => isrNodes.toSorted((left, right) => left - right));
}

/** Resolves when all nodes say so of all partitions. */
async function whenInSync(cluster: EmbeddedCluster, nodes: readonly number[]): Promise<void> {
  await vi.waitFor(async () => {
    for (const node of cluster.running) {
      expect(await inSync(cluster, node)).toEqual(partitions.map(() => nodes));
    }
  }, wait);
}

async function leaders(cluster: EmbeddedCluster, node: number): Promise<number[]> {
  const connection = await cluster.connect(node);
  const { topics } = await connection.call('Metadata', 9, { topics: [{ name: topic }] });
  return topics[0]!.partitions
    .toSorted((left, right) => left.partitionIndex - right.partitionIndex)
    .map(({ leaderId }) => leaderId);
}

const both = ['/first', '/second'];
/** What is lost of which directories, and how many are given to the node then. */
const kinds = [
  ['its data directory', ['/kappalog'], ['/kappalog'], 1],
  ['both of its data directories', both, both, 2],
  ['both of its data directories and has one now', both, both, 1],
  ['the first of its data directories', both, ['/first'], 2],
  ['the second of its data directories', both, ['/second'], 2],
] as const;

it.each(kinds)(
  'a node that lost %s comes back as a new member, with all records',
  async (_, directories, lost, left) => {
    await using cluster = await EmbeddedCluster.start({
      dataDir: directories,
      settings: {
        'broker.session.timeout.ms': '2000',
        'broker.heartbeat.interval.ms': '200',
        'replica.lag.time.max.ms': '1500',
      },
    });
    const first = await cluster.connect(1);
    const assignments = partitions.map((partitionIndex) => ({ partitionIndex, brokerIds: [2, 1, 3] }));
    const made = await first.call('CreateTopics', 7, {
      topics: [{ name: topic, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }],
      timeoutMs: 10_000,
    });
    expect(made.topics[0]).toMatchObject({ errorCode: ErrorCode.NONE });
    const ledBy = await leaders(cluster, 1);
    for (const partition of partitions) {
      const connection = await cluster.connect(ledBy[partition]!);
      const values = Array.from({ length: 50 }, (_, index) => `${partition}: ${index}`);
      const { responses } = await connection.call(
        'Produce',
        produceVersion,
        produceOf(topic, values, { partition }),
      );
      expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(ErrorCode.NONE);
    }
    await cluster.stopNode(2);
    for (const directory of lost) await cluster.diskOf(2).removeDirectory(directory);
    await whenInSync(cluster, [1, 3]);
    const present = directories.slice(0, left);
    await cluster.startNode(2, { dataDir: present });
    await whenInSync(cluster, [1, 2, 3]);
    for (const directory of present) {
      const names = await cluster.diskOf(2).list(directory);
      expect(names.some((name) => name.startsWith(`${topic}-`))).toBe(true);
    }
    // Only who votes can lead, and who leads has all records.
    await vi.waitFor(async () => {
      await first.call('ElectLeaders', 2, { electionType: 0, topicPartitions: null });
      expect(await leaders(cluster, 2)).toEqual(partitions.map(() => 2));
    }, wait);
    const second = await cluster.connect(2);
    for (const partition of partitions) {
      const asked = fetchOf(topic, [{ partition, fetchOffset: 0 }]);
      const { responses } = await second.call('Fetch', fetchVersion, asked);
      const { errorCode, highWatermark, records } = responses[0]!.partitions[0]!;
      expect({ errorCode, highWatermark }).toEqual({ errorCode: ErrorCode.NONE, highWatermark: 50 });
      const values = Array.from({ length: 50 }, (_, index) => `${partition}: ${index}`);
      expect(values.filter((value) => !records!.includes(value))).toEqual([]);
    }
  },
  60_000,
);
