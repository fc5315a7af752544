/** More partitions for existing topics. Pure; see `controller.ts`. Partitions are never taken away. */
import type { ControllerState, Decision, Refusal } from './controller.ts';
import type { TopicImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';
import { checkCapacity, checkReplicas, chooseReplicas, partitionRecords } from './replica-assignment.ts';
import type { Assigned } from './replica-assignment.ts';

export interface PartitionsToCreate {
  readonly name: string;
  /** The partitions that the topic shall have in all. */
  readonly count: number;
  /** For each new partition its nodes; null: the controller chooses. */
  readonly assignments: readonly { readonly brokerIds: readonly number[] }[] | null;
}

export type PartitionsCreation =
  | { readonly kind: 'created'; readonly name: string; readonly partitionCount: number }
  | ({ readonly kind: 'refused'; readonly name: string } & Refusal);

/** One result for each topic, in order. A topic must not stand twice. */
export function decideCreatePartitions(
  state: ControllerState,
  topics: readonly PartitionsToCreate[],
): Decision<PartitionsCreation[]> {
  const records: NewMetadataRecord[] = [];
  const result = topics.map((asked): PartitionsCreation => {
    const topic = state.image.topic(asked.name);
    if (topic === undefined) {
      const message = `Topic '${asked.name}' does not exist.`;
      return { kind: 'refused', name: asked.name, error: 'UNKNOWN_TOPIC_OR_PARTITION', message };
    }
    const refusal = checkCount(state, topic, asked, records.length);
    if (refusal !== undefined) return { kind: 'refused', name: asked.name, ...refusal };
    const assigned = assign(state, topic, asked);
    if (assigned.kind === 'refused') {
      return { kind: 'refused', name: asked.name, error: assigned.error, message: assigned.message };
    }
    records.push(...partitionRecords(state, topic.id, topic.partitions.length, assigned.replicas));
    return { kind: 'created', name: asked.name, partitionCount: asked.count };
  });
  return { records, result };
}

function checkCount(
  state: ControllerState,
  topic: TopicImage,
  asked: PartitionsToCreate,
  decided: number,
): Refusal | undefined {
  const present = topic.partitions.length;
  if (asked.count === present) {
    return { error: 'INVALID_PARTITIONS', message: `Topic already has ${present} partition(s).` };
  }
  if (asked.count < present) {
    return {
      error: 'INVALID_PARTITIONS',
      message:
        `The topic ${topic.name} currently has ${present} partition(s); ${asked.count} would not be an increase. ` +
        'Partitions can only be added.',
    };
  }
  const most = state.limits.partitionsPerRequestMax;
  const total = decided + asked.count - present;
  if (total <= most) return undefined;
  return {
    error: 'POLICY_VIOLATION',
    message:
      `Excessively large number of partitions per request: ${total}, and ${most} is the most. ` +
      'Ask for fewer, or spread them over several requests.',
  };
}

function assign(state: ControllerState, topic: TopicImage, asked: PartitionsToCreate): Assigned {
  const additional = asked.count - topic.partitions.length;
  const replicationFactor = topic.partitions[0]?.replicas.length ?? state.config.defaultReplicationFactor;
  if (asked.assignments === null) return chooseReplicas(state, additional, replicationFactor);
  if (asked.assignments.length !== additional) {
    return {
      kind: 'refused',
      error: 'INVALID_REPLICA_ASSIGNMENT',
      message:
        `Attempted to add ${additional} additional partition(s), but ${asked.assignments.length} assignment(s) ` +
        'were specified. Give one for each new partition.',
    };
  }
  const replicas = asked.assignments.map(({ brokerIds }) => brokerIds);
  for (const nodeIds of replicas) {
    const refusal = checkReplicas(state, nodeIds, replicationFactor);
    if (refusal !== undefined) return { kind: 'refused', ...refusal };
  }
  return checkCapacity(state, replicas);
}
