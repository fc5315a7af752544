/** The data directories of brokers, and in which of them replicas lie (KIP-113). */
import { ErrorCode } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { brokerError, KafkaError } from '../errors.ts';
import type { CallOptions } from '../options.ts';
import { atEachNode } from './at-each-node.ts';
import type { LogDirDescription, ReplicaLogDir, ReplicaLogDirResult } from './admin-types.ts';

export interface LogDirOptions extends CallOptions {
  readonly topics?: readonly string[];
  /** Only these; one that is not there is left out. */
  readonly brokers?: readonly number[];
}

/** The data directories of all brokers, or of those asked for, by broker; with the partitions of some topics, or of all. */
export async function describeLogDirs(
  cluster: Cluster,
  options: LogDirOptions,
): Promise<LogDirDescription[]> {
  const doing = 'describe the data directories';
  const { topics, brokers } = options;
  const limits = { doing, brokers, signal: options.signal };
  const byNode = await atEachNode(cluster, limits, (node) => ask(cluster, node, doing, options));
  const wanted = topics === undefined ? undefined : new Set(topics);
  return byNode.flat().map((directory) => ({
    ...directory,
    partitions: directory.partitions.filter(({ topic }) => wanted?.has(topic) !== false),
  }));
}

async function ask(
  cluster: Cluster,
  node: NodeInfo,
  doing: string,
  options: CallOptions,
): Promise<LogDirDescription[]> {
  const body = { topics: null };
  const response = await cluster.request('DescribeLogDirs', body, { target: node, signal: options.signal });
  if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, doing);
  return response.results.map((result) => ({
    broker: node.id,
    path: result.logDir,
    error: result.errorCode === ErrorCode.NONE ? null : brokerError(result.errorCode, doing),
    totalBytes: result.totalBytes < 0 ? null : result.totalBytes,
    usableBytes: result.usableBytes < 0 ? null : result.usableBytes,
    partitions: result.topics
      .flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex, partitionSize, offsetLag, isFutureKey }) => ({
          topic: name,
          partition: partitionIndex,
          sizeBytes: partitionSize,
          offsetLag,
          isFuture: isFutureKey,
        })),
      )
      .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1)),
  }));
}

/**
 * Asks each broker to move replicas to other data directories of its own. One outcome for each, in order: that the broker has taken it up,
 * or why not; `describeLogDirs` tells how far it is. A partition that the broker holds no replica of yet is remembered there
 * (REPLICA_NOT_AVAILABLE).
 */
export async function alterReplicaLogDirs(
  cluster: Cluster,
  moves: readonly ReplicaLogDir[],
  options: CallOptions,
): Promise<ReplicaLogDirResult[]> {
  const doing = 'move replicas between data directories';
  const byBroker = Map.groupBy(moves, ({ broker }) => broker);
  const errors = new Map<ReplicaLogDir, KafkaError>();
  await Promise.all(
    [...byBroker].map(async ([broker, asked]) => {
      const codes = await cluster.retry(doing, () => askBroker(cluster, broker, asked, options), options);
      for (const move of asked) {
        const { topic, partition } = move;
        const code = codes.get(`${topic}:${partition}`);
        if (code === ErrorCode.NONE) continue;
        const error = brokerError(code ?? ErrorCode.UNKNOWN_SERVER_ERROR, `move ${topic}-${partition}`);
        errors.set(move, error);
      }
    }),
  );
  return moves.map((move) => ({ ...move, error: errors.get(move) ?? null }));
}

/** Error codes by partition. */
async function askBroker(
  cluster: Cluster,
  broker: number,
  moves: readonly ReplicaLogDir[],
  { signal }: CallOptions,
): Promise<Map<string, number>> {
  await cluster.refresh();
  const target = cluster.metadata.nodes.get(broker);
  if (target === undefined) {
    throw new KafkaError('INVALID_ARGUMENT', `There is no broker with the id ${broker}.`);
  }
  const dirs = [...Map.groupBy(moves, ({ path }) => path)].map(([path, there]) => ({
    path,
    topics: [...Map.groupBy(there, ({ topic }) => topic)].map(([name, partitions]) => ({
      name,
      partitions: partitions.map(({ partition }) => partition),
    })),
  }));
  const { results } = await cluster.request('AlterReplicaLogDirs', { dirs }, { target, signal });
  return new Map(
    results.flatMap(({ topicName, partitions }) =>
      partitions.map(
        ({ partitionIndex, errorCode }) => [`${topicName}:${partitionIndex}`, errorCode] as const,
      ),
    ),
  );
}
