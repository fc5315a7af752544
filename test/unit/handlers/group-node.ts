/**
 * A node as the handlers of groups see it: a cluster and a group service whose logs are in memory. Requests and
 * responses go through the codecs of the version that is asked for, as on the wire.
 */
import { BrokerConfig } from '../../../broker/config/broker-config.ts';
import { GroupService, groupsTopic } from '../../../broker/groups/group-service.ts';
import { consumerGroupConfigOf, defaultGroupConfig } from '../../../broker/groups/group-config.ts';
import { topicsViewOf } from '../../../broker/node-groups.ts';
import type { GroupConfig } from '../../../broker/groups/group-config.ts';
import { consumerGroupDescribe } from '../../../broker/handlers/consumer-group-describe.ts';
import { consumerGroupHeartbeat } from '../../../broker/handlers/consumer-group-heartbeat.ts';
import { deleteGroups } from '../../../broker/handlers/delete-groups.ts';
import { describeGroups } from '../../../broker/handlers/describe-groups.ts';
import { findCoordinator } from '../../../broker/handlers/find-coordinator.ts';
import type { AnyHandler, RequestContext } from '../../../broker/handlers/handler.ts';
import { heartbeat } from '../../../broker/handlers/heartbeat.ts';
import { joinGroup } from '../../../broker/handlers/join-group.ts';
import { leaveGroup } from '../../../broker/handlers/leave-group.ts';
import { listGroups } from '../../../broker/handlers/list-groups.ts';
import { offsetCommit } from '../../../broker/handlers/offset-commit.ts';
import { offsetDelete } from '../../../broker/handlers/offset-delete.ts';
import { offsetFetch } from '../../../broker/handlers/offset-fetch.ts';
import { syncGroup } from '../../../broker/handlers/sync-group.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { RandomIds } from '../../../platform/random-ids.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { codec } from '../../../protocol/index.ts';
import type { Encodable, MessageTypes } from '../../../protocol/index.ts';
import { MemoryCoordinatorLog } from '../coordinator/memory-coordinator-log.ts';
import { Leaderships } from '../../../broker/cluster/partitions/leaderships.ts';
import { openMemoryCluster } from '../cluster/memory-cluster.ts';

const handlers: readonly AnyHandler[] = [
  consumerGroupDescribe,
  consumerGroupHeartbeat,
  deleteGroups,
  describeGroups,
  findCoordinator,
  heartbeat,
  joinGroup,
  leaveGroup,
  listGroups,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  syncGroup,
];

export type GroupApi =
  | 'ConsumerGroupDescribe'
  | 'ConsumerGroupHeartbeat'
  | 'DeleteGroups'
  | 'DescribeGroups'
  | 'FindCoordinator'
  | 'Heartbeat'
  | 'JoinGroup'
  | 'LeaveGroup'
  | 'ListGroups'
  | 'OffsetCommit'
  | 'OffsetDelete'
  | 'OffsetFetch'
  | 'SyncGroup';

export type WireRequest<Api extends GroupApi> = Encodable<MessageTypes[`${Api}Request`]>;
export type WireResponse<Api extends GroupApi> = MessageTypes[`${Api}Response`];

export interface GroupNodeOptions {
  readonly config?: Partial<GroupConfig>;
  readonly topics?: Readonly<Record<string, number>>;
  /** Of the broker, beside those in `config`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Denies what it returns true for. */
  readonly deny?: (operation: string, resourceType: string, name: string) => boolean;
}

export class GroupNode {
  readonly clock = new ManualClock();
  readonly logs: MemoryCoordinatorLog[] = [];
  readonly groups: GroupService;
  readonly cluster: Awaited<ReturnType<typeof openMemoryCluster>>['cluster'];
  readonly config: BrokerConfig;
  deny: NonNullable<GroupNodeOptions['deny']>;

  private constructor(cluster: GroupNode['cluster'], options: GroupNodeOptions) {
    this.cluster = cluster;
    this.deny = options.deny ?? (() => false);
    this.config = new BrokerConfig(new Map(Object.entries(options.settings ?? {})));
    this.groups = new GroupService({
      clock: this.clock,
      ids: new RandomIds(new SeededRandom(7)),
      config: () => ({ ...defaultGroupConfig, ...options.config }),
      consumerConfig: () => consumerGroupConfigOf(this.config, new Map()),
      topics: () => topicsViewOf(cluster.image),
      partitionCount: () => cluster.image.topic(groupsTopic)?.partitions.length ?? 50,
      batchSizeBytesMax: () => 1_048_588,
      onShardFailure: (_partition, cause) => {
        throw cause;
      },
      onLargePatterns: (groupId) => {
        throw new Error(`the patterns of ${groupId} match too many topics`);
      },
    });
  }

  /** Leads all partitions of the groups' topic, unless told to make none. */
  static async open(options: GroupNodeOptions & { lead?: boolean } = {}): Promise<GroupNode> {
    const { cluster } = await openMemoryCluster();
    const node = new GroupNode(cluster, options);
    for (const [name, numPartitions] of Object.entries(options.topics ?? { t: 3, u: 1 })) {
      await cluster.createTopics([
        { name, numPartitions, replicationFactor: 1, assignments: [], configs: [] },
      ]);
    }
    if (options.lead !== false) await node.lead();
    return node;
  }

  async lead(): Promise<void> {
    const topic = await this.cluster.ensureInternalTopic(groupsTopic);
    if ('kind' in topic) throw new Error(`no ${groupsTopic}`);
    for (const { index } of topic.partitions) {
      const log = new MemoryCoordinatorLog();
      this.logs[index] = log;
      log.becomeReady();
      await this.groups.lead(index, () => log);
    }
  }

  /** Another term: the shards begin anew from what is committed. They load when their logs become ready. */
  changeTerm(): Promise<void>[] {
    return this.logs.map((log, partition) => {
      const successor = log.successor();
      this.logs[partition] = successor;
      return this.groups.lead(partition, () => successor);
    });
  }

  topicId(name: string): string {
    return this.cluster.image.topic(name)!.id;
  }

  /** Sends a request of this version and reads the response, as a client of that version would. */
  async call<Api extends GroupApi>(
    api: Api,
    apiVersion: number,
    request: WireRequest<Api>,
  ): Promise<WireResponse<Api>> {
    const wireRequest = codec<`${Api}Request`>(`${api}Request`, apiVersion);
    const wireResponse = codec<`${Api}Response`>(`${api}Response`, apiVersion);
    const decoded = wireRequest.decode(wireRequest.encode(request));
    const response = await handlerOf(api).handle(this.#context(apiVersion), decoded);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- The table of handlers has forgotten their types.
    return wireResponse.decode(wireResponse.encode(response as Encodable<WireResponse<Api>>));
  }

  #context(apiVersion: number): RequestContext {
    const node = {
      nodeId: 1,
      cluster: this.cluster,
      config: this.config,
      groups: this.groups,
      partitions: {
        /** This node leads everything that there is. */
        replica: (topic: string) => ({
          identity: { topicId: this.cluster.image.topic(topic)?.id },
          servesReads: true,
          term: 1,
          acknowledgements: { inSyncMembers: () => [] },
        }),
      },
      leaderships: new Leaderships(),
      advertisedAddress: (local: { host: string; port: number }) => local,
    };
    const context: Partial<RequestContext> = {
      apiVersion,
      clientId: 'client',
      listener: 'PLAINTEXT',
      remote: { host: '10.0.0.9', port: 1 },
      local: { host: 'broker', port: 9092 },
      authorize: (operation, resourceType, name) => !this.deny(operation, resourceType, name),
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- The handlers of groups use no other part of a node.
    return { ...context, node } as unknown as RequestContext;
  }
}

function handlerOf(api: GroupApi): AnyHandler {
  return handlers.find((handler) => handler.api === api)!;
}

/** Every version that is served of an API. */
export function versionsOf(api: GroupApi): number[] {
  const [min, max] = handlerOf(api).versions;
  return Array.from({ length: max - min + 1 }, (_, index) => min + index);
}
