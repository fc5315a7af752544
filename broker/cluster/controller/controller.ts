/**
 * What the controller decides, and by what: each operation (`create-topics.ts`, `delete-topics.ts`,
 * `create-partitions.ts`, `alter-configs.ts`, `registration.ts`, ..., and those here) is a pure function of the present image and a request. It
 * gives the records that carry it out and the answer to each part of the request. Nothing is changed by deciding: the
 * records count when they are committed (`cluster.ts`).
 */
import type { ErrorName } from '../../../protocol/index.ts';
import type { BrokerConfig } from '../../config/broker-config.ts';
import { firstFeatureRecords } from './features.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';
import type { NodeReports } from '../nodes/node-reports.ts';

/** Why a part of a request is refused: Kafka's error and a sentence that names the cause and what to do. */
export interface Refusal {
  readonly error: ErrorName;
  readonly message: string;
}

export interface Decision<Result> {
  readonly records: readonly NewMetadataRecord[];
  readonly result: Result;
}

/** All that a decision may depend on. */
export interface ControllerState {
  readonly image: MetadataImage;
  readonly config: BrokerConfig;
  readonly limits: ControllerLimits;
  readonly newTopicId: () => string;
  readonly reports: NodeReports;
  /** Nodes that are registered and have been heard within the session timeout. */
  readonly aliveNodes: ReadonlySet<number>;
  /** Nodes of which nothing has been heard just now, though their sessions may last: others are the better choice. */
  readonly silentNodes: ReadonlySet<number>;
  /** Nodes that belong to the cluster and are not drained, those that have yet to register among them. */
  readonly nodeCount: number;
}

export interface ControllerLimits {
  /** Partitions that one request may make. Kafka's bound. */
  readonly partitionsPerRequestMax: number;
  /** Replicas that one node holds: each costs memory, two descriptors when in use, and a place in every recovery. */
  readonly replicasPerNodeMax: number;
}

export const defaultLimits: ControllerLimits = {
  partitionsPerRequestMax: 10_000,
  replicasPerNodeMax: 20_000,
};

/** What a new cluster's log begins with; nothing where it has begun. */
export function decideBootstrap(image: MetadataImage): Decision<void> {
  return { records: image.features.size === 0 ? firstFeatureRecords() : [], result: undefined };
}

export interface ProducerIdBlock {
  readonly first: number;
  readonly count: number;
}

const producerIdBlockSize = 1_000;

/** Producer ids that no other node has or will get. */
export function decideProducerIds(image: MetadataImage, nodeId: number): Decision<ProducerIdBlock> {
  const first = image.nextProducerId;
  const value = {
    brokerId: nodeId,
    brokerEpoch: image.brokers.get(nodeId)?.epoch ?? -1,
    nextProducerId: first + producerIdBlockSize,
  };
  return { records: [{ type: 'ProducerIdsRecord', value }], result: { first, count: producerIdBlockSize } };
}
