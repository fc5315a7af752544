import { ErrorCode } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { brokerError } from '../errors.ts';
import type { CallOptions } from '../options.ts';
import type { LogDirDescription } from './admin-types.ts';

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
  const byNode = await cluster.retry(
    doing,
    async () => {
      await cluster.refresh();
      const nodes = [...cluster.metadata.nodes.values()]
        .filter(({ id }) => brokers?.includes(id) !== false)
        .sort((a, b) => a.id - b.id);
      return Promise.all(nodes.map((node) => ask(cluster, node, doing, options)));
    },
    options,
  );
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
