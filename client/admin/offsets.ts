import type { Cluster } from '../cluster/cluster.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { invalidArgument } from '../errors.ts';
import type { CallOptions } from '../options.ts';
import type { OffsetQuery, OffsetResult } from './admin-types.ts';
import { atLeaders, type PartitionOutcome } from './at-leaders.ts';

const namedTimes = { latest: -1, earliest: -2, 'max-timestamp': -3 } as const;

/** From this version on, the maximum timestamp can be asked for. */
const maxTimestampFrom = 7;

export interface ListOffsetsOptions extends CallOptions {
  /** 'latest' is then the last stable offset instead of the high watermark. */
  readonly isReadCommitted: boolean;
  readonly timeoutMs?: number;
}

/** Offsets at the ends or at times; the results are in the order of the queries. */
export function listOffsets(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  options: ListOffsetsOptions,
): Promise<OffsetResult[]> {
  // One request holds a partition once: questions about the same one are asked one after another.
  const rounds: OffsetQuery[][] = [];
  for (const query of queries) {
    const isFree = (round: OffsetQuery[]): boolean =>
      !round.some((other) => other.topic === query.topic && other.partition === query.partition);
    const round = rounds.find(isFree);
    if (round === undefined) rounds.push([query]);
    else round.push(query);
  }
  return runRounds(cluster, queries, rounds, options);
}

async function runRounds(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
  rounds: readonly (readonly OffsetQuery[])[],
  options: ListOffsetsOptions,
): Promise<OffsetResult[]> {
  const found = new Map<OffsetQuery, OffsetResult>();
  for (const round of rounds) {
    const limits = { doing: 'look up the offset', signal: options.signal, timeoutMs: options.timeoutMs };
    const results = await atLeaders(cluster, round, limits, (node, group) =>
      ask(cluster, node, group, options),
    );
    round.forEach((query, index) => found.set(query, results[index]!));
  }
  return queries.map((query) => found.get(query)!);
}

async function ask(
  cluster: Cluster,
  node: NodeInfo,
  group: readonly OffsetQuery[],
  options: ListOffsetsOptions,
): Promise<PartitionOutcome<OffsetResult>[]> {
  const topics = [...Map.groupBy(group, (query) => query.topic)].map(([name, queries]) => ({
    name,
    partitions: queries.map((query) => ({ partitionIndex: query.partition, timestamp: timeOf(query) })),
  }));
  const body = { replicaId: -1, isolationLevel: options.isReadCommitted ? 1 : 0, topics };
  const wantsMaximum = group.some((query) => query.at === 'max-timestamp');
  const connection = await cluster.connection(node, 'control');
  if (wantsMaximum && connection.versions.require('ListOffsets') < maxTimestampFrom) {
    throw invalidArgument("The broker is too old to look up 'max-timestamp'.");
  }
  const response = await cluster.request('ListOffsets', body, { target: node, signal: options.signal });
  return response.topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex, errorCode, offset, timestamp, leaderEpoch }) => ({
      topic: name,
      partition: partitionIndex,
      errorCode,
      value: { topic: name, partition: partitionIndex, offset, timestamp, leaderEpoch },
    })),
  );
}

function timeOf(query: OffsetQuery): number {
  if (typeof query.at === 'string') return namedTimes[query.at];
  if (!Number.isSafeInteger(query.at.timestamp) || query.at.timestamp < 0) {
    throw invalidArgument(
      `A time must be whole milliseconds since the Unix epoch, not ${query.at.timestamp}.`,
    );
  }
  return query.at.timestamp;
}
