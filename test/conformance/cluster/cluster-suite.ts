/** Three nodes: Kafka's own tools, and a rolling restart under load. */
import { join } from 'node:path';
import { BrokerCluster } from '../../support/broker-cluster.ts';
import type { BrokerKind } from '../../support/broker-process.ts';
import type { Suite } from '../suite.ts';
import { clusterTools } from './cluster-tools.ts';
import { rollingRestart } from './rolling-restart.ts';

export interface ClusterSuite extends Omit<Suite, 'broker'> {
  readonly cluster: BrokerCluster;
}

/** Ports from `port` on, three for each node. */
export async function clusterSuite(
  suite: Suite,
  options: { readonly kind: BrokerKind; readonly port: number; readonly jarsMissing: string | undefined },
): Promise<void> {
  const { checks, children, directory } = suite;
  if (!checks.wants('cluster') && !checks.wants('rolling')) return;
  const { kind, port, jarsMissing } = options;
  if (jarsMissing !== undefined) {
    checks.skip('cluster', `Kafka's tools and clients cannot be had: ${jarsMissing}`);
    return;
  }
  const cluster = await BrokerCluster.start(kind, children, {
    port,
    directory: join(directory, 'cluster'),
    dataDirectories: 2,
    settings: { 'group.initial.rebalance.delay.ms': '0' },
  });
  const all = { ...suite, cluster };
  await clusterTools(all);
  await rollingRestart(all);
  await cluster.stop();
}
