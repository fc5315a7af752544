/** Asks every broker for what only it knows; those that are no longer among the cluster's are not waited for. */
import type { Cluster, RetryLimits } from '../cluster/cluster.ts';
import { peerName } from '../cluster/broker-link.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { unlessMoved } from '../cluster/patience.ts';

export interface AtEachNodeOptions extends RetryLimits {
  /** Completes "Could not ...". */
  readonly doing: string;
  /** Only these; one that is not there is left out. All where absent. */
  readonly brokers?: readonly number[] | undefined;
}

/** The answers of all, by broker; again from all where one fails. */
export function atEachNode<R>(
  cluster: Cluster,
  options: AtEachNodeOptions,
  ask: (node: NodeInfo) => Promise<R>,
): Promise<R[]> {
  const attempt = async (): Promise<R[]> => {
    await cluster.refresh();
    const nodes = [...cluster.metadata.nodes.values()]
      .filter(({ id }) => options.brokers?.includes(id) !== false)
      .sort((a, b) => a.id - b.id);
    return Promise.all(nodes.map((node) => whilePresent(cluster, node, ask(node))));
  };
  return cluster.retry(options.doing, attempt, options);
}

/** The answer of a broker, for as long as the metadata has it: one that is fenced has none of what is asked for. */
function whilePresent<R>(cluster: Cluster, node: NodeInfo, answer: Promise<R>): Promise<R> {
  const hasMoved = async (): Promise<boolean> => {
    await cluster.refresh();
    return !cluster.metadata.nodes.has(node.id);
  };
  return unlessMoved(cluster.components, answer, { peer: peerName(node, node.id), hasMoved });
}
