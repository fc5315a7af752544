/** Which APIs and versions this client speaks, and how a version is agreed on with a broker. */
import {
  apis,
  type ApiDescription,
  type ApiVersionsResponse,
  type Encodable,
  type MessageTypes,
} from '../../protocol/index.ts';
import { KafkaError } from '../errors.ts';

/**
 * Lowest and highest version of each API whose meaning this client knows. From 10 on, OffsetCommit and OffsetFetch
 * name topics by id alone, which the group code does not use.
 */
const spokenVersions = {
  Produce: [3, 13],
  Fetch: [4, 17],
  ListOffsets: [2, 10],
  Metadata: [4, 12],
  OffsetCommit: [2, 9],
  OffsetFetch: [1, 9],
  FindCoordinator: [0, 6],
  JoinGroup: [2, 9],
  Heartbeat: [0, 4],
  LeaveGroup: [0, 5],
  SyncGroup: [0, 5],
  DescribeGroups: [0, 6],
  ListGroups: [0, 5],
  SaslHandshake: [1, 1],
  ApiVersions: [0, 4],
  CreateTopics: [2, 7],
  DeleteTopics: [1, 6],
  InitProducerId: [0, 5],
  OffsetForLeaderEpoch: [2, 4],
  DescribeConfigs: [1, 4],
  CreatePartitions: [0, 3],
  DeleteGroups: [0, 3],
  OffsetDelete: [0, 0],
  IncrementalAlterConfigs: [0, 1],
  DescribeCluster: [0, 2],
  DeleteRecords: [0, 2],
  DescribeLogDirs: [1, 4],
  AlterReplicaLogDirs: [1, 2],
  ElectLeaders: [0, 2],
  AlterPartitionReassignments: [0, 1],
  ListPartitionReassignments: [0, 0],
  DescribeQuorum: [0, 2],
  SaslAuthenticate: [0, 2],
  UnregisterBroker: [0, 0],
  ConsumerGroupHeartbeat: [0, 1],
  ConsumerGroupDescribe: [0, 1],
} as const satisfies Record<string, readonly [min: number, max: number]>;

export type ApiName = keyof typeof spokenVersions;
export type RequestOf<A extends ApiName> = Encodable<MessageTypes[`${A}Request`]>;
export type ResponseOf<A extends ApiName> = MessageTypes[`${A}Response`];

const descriptions: ReadonlyMap<string, ApiDescription> = new Map(apis.map((api) => [api.name, api]));

export function describeApi(api: ApiName): ApiDescription {
  return descriptions.get(api)!;
}

/** The newest version of ApiVersions that is tried on a new connection. */
export const apiVersionsFirstTry = spokenVersions.ApiVersions[1];

/** The versions that one broker serves, as its ApiVersions answer says. */
export class BrokerVersions {
  readonly #ranges: ReadonlyMap<number, readonly [min: number, max: number]>;

  constructor(response: Pick<ApiVersionsResponse, 'apiKeys'>) {
    this.#ranges = new Map(
      response.apiKeys.map((range) => [range.apiKey, [range.minVersion, range.maxVersion]]),
    );
  }

  /** The newest version that both sides speak, at most `versionMax`; undefined where there is none. */
  pick(api: ApiName, versionMax: number = Infinity): number | undefined {
    const range = this.#ranges.get(describeApi(api).key);
    if (range === undefined) return undefined;
    const [spokenMin, spokenMax] = spokenVersions[api];
    const version = Math.min(range[1], spokenMax, versionMax);
    return version >= Math.max(range[0], spokenMin) ? version : undefined;
  }

  /** As `pick`, but throws UNSUPPORTED_VERSION. */
  require(api: ApiName, versionMax?: number): number {
    const version = this.pick(api, versionMax);
    if (version !== undefined) return version;
    const range = this.#ranges.get(describeApi(api).key);
    const [spokenMin, spokenMax] = spokenVersions[api];
    const served = range === undefined ? 'does not serve it' : `serves versions ${range[0]} to ${range[1]}`;
    throw new KafkaError(
      'UNSUPPORTED_VERSION',
      `The broker cannot be asked for ${api}: it ${served}, and this client speaks ${spokenMin} to ${spokenMax}.`,
    );
  }
}
