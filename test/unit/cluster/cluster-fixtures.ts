/** A cluster of nodes that exists only as metadata, for tests of what the controller decides. */
import { BrokerConfig } from '../../../broker/config/broker-config.ts';
import { defaultLimits } from '../../../broker/cluster/controller/controller.ts';
import type {
  ControllerLimits,
  ControllerState,
  Decision,
} from '../../../broker/cluster/controller/controller.ts';
import type { TopicToCreate } from '../../../broker/cluster/controller/create-topics.ts';
import { MetadataImage } from '../../../broker/cluster/metadata/metadata-image.ts';
import type { MetadataChange } from '../../../broker/cluster/metadata/metadata-image.ts';
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
} from '../../../broker/cluster/metadata/metadata-record.ts';
import type { NodeRegistration } from '../../../broker/cluster/controller/registration.ts';
import { servedFeatures } from '../../../broker/cluster/controller/features.ts';
import { decideRegistration } from '../../../broker/cluster/controller/registration.ts';

/** The nth of a row of topic or directory ids. */
export function uuid(n: number): string {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(n, 12);
  return bytes.toString('base64url');
}

export interface TestState extends ControllerState {
  /** What the log would hold. */
  readonly log: Buffer[];
}

export function stateOf(options: {
  nodes?: readonly number[];
  silent?: readonly number[];
  settings?: Readonly<Record<string, string>>;
  limits?: Partial<ControllerLimits>;
}): TestState {
  let ids = 0;
  const state: TestState = {
    image: new MetadataImage(),
    config: new BrokerConfig(new Map(Object.entries(options.settings ?? {}))),
    limits: { ...defaultLimits, ...options.limits },
    newTopicId: () => uuid(++ids),
    reports: new Map(),
    aliveNodes: new Set(),
    silentNodes: new Set(options.silent),
    nodeCount: (options.nodes ?? [1]).length,
    log: [],
  };
  for (const [start, nodeId] of (options.nodes ?? [1]).entries()) {
    carryOut(
      state,
      decideRegistration(state, { ...registrationOf(nodeId, start), features: servedFeatures() }),
    );
  }
  return state;
}

/** Of the nodes of `stateOf`; `start`: each is another process. */
export function registrationOf(nodeId: number, start: number): NodeRegistration {
  return {
    nodeId,
    incarnationId: uuid(900 + start),
    endpoints: [{ name: 'PLAINTEXT', host: 'localhost', port: 9092 + nodeId, securityProtocol: 0 }],
    rack: null,
    host: 'machine',
    logDirectories: [uuid(1000 + nodeId)],
  };
}

/** Commits a decision's records and applies them; the answer, and what changed. */
export function carryOut<Result>(
  state: TestState,
  decision: Decision<Result>,
): { result: Result; changes: MetadataChange[] } {
  const bytes = decision.records.map((record) => encodeMetadataRecord(record));
  state.log.push(...bytes);
  const changes = bytes.map((record) => state.image.apply(decodeMetadataRecord(record)));
  return { result: decision.result, changes };
}

export function topicNamed(name: string, rest: Partial<TopicToCreate> = {}): TopicToCreate {
  return { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...rest };
}

/** All that an image holds, in a form that can be compared. */
export function contents(image: MetadataImage): object {
  const topics = [...image.topics()].map((topic) => ({
    ...topic,
    settings: [...image.settings(2, topic.name)],
    byId: image.topicById(topic.id)?.name,
    colliding: image.collidingTopic(topic.name.replaceAll('.', '_')),
  }));
  const nodes = [...image.brokers.values()].map((node) => ({
    ...node,
    replicas: image.replicaCount(node.id),
    leads: image.leaderCount(node.id),
    settings: [...image.settings(4, String(node.id))],
  }));
  return {
    topics,
    nodes,
    clusterWide: [...image.settings(4, '')],
    features: [...image.features],
    nextProducerId: image.nextProducerId,
    endOffset: image.endOffset,
  };
}
