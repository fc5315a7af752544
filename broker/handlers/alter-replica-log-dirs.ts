/**
 * AlterReplicaLogDirs (KIP-113): in which of this node's data directories replicas are to lie. Asked of the node itself, whose replicas
 * they are. It answers at once; DescribeLogDirs tells how far the moves are.
 *
 * The codes are Kafka's. LOG_DIR_NOT_FOUND: the node has no such directory. KAFKA_STORAGE_ERROR: the directory, or the replica, is
 * offline, or its log is damaged. REPLICA_NOT_AVAILABLE: the partition has no replica here; the directory is remembered until it has one.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { ResponseOf } from './handler.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

type TopicResult = NonNullable<ResponseOf<'AlterReplicaLogDirs'>['results']>[number];

export const alterReplicaLogDirs = defineHandler({
  api: 'AlterReplicaLogDirs',
  versions: [1, 2],
  handle(context, { dirs }) {
    const isAllowed = context.authorize('ALTER', 'CLUSTER', clusterResource);
    const results = new Map<string, Map<number, ErrorCode>>();
    for (const { path, topics } of dirs) {
      for (const { name, partitions } of topics) {
        const codes = results.get(name) ?? new Map<number, ErrorCode>();
        results.set(name, codes);
        for (const partition of partitions) {
          const answer = isAllowed ? ask(context, path, name, partition) : 'CLUSTER_AUTHORIZATION_FAILED';
          codes.set(partition, ErrorCode[answer]);
        }
      }
    }
    return { throttleTimeMs: 0, results: [...results].map(resultOf) };
  },
});

function resultOf([topicName, codes]: [string, ReadonlyMap<number, ErrorCode>]): TopicResult {
  const partitions = [...codes].map(([partitionIndex, errorCode]) => ({ partitionIndex, errorCode }));
  return { topicName, partitions };
}

function ask(
  { node }: RequestContext,
  path: string,
  topic: string,
  partition: number,
): keyof typeof ErrorCode {
  const { partitions, moves, cluster } = node;
  const directory = partitions.directories.find((each) => withoutEnd(each.path) === withoutEnd(path));
  if (directory === undefined) return 'LOG_DIR_NOT_FOUND';
  if (!directory.isOnline) return 'KAFKA_STORAGE_ERROR';
  const answer = moves.ask(topic, partition, directory);
  if (answer === 'offline') return 'KAFKA_STORAGE_ERROR';
  if (answer === 'accepted') return 'NONE';
  const exists = cluster.image.topic(topic)?.partitions[partition] !== undefined;
  return exists ? 'REPLICA_NOT_AVAILABLE' : 'UNKNOWN_TOPIC_OR_PARTITION';
}

function withoutEnd(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
