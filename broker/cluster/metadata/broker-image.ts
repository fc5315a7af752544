/** A node as the metadata has it: where it is reached and whether it counts. Pure; part of `metadata-image.ts`. */
import type { NewMetadataRecord, RecordValue } from './metadata-record.ts';
import { hostField, registeredHost } from './metadata-record.ts';

export interface EndpointImage {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly securityProtocol: number;
}

export interface FeatureRange {
  readonly name: string;
  readonly minSupportedVersion: number;
  readonly maxSupportedVersion: number;
}

export interface BrokerImage {
  readonly id: number;
  /** New with each registration, and larger. */
  readonly epoch: number;
  /** Fresh for each start of the node. */
  readonly incarnationId: string;
  readonly endpoints: readonly EndpointImage[];
  /** What the node's build can serve. */
  readonly features: readonly FeatureRange[];
  /** The user's zone, as clients see it. */
  readonly rack: string | null;
  /** The machine below the rack that fails as a whole. */
  readonly host: string | null;
  /** Not heard of, or not ready: it is given no replicas, and clients are not sent to it. */
  readonly fenced: boolean;
  /** It is about to stop: it is given no replicas, and leadership is to go elsewhere. */
  readonly inControlledShutdown: boolean;
  /** The first holds the metadata log. */
  readonly logDirectories: readonly string[];
  /** Those of `logDirectories` that are to get no more replicas. */
  readonly cordonedDirectories: readonly string[];
}

export function brokerImage(value: RecordValue<'RegisterBrokerRecord'>): BrokerImage {
  return {
    id: value.brokerId,
    epoch: value.brokerEpoch,
    incarnationId: value.incarnationId,
    endpoints: value.endPoints,
    features: value.features,
    rack: value.rack,
    host: registeredHost(value),
    fenced: value.fenced,
    inControlledShutdown: value.inControlledShutdown,
    logDirectories: value.logDirs,
    cordonedDirectories: value.cordonedLogDirs ?? [],
  };
}

/** 1: it becomes so; -1: it is so no more; 0: as before. */
function changed(before: boolean, by: number): boolean {
  return by === 0 ? before : by === 1;
}

export function brokerAfter(
  before: BrokerImage,
  value: RecordValue<'BrokerRegistrationChangeRecord'>,
): BrokerImage {
  return {
    ...before,
    fenced: changed(before.fenced, value.fenced),
    inControlledShutdown: changed(before.inControlledShutdown, value.inControlledShutdown),
    logDirectories: value.logDirs.length === 0 ? before.logDirectories : value.logDirs,
    cordonedDirectories: value.cordonedLogDirs ?? before.cordonedDirectories,
  };
}

/** The record that makes this node known as it is. */
export function brokerRecord(broker: BrokerImage): NewMetadataRecord {
  return {
    type: 'RegisterBrokerRecord',
    value: {
      brokerId: broker.id,
      brokerEpoch: broker.epoch,
      incarnationId: broker.incarnationId,
      endPoints: broker.endpoints,
      features: broker.features,
      rack: broker.rack,
      fenced: broker.fenced,
      inControlledShutdown: broker.inControlledShutdown,
      logDirs: broker.logDirectories,
      ...(broker.cordonedDirectories.length === 0 ? {} : { cordonedLogDirs: broker.cordonedDirectories }),
      ...(broker.host === null ? {} : { unknownTaggedFields: hostField(broker.host) }),
    },
  };
}
