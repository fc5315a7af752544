/** The clusters that are compared. Kappalog's takes part twice: as it is, and with topics that are acknowledged from memory. */
import { join } from 'node:path';
import { kafkaVersion } from '../../test/support/apache-kafka-jars.ts';
import { BrokerCluster } from '../../test/support/broker-cluster.ts';
import { cpuSeconds, residentBytes } from '../../test/support/process-stats.ts';
import type { ChildProcesses } from '../../test/support/child-processes.ts';
import type { Target } from '../measure.ts';

export interface Contender {
  readonly name: string;
  readonly cluster: BrokerCluster;
  readonly target: Target;
  /** Of every topic, as kbench takes them. */
  readonly topicConfigs: string;
}

export interface ContenderOptions {
  readonly directory: string;
  readonly port: number;
  /** Of each node of Apache Kafka. */
  readonly heap: string;
}

/** The last one is what the others are compared with. */
export async function startContenders(
  children: ChildProcesses,
  options: ContenderOptions,
): Promise<Contender[]> {
  const { directory, port, heap } = options;
  const ours = await BrokerCluster.start('kappalog', children, {
    port,
    directory: join(directory, 'kappalog'),
    // Deleted logs go soon, with both: the disk is small.
    settings: { 'log.segment.delete.delay.ms': '1000' },
  });
  const kafka = await BrokerCluster.start('kafka', children, {
    port: port + 10,
    directory: join(directory, 'kafka'),
    settings: { 'log.segment.delete.delay.ms': '1000' },
    heap,
  });
  return [
    contender('Kappalog', ours, ''),
    contender('Kappalog, write.caching', ours, 'write.caching=true'),
    contender(`Apache Kafka ${kafkaVersion()}`, kafka, ''),
  ];
}

function contender(name: string, cluster: BrokerCluster, topicConfigs: string): Contender {
  const target = {
    address: cluster.address,
    // A node that was started again is another process.
    get pids() {
      return cluster.pids;
    },
  };
  return { name, cluster, topicConfigs, target };
}

/** All nodes together. */
export function residentBytesOf({ target }: Contender): number {
  return target.pids.reduce((sum, pid) => sum + residentBytes(pid), 0);
}

/** All nodes together, as a share of one processor, over so many seconds. */
export async function cpuShare({ target }: Contender, seconds: number): Promise<number> {
  const spent = (): number => target.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const [before, begin] = [spent(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return (spent() - before) / ((performance.now() - begin) / 1000);
}
