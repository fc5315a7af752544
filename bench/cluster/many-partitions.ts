/** A topic of many partitions: how long it takes to make it, what it costs at rest, and what it takes in. */
import { Kappalog } from '../../client/index.ts';
import { type Bench, type Sample, measureShape, topicOf } from '../measure.ts';
import { type Contender, cpuShare, residentBytesOf } from './contenders.ts';

export interface ManyPartitionsOptions {
  readonly partitions: number;
  readonly sizeBytes: number;
  readonly records: number;
  readonly restSeconds: number;
  readonly label: string;
}

export interface ManyPartitionsSample {
  /** From the request until every node shows every partition with a leader and all replicas in sync. */
  readonly createdSeconds: number;
  /** All nodes, as a share of one processor. */
  readonly cpuShareAtRest: number;
  readonly residentBytesAtRest: number;
  readonly produce: Sample;
}

export async function measureManyPartitions(
  bench: Bench,
  contender: Contender,
  options: ManyPartitionsOptions,
): Promise<ManyPartitionsSample> {
  const { partitions, sizeBytes, records, restSeconds } = options;
  const { cluster, target, topicConfigs } = contender;
  await using kappalog = new Kappalog({ brokers: target.address, requestTimeoutMs: 120_000 });
  await using admin = kappalog.admin();
  const shape = { sizeBytes, partitions, modes: ['produce'] as const, replicationFactor: 3, records };
  const topic = topicOf(shape, options.label);
  const configs = topicConfigs === '' ? {} : Object.fromEntries([topicConfigs.split('=')]);
  const begin = performance.now();
  await admin.createTopics([{ name: topic, partitions, replicationFactor: 3, configs }]);
  await cluster.untilInSync(topic, partitions);
  const createdSeconds = (performance.now() - begin) / 1000;
  // What the creation leaves to do comes first.
  await new Promise((resolve) => setTimeout(resolve, (restSeconds * 1000) / 2));
  const cpuShareAtRest = await cpuShare(contender, restSeconds);
  const residentBytesAtRest = residentBytesOf(contender);
  const produce = (await measureShape(bench, target, shape, options.label)).get('produce');
  if (produce === undefined) throw new Error('The produce run gave no sample.');
  return { createdSeconds, cpuShareAtRest, residentBytesAtRest, produce };
}
