/**
 * What the controller decides, and by what: each operation (`create-topics.ts`, `delete-topics.ts`,
 * `create-partitions.ts`, `alter-configs.ts`, and those here) is a pure function of the present image and a request. It
 * gives the records that carry it out and the answer to each part of the request. Nothing is changed by deciding: the
 * records count when they are committed (`cluster.ts`).
 */
import type { ErrorName } from '../../protocol/index.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import type { MetadataImage } from './metadata-image.ts';
import type { NewMetadataRecord } from './metadata-record.ts';
import { hostField } from './metadata-record.ts';
import type { NodeReports } from './node-reports.ts';

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

export interface NodeRegistration {
  readonly nodeId: number;
  /** Fresh for each start of the node. */
  readonly incarnationId: string;
  readonly endpoints: readonly {
    readonly name: string;
    readonly host: string;
    readonly port: number;
    /** Kafka's number: 0 is PLAINTEXT. */
    readonly securityProtocol: number;
  }[];
  readonly rack: string | null;
  /** Names the machine: nodes of one machine fail together. */
  readonly host: string | null;
  readonly logDirectories: readonly string[];
}

/** The features that Kappalog has, as Kafka numbers them: lowest and highest level that this build can serve. */
export const supportedFeatures: ReadonlyMap<string, { readonly min: number; readonly max: number }> = new Map(
  [['metadata.version', { min: 33, max: 33 }]],
);

/** The first records of a new cluster: it starts at the highest level of every feature. */
export function decideBootstrap(): Decision<void> {
  const records = [...supportedFeatures].map(([name, { max }]): NewMetadataRecord => ({
    type: 'FeatureLevelRecord',
    value: { name, featureLevel: max },
  }));
  return { records, result: undefined };
}

/** A node has started. Its epoch is the number of the record that says so, which is new each time and grows. */
export function decideRegistration(image: MetadataImage, node: NodeRegistration): Decision<void> {
  const record: NewMetadataRecord = {
    type: 'RegisterBrokerRecord',
    value: {
      brokerId: node.nodeId,
      incarnationId: node.incarnationId,
      brokerEpoch: image.endOffset + 1,
      endPoints: node.endpoints,
      features: [...supportedFeatures].map(([name, { min, max }]) => ({
        name,
        minSupportedVersion: min,
        maxSupportedVersion: max,
      })),
      rack: node.rack,
      fenced: false,
      logDirs: node.logDirectories,
      ...(node.host === null ? {} : { unknownTaggedFields: hostField(node.host) }),
    },
  };
  return { records: [record], result: undefined };
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
