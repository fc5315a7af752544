/**
 * Creation of topics. Pure; see `controller.ts`.
 *
 * A request for more than 10,000 partitions in all is refused as a whole with POLICY_VIOLATION, as by Kafka 4.x (its
 * controller never splits one request over several batches of its log); other faults concern one topic each.
 */
import { checkTopicOverrides } from '../../config/topic-config.ts';
import type { TopicOverrides } from '../../config/topic-config.ts';
import type { ControllerState, Decision, Refusal } from './controller.ts';
import { ConfigResourceType } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';
import { checkCapacity, checkReplicas, chooseReplicas, partitionRecords } from './replica-assignment.ts';
import type { Assigned } from './replica-assignment.ts';
import { clusterMetadataTopic, collisionKey, topicNameFault } from '../topic-names.ts';

export interface TopicToCreate {
  readonly name: string;
  /** -1: the broker's num.partitions. */
  readonly numPartitions: number;
  /** -1: the broker's default.replication.factor. */
  readonly replicationFactor: number;
  /** Empty: the controller chooses. */
  readonly assignments: readonly { readonly partitionIndex: number; readonly brokerIds: readonly number[] }[];
  readonly configs: readonly { readonly name: string; readonly value: string | null }[];
}

export type TopicCreation =
  | {
      readonly kind: 'created';
      readonly name: string;
      readonly topicId: string;
      readonly partitionCount: number;
      readonly replicationFactor: number;
      /** Settings of its own: names and values. */
      readonly overrides: readonly (readonly [name: string, value: string])[];
    }
  | ({ readonly kind: 'refused'; readonly name: string } & Refusal);

/** One result for each topic asked for, in order. */
export function decideCreateTopics(
  state: ControllerState,
  topics: readonly TopicToCreate[],
): Decision<TopicCreation[]> {
  const excess = checkTotal(state, topics);
  if (excess !== undefined) {
    return { records: [], result: topics.map(({ name }) => ({ kind: 'refused', name, ...excess })) };
  }
  const repeated = repeatedNames(topics);
  const taken = new Map<string, string>();
  const records: NewMetadataRecord[] = [];
  const result = topics.map((topic): TopicCreation => {
    const refusal = repeated.has(topic.name)
      ? invalidRequest(`Duplicate topic name: the request has '${topic.name}' more than once.`)
      : checkName(state, topic.name, taken);
    if (refusal !== undefined) return { kind: 'refused', name: topic.name, ...refusal };
    const decided = decideOne(state, topic);
    if (decided.result.kind === 'created') {
      taken.set(collisionKey(topic.name), topic.name);
      records.push(...decided.records);
    }
    return decided.result;
  });
  return { records, result };
}

function decideOne(state: ControllerState, topic: TopicToCreate): Decision<TopicCreation> {
  const refuse = ({ error, message }: Refusal): Decision<TopicCreation> => ({
    records: [],
    result: { kind: 'refused', name: topic.name, error, message },
  });
  const overrides = new Map<string, string>();
  for (const { name, value } of topic.configs) {
    if (value === null) {
      return refuse({
        error: 'INVALID_CONFIG',
        message: `Null value not supported for topic configs: ${name}. Leave it out to get the default.`,
      });
    }
    overrides.set(name, value);
  }
  const fault = checkTopicOverrides(overrides, state.config);
  if (fault !== undefined) return refuse({ error: 'INVALID_CONFIG', message: fault });
  const assigned = topic.assignments.length > 0 ? assignByHand(state, topic) : assign(state, topic);
  if (assigned.kind === 'refused') return refuse(assigned);
  const { replicas } = assigned;
  const topicId = state.newTopicId();
  return {
    // Settings stand before partitions, as in Kafka: a reader has them when it opens the first replica.
    records: [
      { type: 'TopicRecord', value: { name: topic.name, topicId } },
      ...configRecords(topic.name, overrides),
      ...partitionRecords(state, topicId, 0, replicas),
    ],
    result: {
      kind: 'created',
      name: topic.name,
      topicId,
      partitionCount: replicas.length,
      replicationFactor: replicas[0]?.length ?? 0,
      overrides: [...overrides],
    },
  };
}

function assign(state: ControllerState, topic: TopicToCreate): Assigned {
  if (topic.replicationFactor < -1 || topic.replicationFactor === 0) {
    return {
      kind: 'refused',
      error: 'INVALID_REPLICATION_FACTOR',
      message: `Replication factor must be larger than 0, or -1 to use the default value; it is ${topic.replicationFactor}.`,
    };
  }
  if (topic.numPartitions < -1 || topic.numPartitions === 0) {
    return {
      kind: 'refused',
      error: 'INVALID_PARTITIONS',
      message: `Number of partitions must be larger than 0, or -1 to use the default value; it is ${topic.numPartitions}.`,
    };
  }
  const partitionCount = topic.numPartitions === -1 ? state.config.numPartitions : topic.numPartitions;
  const replicationFactor =
    topic.replicationFactor === -1 ? state.config.defaultReplicationFactor : topic.replicationFactor;
  return chooseReplicas(state, partitionCount, replicationFactor);
}

/** The user says which node holds which replica; counts must then be left to what the assignment says. */
function assignByHand(state: ControllerState, topic: TopicToCreate): Assigned {
  const counted = [
    ['the replication factor', topic.replicationFactor],
    ['the number of partitions', topic.numPartitions],
  ] as const;
  for (const [what, count] of counted) {
    if (count === -1) continue;
    const message = `A manual partition assignment was specified, but ${what} was not set to -1.`;
    return { kind: 'refused', ...invalidRequest(message) };
  }
  const replicas: (readonly number[])[] = [];
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    const refusal =
      replicas[partitionIndex] === undefined
        ? checkReplicas(state, brokerIds, topic.assignments[0]?.brokerIds.length)
        : invalidAssignment(`Found multiple manual partition assignments for partition ${partitionIndex}.`);
    if (refusal !== undefined) return { kind: 'refused', ...refusal };
    if (partitionIndex < 0 || partitionIndex >= topic.assignments.length) {
      const last = topic.assignments.length - 1;
      const message = `Partitions must be numbered from 0 to ${last} without gaps; ${partitionIndex} is out of place.`;
      return { kind: 'refused', ...invalidAssignment(message) };
    }
    replicas[partitionIndex] = brokerIds;
  }
  return checkCapacity(state, replicas);
}

function checkTotal(state: ControllerState, topics: readonly TopicToCreate[]): Refusal | undefined {
  const most = state.limits.partitionsPerRequestMax;
  let total = 0;
  for (const { assignments, numPartitions } of topics) {
    if (assignments.length > 0) total += assignments.length;
    else total += numPartitions === -1 ? state.config.numPartitions : Math.max(numPartitions, 0);
  }
  if (total <= most) return undefined;
  return {
    error: 'POLICY_VIOLATION',
    message:
      `Excessively large number of partitions per request: ${total}, and ${most} is the most. ` +
      'Ask for fewer, or spread them over several requests.',
  };
}

function checkName(
  state: ControllerState,
  name: string,
  taken: ReadonlyMap<string, string>,
): Refusal | undefined {
  const fault = topicNameFault(name);
  if (fault !== undefined) return { error: 'INVALID_TOPIC_EXCEPTION', message: fault };
  if (name === clusterMetadataTopic) {
    return invalidRequest(`Creation of internal topic ${name} is prohibited. Choose another name.`);
  }
  if (state.image.topic(name) !== undefined) {
    return { error: 'TOPIC_ALREADY_EXISTS', message: `Topic '${name}' already exists.` };
  }
  const colliding = state.image.collidingTopic(name) ?? taken.get(collisionKey(name));
  if (colliding === undefined) return undefined;
  return {
    error: 'INVALID_TOPIC_EXCEPTION',
    message:
      `Topic '${name}' collides with existing topic: ${colliding}. ` +
      "Names must differ in more than '.' and '_'; choose another one.",
  };
}

function repeatedNames(topics: readonly TopicToCreate[]): Set<string> {
  const seen = new Set<string>();
  return new Set(topics.map(({ name }) => name).filter((name) => seen.size === seen.add(name).size));
}

function configRecords(topic: string, overrides: TopicOverrides): NewMetadataRecord[] {
  return [...overrides].map(([name, value]) => ({
    type: 'ConfigRecord',
    value: { resourceType: ConfigResourceType.TOPIC, resourceName: topic, name, value },
  }));
}

function invalidRequest(message: string): Refusal {
  return { error: 'INVALID_REQUEST', message };
}

function invalidAssignment(message: string): Refusal {
  return { error: 'INVALID_REPLICA_ASSIGNMENT', message };
}
