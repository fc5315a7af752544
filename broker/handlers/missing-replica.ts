import type { RequestContext } from './handler.ts';

/**
 * The error of a partition that this node has no open replica of: KAFKA_STORAGE_ERROR where it has one that is offline,
 * undefined where it should not have one.
 */
export function whyMissing(
  context: RequestContext,
  topic: string,
  partition: number,
): 'KAFKA_STORAGE_ERROR' | undefined {
  const offline = context.node.partitions.offlineReplica(topic, partition);
  return offline === undefined ? undefined : 'KAFKA_STORAGE_ERROR';
}
