/**
 * DescribeLogDirs: for each data directory of this node its replicas with their sizes, and from version 4 the space of its
 * file system. Null topics ask for all replicas; a directory that holds none of those asked for is answered without topics.
 * An offline directory has the error KAFKA_STORAGE_ERROR and nothing else. From version 3 a client that may not ask is told
 * so; before, it gets no directories. A replica that is being moved stands in its new directory, too, as a future one, with what has been
 * copied and how many offsets are not. No directory is cordoned (version 5).
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { DescribeLogDirsRequest } from '../../protocol/index.ts';
import type { LogDirectory } from '../partition/log-directory.ts';
import type { Replica } from '../partition/replica.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext, ResponseOf } from './handler.ts';

interface Described {
  readonly directory: LogDirectory;
  readonly topic: string;
  readonly partitionIndex: number;
  readonly partitionSize: number;
  readonly offsetLag: number;
  readonly isFutureKey: boolean;
}

type Result = NonNullable<ResponseOf<'DescribeLogDirs'>['results']>[number];

export const describeLogDirs = defineHandler({
  api: 'DescribeLogDirs',
  versions: [1, 5],
  async handle(context, request) {
    if (!context.authorize('DESCRIBE', 'CLUSTER', clusterResource)) {
      return { throttleTimeMs: 0, errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED, results: [] };
    }
    const { partitions } = context.node;
    const wanted = Map.groupBy(
      [...described(context, request), ...futures(context, request)],
      ({ directory }) => directory,
    );
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

function* described(context: RequestContext, request: DescribeLogDirsRequest): Generator<Described> {
  for (const replica of wantedReplicas(context, request)) {
    yield {
      directory: replica.home,
      topic: replica.topic,
      partitionIndex: replica.partition,
      partitionSize: replica.log.sizeBytes,
      offsetLag: Math.max(0, replica.highWatermark - replica.logEndOffset),
      isFutureKey: false,
    };
  }
}

function* futures(context: RequestContext, { topics }: DescribeLogDirsRequest): Generator<Described> {
  for (const { topic, partition, to, sizeBytes, offsetLag } of context.node.moves.futures()) {
    const isWanted =
      topics === null || topics.some((each) => each.topic === topic && each.partitions.includes(partition));
    if (!isWanted) continue;
    const place = { directory: to, topic, partitionIndex: partition };
    yield { ...place, partitionSize: sizeBytes, offsetLag, isFutureKey: true };
  }
}

async function describe(
  context: RequestContext,
  directory: LogDirectory,
  replicas: readonly Described[],
): Promise<Result> {
  const nothing = { logDir: directory.path, errorCode: ErrorCode.KAFKA_STORAGE_ERROR, topics: [] };
  if (!directory.isOnline) return nothing;
  const space = await context.node.partitions.spaceOf(directory);
  if (space === undefined) return nothing;
  const topics = [...Map.groupBy(replicas, ({ topic }) => topic)].map(([name, members]) => ({
    name,
    partitions: members.map(({ partitionIndex, partitionSize, offsetLag, isFutureKey }) => ({
      partitionIndex,
      partitionSize,
      offsetLag,
      isFutureKey,
    })),
  }));
  return { logDir: directory.path, errorCode: ErrorCode.NONE, topics, ...space };
}
