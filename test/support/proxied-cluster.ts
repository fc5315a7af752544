/** Three embedded nodes, each of which clients reach through a proxy of its own alone: its advertised address is the proxy's. */
import { EmbeddedCluster } from '../integration/embedded-cluster.ts';
import { drawFault, FaultProxy } from './fault-proxy.ts';
import type { Random } from '../../platform/random.ts';

const nodeIds = [1, 2, 3];
/** Groups need not wait. */
export const groupSettings = {
  'group.initial.rebalance.delay.ms': '0',
  'group.consumer.min.heartbeat.interval.ms': '10',
  'group.consumer.heartbeat.interval.ms': '100',
};

export class ProxiedCluster implements AsyncDisposable {
  readonly cluster: EmbeddedCluster;
  readonly proxies: readonly FaultProxy[];

  private constructor(cluster: EmbeddedCluster, proxies: readonly FaultProxy[]) {
    this.cluster = cluster;
    this.proxies = proxies;
  }

  static async start(): Promise<ProxiedCluster> {
    const proxies = await Promise.all(nodeIds.map(() => FaultProxy.listen()));
    const own = (nodeId: number): { advertisedHost: string } => ({
      advertisedHost: proxies[nodeId - 1]!.address,
    });
    const cluster = await EmbeddedCluster.start({ settings: groupSettings }, new Map(), own);
    nodeIds.forEach((id) => {
      proxies[id - 1]!.targetPort = cluster.node(id).broker.port;
    });
    return new ProxiedCluster(cluster, proxies);
  }

  /** Where clients find the nodes. */
  get addresses(): string {
    return this.proxies.map((proxy) => proxy.address).join();
  }

  /** From now on each connection has a fault that is drawn for it; those that are open are ended. */
  fail(random: Random): void {
    for (const proxy of this.proxies) {
      proxy.next = () => drawFault(random);
      proxy.endAll();
    }
  }

  heal(): void {
    for (const proxy of this.proxies) proxy.heal();
  }

  /** As text: how often each fault came about so far. */
  get counts(): string {
    const sums = new Map<string, number>();
    for (const { counts } of this.proxies)
      for (const [kind, count] of counts) sums.set(kind, (sums.get(kind) ?? 0) + count);
    return [...sums].map(([kind, count]) => `${kind} ${count}`).join(', ');
  }

  get faultCount(): number {
    let sum = 0;
    for (const { counts } of this.proxies) for (const count of counts.values()) sum += count;
    return sum;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
    await this.cluster[Symbol.asyncDispose]();
  }
}
