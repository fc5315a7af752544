/**
 * A node without a network: its storage, metadata and handlers are the real ones, on a disk in memory. Requests go through
 * the dispatcher, so that each version is encoded and decoded as on a connection.
 */
import { noTopics } from '../groups/machine-driver.ts';
import { unpooled } from '../../../platform/buffer-pool.ts';
import { Cluster } from '../../../broker/cluster/cluster.ts';
import { Leaderships } from '../../../broker/cluster/partitions/leaderships.ts';
import { PartitionSteering } from '../../../broker/cluster/partitions/partition-steering.ts';
import { ReplicaMetadataLog } from '../../../broker/cluster/metadata/replica-metadata-log.ts';
import { BrokerConfig } from '../../../broker/config/broker-config.ts';
import { defaultConsumerGroupConfig, groupConfigOf } from '../../../broker/groups/group-config.ts';
import { GroupService } from '../../../broker/groups/group-service.ts';
import type { ApiName, RequestContext, RequestOf } from '../../../broker/handlers/handler.ts';
import { handlers } from '../../../broker/handlers/handlers.ts';
import type { NodeServices } from '../../../broker/handlers/node-services.ts';
import { silentLogger } from '../../../broker/logger.ts';
import { Dispatcher } from '../../../broker/network/dispatcher.ts';
import { openDataDirectories } from '../../../broker/data-directories.ts';
import { openMoves } from '../../../broker/node-replicas.ts';
import { NodeStorage } from '../../../broker/node-storage.ts';
import { raftSettings } from '../../../broker/partition/raft-settings.ts';
import { FetchSessions } from '../../../broker/partition/fetch-sessions.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import type { Platform } from '../../../platform/platform.ts';
import { realPlatform } from '../../../platform/real/real-platform.ts';
import { decodeResponse, encodeRequest } from '../../../protocol/index.ts';
import type { Encodable, MessageTypes } from '../../../protocol/index.ts';

type Answer<Api extends ApiName> = MessageTypes[`${Api}Response` & keyof MessageTypes];

export interface ServedNode extends AsyncDisposable {
  readonly services: NodeServices;
  /** What the client may do; a test may replace it. */
  authorize: RequestContext['authorize'];
  call<Api extends ApiName>(
    api: Api,
    version: number,
    request: Encodable<RequestOf<Api>>,
  ): Promise<Answer<Api>>;
}

const local = { host: '10.0.0.7', port: 9192 };

export async function serveNode(
  options: {
    settings?: Readonly<Record<string, string>>;
    disk?: MemoryDisk;
    rack?: string;
  } = {},
): Promise<ServedNode> {
  const platform: Platform = { ...realPlatform(), disk: options.disk ?? new MemoryDisk() };
  const config = new BrokerConfig(new Map(Object.entries(options.settings ?? {})));
  const directories = await openDataDirectories({
    platform,
    nodeId: 1,
    paths: ['/kappalog'],
    lock: false,
    findCluster: () => Promise.resolve(platform.ids.uuid()),
  });
  const storage = new NodeStorage({
    nodeId: 1,
    platform,
    logger: silentLogger,
    directories,
    incarnation: 1,
    raftSettings,
    transport: { send: (_, __, release) => release() },
    copying: undefined,
    lagMsMax: () => config.replicaLagTimeMaxMs,
    serviceEpoch: () => 0,
    topicConfig: (topic) => cluster.topicConfig(topic),
    acceptsLostMemory: false,
    producerExpirationMs: () => config.producerIdExpirationMs,
    maintenance: config,
  });
  const { partitions, identity } = storage;
  const metadata = await storage.openMetadata();
  const cluster: Cluster = new Cluster({
    nodeId: 1,
    log: new ReplicaMetadataLog(metadata, platform.clock),
    group: metadata,
    clock: platform.clock,
    ids: platform.ids,
    config,
    replicas: {
      open: (replicas) => partitions.open(replicas),
      remove: (topic) => partitions.remove(topic),
      removeReplica: (replica) => partitions.removeReplica(replica),
    },
    onReplicaFailure: (topic, error) => {
      throw new Error(`the replicas of ${topic} failed`, { cause: error });
    },
  });
  await cluster.start();
  const leaderships = new Leaderships();
  const steering = new PartitionSteering({
    nodeId: 1,
    clock: platform.clock,
    cluster,
    leaderships,
    config,
    replica: (topic, partition) => partitions.replica(topic, partition),
    peers: undefined,
    onFailure: (error) => {
      throw error;
    },
  });
  partitions.onLeadership((replica) => steering.replicaChanged(replica));
  await partitions.open(cluster.replicasHere());
  await cluster.register({
    nodeId: 1,
    incarnationId: platform.ids.uuid(),
    endpoints: [{ name: 'PLAINTEXT', ...local, securityProtocol: 0 }],
    rack: options.rack ?? null,
    host: null,
    logDirectories: [identity.directoryId],
  });
  const { clock, random, ids } = platform;
  const services: NodeServices = {
    nodeId: 1,
    clusterId: identity.clusterId,
    clock,
    random,
    config,
    cluster,
    partitions,
    moves: openMoves({
      nodeId: 1,
      platform,
      logger: silentLogger,
      storage,
      cluster: () => cluster,
      transfers: () => steering.transfers,
    }),
    leaderships,
    transfers: steering.transfers,
    groups: new GroupService({
      clock,
      ids,
      config: () => groupConfigOf(config),
      consumerConfig: () => defaultConsumerGroupConfig,
      topics: () => noTopics,
      partitionCount: () => 1,
      batchSizeBytesMax: () => 1_000_000,
      onShardFailure: () => {},
      onLargePatterns: () => {},
    }),
    fetchSessions: new FetchSessions({ clock, random, slots: () => 10 }),
    handlers,
    advertisedAddress: (address) => address,
  };
  const dispatcher = new Dispatcher({ node: services, authorize: () => true, observe: () => {} });
  const served: ServedNode = {
    services,
    authorize: () => true,
    async call(api, version, request) {
      const head = { api, apiVersion: version, correlationId: 5, clientId: 'test' };
      const frame = Buffer.concat(encodeRequest(head, request)).subarray(4);
      const incoming = dispatcher.decode(frame);
      const response = await dispatcher.handle(incoming, contextOf(served, version));
      const answer = Buffer.concat(dispatcher.encode(incoming, response)).subarray(4);
      return decodeResponse<Answer<typeof api>>(api, version, answer).body;
    },
    async [Symbol.asyncDispose]() {
      steering.close();
      await cluster.close();
      await storage.close();
    },
  };
  return served;
}

function contextOf(served: ServedNode, apiVersion: number): RequestContext {
  return {
    apiVersion,
    correlationId: 5,
    clientId: 'test',
    listener: 'PLAINTEXT',
    principal: 'User:test',
    remote: { host: '10.0.0.8', port: 40_000 },
    local,
    node: served.services,
    frame: unpooled,
    authorize: (...asked) => served.authorize(...asked),
    onSent: () => {},
    closed: false,
    onClosed: () => {},
  };
}
