/** The Fetch request for a set of partitions, and the way back from its answer to each of them. */
import type { FetchResponse } from '../../protocol/index.ts';
import type { BrokerVersions, RequestOf } from '../cluster/apis.ts';
import { zeroTopicId, type MetadataCache } from '../cluster/metadata-cache.ts';
import type { PartitionState } from './partition-state.ts';

export type PartitionFetchAnswer = FetchResponse['responses'][number]['partitions'][number];

/** From this version on, topics are named by id alone. */
const topicIdsFrom = 13;
/** A session epoch that asks for a full answer, without a session. */
const noSessionEpoch = -1;

export interface FetchLimits {
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly partitionMaxBytes: number;
  readonly isReadCommitted: boolean;
}

/** A partition as it stood when it was asked for: an answer counts only while this still holds. */
export interface AskedPartition {
  readonly state: PartitionState;
  readonly fetchEpoch: number;
  readonly fetchOffset: number;
}

/** Every request names all its partitions: there is no fetch session that broker and client could disagree on. */
export function fetchRequest(
  versions: BrokerVersions,
  metadata: MetadataCache,
  asked: readonly AskedPartition[],
  { rackId, ...limits }: FetchLimits & { readonly rackId: string },
): { version: number; body: RequestOf<'Fetch'> } {
  const topics = [...Map.groupBy(asked, ({ state }) => state.topic)].map(([topic, items]) => ({
    topic,
    topicId: metadata.topic(topic)?.id ?? zeroTopicId,
    partitions: items.map(({ state, fetchOffset }) => ({
      partition: state.partition,
      currentLeaderEpoch: metadata.partition(topic, state.partition)?.leaderEpoch ?? -1,
      fetchOffset,
      partitionMaxBytes: limits.partitionMaxBytes,
    })),
  }));
  const hasIds = topics.every((topic) => topic.topicId !== zeroTopicId);
  const version = versions.require('Fetch', hasIds ? undefined : topicIdsFrom - 1);
  const body = {
    maxWaitMs: limits.maxWaitMs,
    minBytes: limits.minBytes,
    maxBytes: limits.maxBytes,
    isolationLevel: limits.isReadCommitted ? 1 : 0,
    sessionEpoch: noSessionEpoch,
    topics,
    rackId,
  };
  return { version, body };
}

export function readFetchAnswers(
  response: FetchResponse,
  metadata: MetadataCache,
  asked: readonly AskedPartition[],
): { asked: AskedPartition; answer: PartitionFetchAnswer }[] {
  const answers = new Map<string, PartitionFetchAnswer>();
  for (const topic of response.responses) {
    // Answers carry a name or an id, by version; an absent name is empty.
    const key = topic.topic === '' ? topic.topicId : topic.topic;
    for (const answer of topic.partitions) answers.set(`${key}/${answer.partitionIndex}`, answer);
  }
  return asked.flatMap((item) => {
    const { topic, partition } = item.state;
    const id = metadata.topic(topic)?.id ?? zeroTopicId;
    const answer = answers.get(`${topic}/${partition}`) ?? answers.get(`${id}/${partition}`);
    return answer === undefined ? [] : [{ asked: item, answer }];
  });
}
