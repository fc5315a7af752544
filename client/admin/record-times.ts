/** When records were written, by their offsets: what tells how old the first record is that a group has left to read. */
import { decodeBatch, ErrorCode, iterateBatches } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { zeroTopicId, type NodeInfo } from '../cluster/metadata-cache.ts';
import type { TopicPartition } from '../messages.ts';
import type { CallOptions } from '../options.ts';
import { atLeaders, type PartitionOutcome } from './at-leaders.ts';

export interface RecordPosition extends TopicPartition {
  readonly offset: number;
}

/** Enough for one batch, as brokers take them unless told otherwise; a larger one comes whole where it is the first. */
const batchBytes = 1_048_588;
/** One answer holds no more; partitions that it has no room for are asked for again. */
const answerBytes = 16 * 1024 * 1024;
/** From this version on, topics are named by id alone. */
const topicIdsFrom = 13;

/**
 * Milliseconds since the Unix epoch of the first record at or after each offset; null where there is none yet, it has no timestamp, or
 * the offset is no longer there. A partition is to be named once.
 */
export async function recordTimes(
  cluster: Cluster,
  positions: readonly RecordPosition[],
  options: CallOptions,
): Promise<(number | null)[]> {
  const found = new Map<string, number | null>();
  const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;
  const limits = { doing: 'read the first record', signal: options.signal };
  let open = [...positions];
  while (open.length > 0) {
    const answers = await atLeaders(cluster, open, limits, (node, group) =>
      ask(cluster, node, group, options),
    );
    const before = open.length;
    for (const [place, { isAnswered, timestamp }] of answers.entries()) {
      if (isAnswered) found.set(keyOf(open[place]!), timestamp);
    }
    open = open.filter((position) => !found.has(keyOf(position)));
    // An answer that has none of them would have none the next time either.
    if (open.length === before) break;
  }
  return positions.map((position) => found.get(keyOf(position)) ?? null);
}

interface RecordTime {
  readonly isAnswered: boolean;
  readonly timestamp: number | null;
}

async function ask(
  cluster: Cluster,
  node: NodeInfo,
  group: readonly RecordPosition[],
  { signal }: CallOptions,
): Promise<PartitionOutcome<RecordTime>[]> {
  const { metadata } = cluster;
  const ids = new Map(group.map(({ topic }) => [topic, metadata.topic(topic)?.id ?? zeroTopicId]));
  const hasIds = ![...ids.values()].includes(zeroTopicId);
  const body = {
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: answerBytes,
    isolationLevel: 1,
    sessionEpoch: -1,
    topics: [...Map.groupBy(group, ({ topic }) => topic)].map(([topic, items]) => ({
      topic,
      topicId: ids.get(topic)!,
      partitions: items.map(({ partition, offset }) => ({
        partition,
        fetchOffset: offset,
        partitionMaxBytes: batchBytes,
      })),
    })),
  };
  const versions = hasIds ? {} : { versionMax: topicIdsFrom - 1 };
  const response = await cluster.request('Fetch', body, { target: node, signal, ...versions });
  const answers = new Map(
    response.responses.flatMap(({ topic, topicId, partitions }) =>
      partitions.map(
        (answer) => [`${topic === '' ? topicId : topic}/${answer.partitionIndex}`, answer] as const,
      ),
    ),
  );
  return group.map(({ topic, partition, offset }): PartitionOutcome<RecordTime> => {
    const answer = answers.get(`${topic}/${partition}`) ?? answers.get(`${ids.get(topic)}/${partition}`);
    if (answer === undefined) return { topic, partition, errorCode: ErrorCode.NONE, value: unanswered };
    if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
      return { topic, partition, errorCode: ErrorCode.NONE, value: nothing };
    }
    const records = answer.records ?? Buffer.alloc(0);
    const isLeftOut = records.length === 0 && offset < answer.lastStableOffset;
    const value = isLeftOut ? unanswered : { isAnswered: true, timestamp: firstTime(records, offset) };
    return { topic, partition, errorCode: answer.errorCode, value };
  });
}

const unanswered: RecordTime = { isAnswered: false, timestamp: null };
const nothing: RecordTime = { isAnswered: true, timestamp: null };

/** Only of the batches that came whole. */
function firstTime(records: Buffer, offset: number): number | null {
  for (const { header, bytes } of iterateBatches(records)) {
    if (header.isControl) continue;
    for (const record of decodeBatch(bytes)) {
      if (record.offset >= offset) return record.timestamp < 0 ? null : record.timestamp;
    }
  }
  return null;
}
