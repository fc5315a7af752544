/**
 * DescribeLogDirs: for each data directory of this node its replicas with their sizes, and from version 4 the space of its
 * file system. Null topics ask for all replicas; a directory that holds none of those asked for is answered without topics.
 * An offline directory has the error KAFKA_STORAGE_ERROR and nothing else. From version 3 a client that may not ask is told
 * so; before, it gets no directories. Replicas are not moved between directories, so there are no future ones; no directory
 * is cordoned (version 5).
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { DescribeLogDirsRequest } from '../../protocol/index.ts';
import type { LogDirectory } from '../partition/log-directory.ts';
import type { Replica } from '../partition/replica.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext, ResponseOf } from './handler.ts';

type Result = NonNullable<ResponseOf<'DescribeLogDirs'>['results']>[number];

export const describeLogDirs = defineHandler({
  api: 'DescribeLogDirs',
  versions: [1, 5],
  async handle(context, request) {
    if (!context.authorize('DESCRIBE', 'CLUSTER', clusterResource)) {
      return { throttleTimeMs: 0, errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED, results: [] };
    }
    const { partitions } = context.node;
    const wanted = Map.groupBy(wantedReplicas(context, request), ({ home }) => home);
    const results = await Promise.all(
      partitions.directories.map((directory) => describe(context, directory, wanted.get(directory) ?? [])),
    );
    return { throttleTimeMs: 0, errorCode: ErrorCode.NONE, results };
  },
});

function* wantedReplicas(context: RequestContext, { topics }: DescribeLogDirsRequest): Generator<Replica> {
  const { partitions } = context.node;
  if (topics === null) {
    yield* partitions.all();
    return;
  }
  for (const { topic, partitions: indexes } of topics) {
    for (const index of new Set(indexes)) {
      const replica = partitions.replica(topic, index);
      if (replica !== undefined) yield replica;
    }
  }
}

async function describe(
  context: RequestContext,
  directory: LogDirectory,
  replicas: readonly Replica[],
): Promise<Result> {
  const nothing = { logDir: directory.path, errorCode: ErrorCode.KAFKA_STORAGE_ERROR, topics: [] };
  if (!directory.isOnline) return nothing;
  const space = await context.node.partitions.spaceOf(directory);
  if (space === undefined) return nothing;
  const topics = [...Map.groupBy(replicas, ({ topic }) => topic)].map(([name, members]) => ({
    name,
    partitions: members.map((replica) => ({
      partitionIndex: replica.partition,
      partitionSize: replica.log.sizeBytes,
      offsetLag: Math.max(0, replica.highWatermark - replica.logEndOffset),
      isFutureKey: false,
    })),
  }));
  return { logDir: directory.path, errorCode: ErrorCode.NONE, topics, ...space };
}
