/** Other replicas for partitions (KIP-455), and their preferred leaders (KIP-460). Each partition stands by itself. */
import { ErrorCode } from '../../protocol/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { brokerError, isRetriableCode, type KafkaError } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';
import type { CallOptions } from '../options.ts';
import type {
  OngoingReassignment,
  PartitionResult,
  PartitionReassignment,
  ReassignOptions,
} from './admin-types.ts';

/** How long a broker may take before it answers; leaderships are handed over within it. */
const brokerTimeoutMs = 60_000;
const preferredElection = 0;

/** One outcome for each, in order. What the cluster cannot decide just now is asked for again; it may be, as it says what is to be. */
export async function alterPartitionReassignments(
  cluster: Cluster,
  reassignments: readonly PartitionReassignment[],
  options: ReassignOptions,
): Promise<PartitionResult[]> {
  if (reassignments.length === 0) return [];
  const doing = 'reassign partitions';
  const body = {
    timeoutMs: brokerTimeoutMs,
    topics: byTopic(reassignments, ({ partition, replicas }) => ({
      partitionIndex: partition,
      replicas: replicas === null ? null : [...replicas],
    })),
  };
  const { allowReplicationFactorChange = true } = options;
  return cluster.retry(
    doing,
    async (tries) => {
      const response = await cluster.request(
        'AlterPartitionReassignments',
        (version) => (version < 1 ? body : { ...body, allowReplicationFactorChange }),
        { target: 'controller', signal: options.signal },
      );
      if (response.errorCode !== ErrorCode.NONE)
        throw brokerError(response.errorCode, doing, response.errorMessage);
      const errors = new Map<string, KafkaError>();
      for (const { name, partitions } of response.responses) {
        for (const { partitionIndex, errorCode, errorMessage } of partitions) {
          // An earlier try whose answer was lost may have taken it back.
          const isDone = tries > 1 && errorCode === ErrorCode.NO_REASSIGNMENT_IN_PROGRESS;
          if (errorCode === ErrorCode.NONE || isDone) continue;
          const error = brokerError(errorCode, `reassign ${name}-${partitionIndex}`, errorMessage);
          // Whether a topic exists is for the controller to know, and it was asked.
          if (isRetriableCode(errorCode) && errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) throw error;
          errors.set(keyOf({ topic: name, partition: partitionIndex }), error);
        }
      }
      return outcomes(reassignments, errors);
    },
    options,
  );
}

/** Those under way, by topic and partition. */
export async function listPartitionReassignments(
  cluster: Cluster,
  options: CallOptions,
): Promise<OngoingReassignment[]> {
  const doing = 'list the reassignments';
  return cluster.retry(
    doing,
    async () => {
      const response = await cluster.request(
        'ListPartitionReassignments',
        { timeoutMs: brokerTimeoutMs, topics: null },
        { target: 'controller', signal: options.signal },
      );
      if (response.errorCode !== ErrorCode.NONE)
        throw brokerError(response.errorCode, doing, response.errorMessage);
      return response.topics
        .flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex, replicas, addingReplicas, removingReplicas }) => ({
            topic: name,
            partition: partitionIndex,
            replicas,
            adding: addingReplicas,
            removing: removingReplicas,
          })),
        )
        .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
    },
    options,
  );
}

/** Of all partitions where none are named; then only those are told that changed or could not. */
export async function electLeaders(
  cluster: Cluster,
  partitions: readonly TopicPartition[] | undefined,
  options: CallOptions,
): Promise<PartitionResult[]> {
  const doing = 'elect preferred leaders';
  const body = {
    topicPartitions:
      partitions === undefined
        ? null
        : byTopic(partitions, ({ partition }) => partition).map(({ name, partitions: indexes }) => ({
            topic: name,
            partitions: indexes,
          })),
    timeoutMs: brokerTimeoutMs,
  };
  return cluster.retry(
    doing,
    async () => {
      const response = await cluster.request(
        'ElectLeaders',
        (version) => (version < 1 ? body : { ...body, electionType: preferredElection }),
        { target: 'controller', timeoutMs: brokerTimeoutMs, signal: options.signal },
      );
      if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, doing);
      return response.replicaElectionResults.flatMap(({ topic, partitionResult }) =>
        partitionResult.flatMap(({ partitionId, errorCode, errorMessage }) => {
          const error =
            errorCode === ErrorCode.NONE || errorCode === ErrorCode.ELECTION_NOT_NEEDED
              ? null
              : brokerError(errorCode, `elect the leader of ${topic}-${partitionId}`, errorMessage);
          return { topic, partition: partitionId, error };
        }),
      );
    },
    options,
  );
}

function byTopic<I extends TopicPartition, P>(
  items: readonly I[],
  partitionOf: (item: I) => P,
): { name: string; partitions: P[] }[] {
  return [...Map.groupBy(items, ({ topic }) => topic)].map(([name, group]) => ({
    name,
    partitions: group.map(partitionOf),
  }));
}

function outcomes(
  items: readonly TopicPartition[],
  errors: ReadonlyMap<string, KafkaError>,
): PartitionResult[] {
  return items.map((item) => ({
    topic: item.topic,
    partition: item.partition,
    error: errors.get(keyOf(item)) ?? null,
  }));
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
