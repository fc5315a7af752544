/** What live producers feel while a node that has lost its disk copies what it had: the time to an ack before, and meanwhile. */
import type { Quantiles } from '../../test/support/kbench.ts';
import type { Bench } from '../measure.ts';
import { latencyRate } from '../rows.ts';
import type { Contender } from './contenders.ts';

export interface CatchUpSample {
  readonly ackBefore: Quantiles;
  /** From when the node is started again. */
  readonly ackMeanwhile: Quantiles;
  /** From when the node is started again until every node shows all its replicas in sync. */
  readonly seconds: number;
}

export interface CatchUpOptions {
  /** What the node has to copy. */
  readonly megabytes: number;
  readonly liveSeconds: number;
  readonly label: string;
}

const partitions = 6;
const storedBytes = 10_240;
const liveBytes = 1024;
/** The last one, so that nobody waits for who is first in order. */
const nodeId = 3;

export async function measureCatchUp(
  { kbench }: Bench,
  { cluster, target, topicConfigs }: Contender,
  { megabytes, liveSeconds, label }: CatchUpOptions,
): Promise<CatchUpSample> {
  const common = { brokers: target.address, partitions, rf: 3, 'topic-configs': topicConfigs };
  const stored = { ...common, topic: `catch-up-${label}`, size: storedBytes };
  const live = {
    ...common,
    topic: `live-${label}`,
    size: liveBytes,
    rate: latencyRate,
    n: latencyRate * liveSeconds,
  };
  const ack = async (wait: boolean): Promise<Quantiles> => {
    const { ack_ms: quantiles } = await kbench.run({ ...live, mode: 'e2e', wait: String(wait) });
    if (quantiles === undefined) throw new Error('The latency run gave no latencies.');
    return quantiles;
  };
  await kbench.run({ ...stored, mode: 'produce', n: Math.ceil((megabytes * 1e6) / storedBytes) });
  const ackBefore = await ack(true);
  await cluster.loseDisk(nodeId);
  const begin = performance.now();
  const whenInSync = async (): Promise<number> => {
    await cluster.startNode(nodeId);
    await cluster.untilInSync(stored.topic, partitions);
    return (performance.now() - begin) / 1000;
  };
  const [ackMeanwhile, seconds] = await Promise.all([ack(false), whenInSync()]);
  for (const { topic } of [stored, live]) await kbench.run({ ...common, topic, mode: 'delete' });
  return { ackBefore, ackMeanwhile, seconds };
}
