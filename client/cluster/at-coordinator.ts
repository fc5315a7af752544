/** Asks the coordinator of a group, which is found again where it has moved, also while it owes an answer. */
import { KafkaError } from '../errors.ts';
import type { Cluster, RetryLimits } from './cluster.ts';
import { peerName } from './broker-link.ts';
import { findCoordinator } from './find-coordinator.ts';
import type { NodeInfo } from './metadata-cache.ts';
import { namedTwice, unlessMoved } from './patience.ts';

const movedCodes: ReadonlySet<string> = new Set([
  'NOT_COORDINATOR',
  'COORDINATOR_NOT_AVAILABLE',
  'CONNECTION_FAILED',
  'TIMED_OUT',
]);

/** Tries until the limits are reached; `ask` throws the broker's error. */
export function atCoordinator<R>(
  cluster: Cluster,
  groupId: string,
  options: RetryLimits & { readonly doing: string },
  ask: (node: NodeInfo, tries: number) => Promise<R>,
): Promise<R> {
  const attempt = (tries: number): Promise<R> =>
    onceAtCoordinator(cluster, groupId, (node) => ask(node, tries), options.signal);
  return cluster.retry(options.doing, attempt, options);
}

/** One attempt; afterwards a coordinator that may have moved is forgotten. */
export async function onceAtCoordinator<R>(
  cluster: Cluster,
  groupId: string,
  ask: (node: NodeInfo) => Promise<R>,
  signal?: AbortSignal,
): Promise<R> {
  try {
    const node = await cluster.coordinator(groupId, signal);
    const find = async (): Promise<number> => (await findCoordinator(cluster, groupId, signal)).id;
    return await unlessMoved(cluster.components, ask(node), {
      peer: peerName(node, node.id),
      hasMoved: namedTwice(node.id, find),
    });
  } catch (error) {
    if (error instanceof KafkaError && movedCodes.has(error.code)) cluster.forgetCoordinator(groupId);
    throw error;
  }
}
