/** Asks the coordinator of a group, which is found again where it has moved. */
import { KafkaError } from '../errors.ts';
import type { Cluster, RetryLimits } from './cluster.ts';
import type { NodeInfo } from './metadata-cache.ts';

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
    return await ask(await cluster.coordinator(groupId, signal));
  } catch (error) {
    if (error instanceof KafkaError && movedCodes.has(error.code)) cluster.forgetCoordinator(groupId);
    throw error;
  }
}
