import { ErrorCode, type MetadataResponse } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { brokerError, invalidArgument, KafkaError } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';
import type { CallOptions } from '../options.ts';
import type { CreatedTopic, NewTopic, TopicDescription, TopicListing } from './admin-types.ts';
import type { ChangeOptions } from './admin.ts';
import { atLeaders } from './at-leaders.ts';

/** How long a broker may take to carry a change out before it answers. */
const changeTimeoutMs = 30_000;

export async function createTopics(
  cluster: Cluster,
  topics: readonly NewTopic[],
  options: ChangeOptions,
): Promise<CreatedTopic[]> {
  const body = {
    topics: topics.map((topic) => ({
      name: topic.name,
      numPartitions: topic.assignments === undefined ? (topic.partitions ?? -1) : -1,
      replicationFactor: topic.assignments === undefined ? (topic.replicationFactor ?? -1) : -1,
      assignments: (topic.assignments ?? []).map((brokerIds, partitionIndex) => ({
        partitionIndex,
        brokerIds,
      })),
      configs: Object.entries(topic.configs ?? {}).map(([name, value]) => ({ name, value })),
    })),
    timeoutMs: changeTimeoutMs,
    validateOnly: options.validateOnly ?? false,
  };
  const doing = `create ${nameAll(topics.map((topic) => topic.name))}`;
  return cluster.retry(
    doing,
    async (tries) => {
      const response = await cluster.request('CreateTopics', body, {
        target: 'controller',
        signal: options.signal,
      });
      for (const topic of response.topics) {
        // An earlier try whose answer was lost may have created the topic.
        const isOurs = tries > 1 && topic.errorCode === ErrorCode.TOPIC_ALREADY_EXISTS;
        if (topic.errorCode !== ErrorCode.NONE && !isOurs) {
          throw brokerError(topic.errorCode, `create the topic ${topic.name}`, topic.errorMessage);
        }
      }
      return response.topics.map(({ name, topicId, numPartitions, replicationFactor }) => ({
        name,
        topicId,
        partitions: numPartitions,
        replicationFactor,
      }));
    },
    options,
  );
}

export async function listTopics(
  cluster: Cluster,
  options: CallOptions & { readonly internal?: boolean },
): Promise<TopicListing[]> {
  const response = await cluster.fetchMetadata(null, options);
  return response.topics
    .filter((topic) => topic.name !== null && (options.internal === true || !topic.isInternal))
    .map(({ name, topicId, isInternal, partitions }) => ({
      name: name!,
      topicId,
      internal: isInternal,
      partitions: partitions.length,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export async function describeTopics(
  cluster: Cluster,
  names: readonly string[],
  options: CallOptions,
): Promise<TopicDescription[]> {
  const response = await cluster.fetchMetadata(names, options);
  const byName = new Map(response.topics.map((topic) => [topic.name, topic]));
  return names.map((name) => {
    const topic = byName.get(name);
    const code = topic?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    if (topic === undefined || (code !== ErrorCode.NONE && topic.partitions.length === 0)) {
      throw brokerError(code, `describe the topic ${name}`);
    }
    return describe(name, topic);
  });
}

export async function deleteTopics(
  cluster: Cluster,
  names: readonly string[],
  options: CallOptions,
): Promise<void> {
  const byName = { topics: names.map((name) => ({ name })), timeoutMs: changeTimeoutMs };
  const byNameBefore6 = { topicNames: names, timeoutMs: changeTimeoutMs };
  await cluster.retry(
    `delete ${nameAll(names)}`,
    async (tries) => {
      const response = await cluster.request(
        'DeleteTopics',
        (version) => (version < 6 ? byNameBefore6 : byName),
        {
          target: 'controller',
          signal: options.signal,
        },
      );
      for (const topic of response.responses) {
        const isGone = tries > 1 && topic.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
        if (topic.errorCode === ErrorCode.NONE || isGone) continue;
        const doing = `delete the topic ${topic.name ?? topic.topicId}`;
        throw asFinalWhereMissing(brokerError(topic.errorCode, doing, topic.errorMessage));
      }
    },
    options,
  );
}

export async function createPartitions(
  cluster: Cluster,
  change: { readonly topic: string; readonly count: number },
  options: ChangeOptions,
): Promise<void> {
  if (!Number.isSafeInteger(change.count) || change.count < 1)
    throw invalidArgument('`count` must be a whole number from 1.');
  const body = {
    topics: [{ name: change.topic, count: change.count, assignments: null }],
    timeoutMs: changeTimeoutMs,
    validateOnly: options.validateOnly ?? false,
  };
  const doing = `add partitions to the topic ${change.topic}`;
  await cluster.retry(
    doing,
    async (tries) => {
      const response = await cluster.request('CreatePartitions', body, {
        target: 'controller',
        signal: options.signal,
      });
      for (const result of response.results) {
        // An earlier try whose answer was lost may have added them.
        const isDone =
          tries > 1 &&
          result.errorCode === ErrorCode.INVALID_PARTITIONS &&
          (await partitionCount(cluster, change.topic, options)) === change.count;
        if (result.errorCode === ErrorCode.NONE || isDone) continue;
        throw asFinalWhereMissing(brokerError(result.errorCode, doing, result.errorMessage));
      }
    },
    options,
  );
}

async function partitionCount(cluster: Cluster, topic: string, options: CallOptions): Promise<number> {
  const { topics } = await cluster.fetchMetadata([topic], options);
  return topics[0]?.partitions.length ?? 0;
}

export async function deleteRecords(
  cluster: Cluster,
  before: readonly (TopicPartition & { readonly offset: number })[],
  options: CallOptions,
): Promise<(TopicPartition & { startOffset: number })[]> {
  return atLeaders(cluster, before, { doing: 'delete records', ...options }, async (node, group) => {
    const topics = Map.groupBy(group, (item) => item.topic);
    const body = {
      topics: [...topics].map(([name, items]) => ({
        name,
        partitions: items.map(({ partition, offset }) => ({ partitionIndex: partition, offset })),
      })),
      timeoutMs: changeTimeoutMs,
    };
    const response = await cluster.request('DeleteRecords', body, { target: node, signal: options.signal });
    return response.topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, errorCode, lowWatermark }) => ({
        topic: name,
        partition: partitionIndex,
        errorCode,
        value: { topic: name, partition: partitionIndex, startOffset: lowWatermark },
      })),
    );
  });
}

function describe(name: string, topic: MetadataResponse['topics'][number]): TopicDescription {
  return {
    name,
    topicId: topic.topicId,
    internal: topic.isInternal,
    partitions: topic.partitions
      .map((partition) => ({
        partition: partition.partitionIndex,
        leader: partition.leaderId,
        leaderEpoch: partition.leaderEpoch,
        replicas: partition.replicaNodes,
        inSyncReplicas: partition.isrNodes,
        offlineReplicas: partition.offlineReplicas,
      }))
      .sort((a, b) => a.partition - b.partition),
  };
}

/** Kafka calls an unknown topic retriable, because metadata may lag; the controller's own answer to a change does not lag. */
function asFinalWhereMissing(error: KafkaError): KafkaError {
  if (error.code !== 'UNKNOWN_TOPIC_OR_PARTITION') return error;
  return new KafkaError(error.code, error.message, { retriable: false });
}

function nameAll(names: readonly string[]): string {
  return names.length === 1 ? `the topic ${names[0]}` : `the topics ${names.join(', ')}`;
}
