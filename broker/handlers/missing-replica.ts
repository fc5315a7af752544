import type { RequestContext } from './handler.ts';

/**
 * The error of a partition that this node has no open replica of: KAFKA_STORAGE_ERROR where it has one that is offline,
 * NOT_LEADER_OR_FOLLOWER where the partition exists and others have it (or this node is about to), so that clients look for its
 * leader; UNKNOWN_TOPIC_OR_PARTITION only where there is no such partition.
 */
export function whyMissing(
  context: RequestContext,
  topic: string,
  partition: number,
): 'KAFKA_STORAGE_ERROR' | 'NOT_LEADER_OR_FOLLOWER' | 'UNKNOWN_TOPIC_OR_PARTITION' {
  const { partitions, cluster } = context.node;
  if (partitions.offlineReplica(topic, partition) !== undefined) return 'KAFKA_STORAGE_ERROR';
  const exists = cluster.image.topic(topic)?.partitions[partition] !== undefined;
  return exists ? 'NOT_LEADER_OR_FOLLOWER' : 'UNKNOWN_TOPIC_OR_PARTITION';
}
