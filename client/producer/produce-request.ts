/** The Produce request for a set of batches, and the way back from its answer to each batch. */
import type { ProduceResponse } from '../../protocol/index.ts';
import type { BrokerVersions } from '../cluster/apis.ts';
import { zeroTopicId, type MetadataCache } from '../cluster/metadata-cache.ts';
import type { PartitionQueue } from './partition-queue.ts';
import type { ProducerBatch } from './producer-batch.ts';

export interface SentBatch {
  readonly queue: PartitionQueue;
  readonly batch: ProducerBatch;
  /** Which sending of the batch this is: an answer to an earlier one says nothing about the batch any more. */
  readonly attempt: number;
}

export type PartitionAnswer = ProduceResponse['responses'][number]['partitionResponses'][number];

/** From this version on, topics are named by id alone. */
const topicIdsFrom = 13;

/** A request whose topics are all given. */
interface ProduceBody {
  readonly acks: number;
  readonly timeoutMs: number;
  readonly topicData: readonly {
    readonly name: string;
    readonly topicId: string;
    readonly partitionData: readonly { index: number; records: Buffer }[];
  }[];
}

export interface ProduceRequestOptions {
  readonly acks: -1 | 0 | 1;
  readonly timeoutMs: number;
}

export function produceRequest(
  versions: BrokerVersions,
  metadata: MetadataCache,
  sent: readonly SentBatch[],
  options: ProduceRequestOptions,
): { version: number; body: ProduceBody } {
  const byTopic = new Map<string, { index: number; records: Buffer }[]>();
  for (const { queue, batch } of sent) {
    const partition = { index: queue.partition, records: batch.bytes() };
    const partitions = byTopic.get(queue.topic);
    if (partitions === undefined) byTopic.set(queue.topic, [partition]);
    else partitions.push(partition);
  }
  const topicData = [...byTopic].map(([name, partitionData]) => ({
    name,
    topicId: topicId(metadata, name),
    partitionData,
  }));
  const hasIds = topicData.every((topic) => topic.topicId !== zeroTopicId);
  const version = versions.require('Produce', hasIds ? undefined : topicIdsFrom - 1);
  return { version, body: { acks: options.acks, timeoutMs: options.timeoutMs, topicData } };
}

/** `asked`: the request's body, whose topic ids the answer may go by, whatever the metadata has learned of the topics since. */
export function readAnswers(
  response: ProduceResponse,
  asked: Pick<ProduceBody, 'topicData'>,
  sent: readonly SentBatch[],
): (SentBatch & { answer: PartitionAnswer | undefined })[] {
  const answers = new Map<string, PartitionAnswer>();
  for (const topic of response.responses) {
    // Answers carry a name or an id, by version; an absent name is empty, an absent id zero.
    const key = topic.name === '' ? topic.topicId : topic.name;
    for (const answer of topic.partitionResponses) answers.set(`${key}/${answer.index}`, answer);
  }
  const ids = new Map(asked.topicData.map(({ name, topicId }) => [name, topicId]));
  return sent.map(({ queue, batch, attempt }) => ({
    queue,
    batch,
    attempt,
    answer:
      answers.get(`${queue.topic}/${queue.partition}`) ??
      answers.get(`${ids.get(queue.topic)}/${queue.partition}`),
  }));
}

function topicId(metadata: MetadataCache, topic: string): string {
  return metadata.topic(topic)?.id ?? zeroTopicId;
}
