import { expect, it, vi } from 'vitest';
import { Kappalog } from '../../client/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';

const wait = { timeout: 20_000, interval: 100 };

/** Replicas in sync of each of a topic's partitions, as a node says. */
async function inSync(cluster: EmbeddedCluster, node: number, topic: string): Promise<number[][]> {
  const connection = await cluster.connect(node);
  const { topics } = await connection.call('Metadata', 9, { topics: [{ name: topic }] });
  return topics[0]!.partitions.map(({ isrNodes }) => isrNodes.toSorted((left, right) => left - right));
}

it('with one of three nodes away topics of three replicas are made, the first group starts, and the node gets its part', async () => {
  await using cluster = await EmbeddedCluster.start({ settings: { 'offsets.topic.num.partitions': '4' } });
  await cluster.stopNode(3);
  await using kappalog = new Kappalog({ brokers: cluster.addresses });
  await using admin = kappalog.admin();
  const values = Array.from({ length: 20 }, (_, index) => `v${index}`);
  await admin.createTopics([{ name: 't', partitions: 2, replicationFactor: 3 }]);
  await admin.createPartitions({ topic: 't', count: 3 });
  await using producer = kappalog.producer();
  await Promise.all(values.map((value) => producer.send({ topic: 't', value })));

  const read: string[] = [];
  await using consumer = kappalog.consumer({ groupId: 'g', topics: ['t'] });
  for await (const message of consumer) {
    read.push(message.value!.toString());
    if (read.length === values.length) break;
  }
  expect(read.toSorted()).toEqual(values.toSorted());
  expect(await inSync(cluster, 1, 't')).toEqual([1, 2, 3].map(() => [1, 2]));
  expect(await inSync(cluster, 1, '__consumer_offsets')).toEqual([1, 2, 3, 4].map(() => [1, 2]));

  await cluster.startNode(3);
  await vi.waitFor(async () => {
    for (const node of [1, 2, 3]) {
      expect(await inSync(cluster, node, 't')).toEqual([1, 2, 3].map(() => [1, 2, 3]));
      expect(await inSync(cluster, node, '__consumer_offsets')).toEqual([1, 2, 3, 4].map(() => [1, 2, 3]));
    }
  }, wait);
}, 60_000);
