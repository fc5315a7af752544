/**
 * A node as the handlers of groups see it: a cluster and a group service whose logs are in memory. Requests and
 * responses go through the codecs of the version that is asked for, as on the wire.
 */
import { GroupService, groupsTopic } from '../../../broker/groups/group-service.ts';
import { defaultGroupConfig } from '../../../broker/groups/group-config.ts';
import type { GroupConfig } from '../../../broker/groups/group-config.ts';
import type { AnyHandler, RequestContext } from '../../../broker/handlers/handler.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { RandomIds } from '../../../platform/random-ids.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { codec } from '../../../protocol/index.ts';
import type { MessageName } from '../../../protocol/index.ts';
import { MemoryCoordinatorLog } from '../coordinator/memory-coordinator-log.ts';
import { openMemoryCluster } from '../cluster/memory-cluster.ts';

export type Wire = Readonly<Record<string, unknown>>;

export interface GroupNodeOptions {
  readonly config?: Partial<GroupConfig>;
  readonly topics?: Readonly<Record<string, number>>;
  /** Denies what it returns true for. */
  readonly deny?: (operation: string, resourceType: string, name: string) => boolean;
}

export class GroupNode {
  readonly clock = new ManualClock();
  readonly logs: MemoryCoordinatorLog[] = [];
  readonly groups: GroupService;
  readonly cluster: Awaited<ReturnType<typeof openMemoryCluster>>['cluster'];
  deny: NonNullable<GroupNodeOptions['deny']>;

  private constructor(cluster: GroupNode['cluster'], options: GroupNodeOptions) {
    this.cluster = cluster;
    this.deny = options.deny ?? (() => false);
    this.groups = new GroupService({
      clock: this.clock,
      ids: new RandomIds(new SeededRandom(7)),
      config: () => ({ ...defaultGroupConfig, ...options.config }),
      partitionCount: () => cluster.image.topic(groupsTopic)?.partitions.length ?? 50,
      batchSizeBytesMax: () => 1_048_588,
      onShardFailure: (_partition, cause) => {
        throw cause;
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
      await this.groups.lead(index, log);
    }
  }

  /** Another term: the shards begin anew from what is committed. They load when their logs become ready. */
  changeTerm(): Promise<void>[] {
    return this.logs.map((log, partition) => {
      this.logs[partition] = log.successor();
      return this.groups.lead(partition, this.logs[partition]);
    });
  }

  topicId(name: string): string {
    return this.cluster.image.topic(name)!.id;
  }

  /** Sends a request of this version and reads the response, as a client of that version would. */
  async call(handler: AnyHandler, apiVersion: number, request: Wire, clientId = 'client'): Promise<Wire> {
    const requestName = `${handler.api}Request` as MessageName;
    const responseName = `${handler.api}Response` as MessageName;
    const decoded = codec(requestName, apiVersion).decode(codec(requestName, apiVersion).encode(request));
    const response = await handler.handle(this.#context(apiVersion, clientId), decoded);
    const wire = codec(responseName, apiVersion);
    return wire.decode(wire.encode(response as Wire)) as unknown as Wire;
  }

  #context(apiVersion: number, clientId: string): RequestContext {
    const node = {
      nodeId: 1,
      cluster: this.cluster,
      groups: this.groups,
      advertisedAddress: (local: { host: string; port: number }) => local,
    };
    const context: Partial<RequestContext> = {
      apiVersion,
      clientId,
      listener: 'PLAINTEXT',
      remote: { host: '10.0.0.9', port: 1 },
      local: { host: 'broker', port: 9092 },
      authorize: (operation, resourceType, name) => !this.deny(operation, resourceType, name),
    };
    return { ...context, node } as unknown as RequestContext;
  }
}

/** Every version that a handler serves. */
export function versionsOf({ versions: [min, max] }: AnyHandler): number[] {
  return Array.from({ length: max - min + 1 }, (_, index) => min + index);
}
