/**
 * A node, composed: the one place that joins the machine's clock, disk and network with the parts of the broker. Start and
 * stop are read here from top to bottom; everything else is elsewhere.
 */
import { Cluster } from './cluster/cluster.ts';
import { isStanding, Leaderships } from './cluster/partitions/leaderships.ts';
import { PartitionSteering } from './cluster/partitions/partition-steering.ts';
import { ReplicaMetadataLog } from './cluster/metadata/replica-metadata-log.ts';
import type { BrokerConfig } from './config/broker-config.ts';
import { openDataDirectories } from './data-directories.ts';
import type { DirectoryIdentity } from './data-directory.ts';
import { groupsTopic } from './groups/group-service.ts';
import { handlers } from './handlers/handlers.ts';
import type { NodeServices } from './handlers/node-services.ts';
import type { HttpServer } from './http/http-server.ts';
import { silentLogger } from './logger.ts';
import type { Logger } from './logger.ts';
import type { KafkaListener } from './network/kafka-listener.ts';
import { RequestMemory } from './network/request-memory.ts';
import { joinKind } from './formation/form-cluster.ts';
import { askingMeanwhile, joinService } from './formation/joining.ts';
import { readClusterFigures } from './cluster-figures.ts';
import { openCopying } from './node-catch-up.ts';
import { openGroups } from './node-groups.ts';
import type { NodeGroups } from './node-groups.ts';
import { meetCluster } from './node-peers.ts';
import type { ClusterOptions, NodePeers } from './node-peers.ts';
import { clientListenerName, openHttpListener, openKafkaListener } from './node-listeners.ts';
import {
  brokerConfigFrom,
  directoriesFrom,
  nodePlatform,
  splitAdvertised,
  untilStarted,
  unusableMetadata,
} from './node-start.ts';
import { NodeReadiness } from './node-readiness.ts';
import { NodeRecovery } from './node-recovery.ts';
import { metadataSnapshots, openMoves, openReplicas, replicaHost } from './node-replicas.ts';
import { NodeStorage } from './node-storage.ts';
import type { LogCopying } from './partition/consensus/catch-up/log-copying.ts';
import { FetchSessions } from './partition/fetch-sessions.ts';
import { LeadershipWatch } from './partition/leadership-watch.ts';
import type { ReplicaMoves } from './partition/moves/replica-moves.ts';
import { raftSettingsFrom } from './partition/raft-settings.ts';
import type { Replica } from './partition/replica.ts';
import type { Address } from '../platform/network.ts';
import type { Platform } from '../platform/platform.ts';
import { StartError } from './start-error.ts';

export interface BrokerOptions extends ClusterOptions {
  /** Address to bind; loopback unless told otherwise. */
  readonly host?: string;
  /** 0 takes a free port. */
  readonly port?: number;
  /** HTTP for health and metrics; none unless a port is given. */
  readonly httpPort?: number | false;
  /** Required with storage 'disk', unless `settings` name them: where everything is kept, the metadata log in the first. */
  readonly dataDir?: string | readonly string[];
  /** 'memory' keeps everything in this process and loses it with it; for tests. */
  readonly storage?: 'disk' | 'memory';
  /** HOST[:PORT] that clients are told; without one, the address that each client connected to. */
  readonly advertisedHost?: string;
  readonly nodeId?: number;
  /** Ends a start that is under way, which then rejects with a StartError 'stopped'. */
  readonly signal?: AbortSignal;
  /** The user's zone, as clients see it. */
  readonly rack?: string;
  /** Kafka's broker settings, by name; those that are not honoured are refused. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Replicas whose machine lost what `write.caching` had acknowledged go on without it, this once (docs/operations.md). */
  readonly acceptLostMemory?: boolean;
  readonly logger?: Logger;
  /** Replaces the machine's clock, disk, network and randomness. */
  readonly platform?: Platform;
}

export interface Broker extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly httpPort: number | undefined;
  readonly clusterId: string;
  readonly nodeId: number;
  /** Resolves, once all is closed, where the node had to stop by itself; the error says why. Never rejects. */
  readonly whenFailed: Promise<StartError>;
  /** Answers what has begun, writes and syncs everything, and leaves nothing behind. Further calls wait for the first. */
  close(): Promise<void>;
}

/** What a connection that is being answered at the stop may take. */
const drainTimeoutMs = 5_000;
/** Bytes of requests held over all connections, where queued.max.request.bytes leaves it to the broker. */
const requestMemoryBytes = 256 * 1024 * 1024;

/** Why the cluster does not count this node as its own any more. */
const expulsions = {
  superseded: () =>
    new StartError('cluster', 'another process has registered in the cluster with the id of this node'),
  unregistered: () => new StartError('cluster', 'this node was taken out of the cluster for good'),
};

/** Starts a broker and resolves when it answers requests. Rejects with a StartError whose message says what to do. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const node = new Node(options);
  const started = node.start();
  await untilStarted(started, options.signal).catch(async (error: unknown) => {
    // What goes on after it was told to stop finds everything closed.
    started.catch(() => undefined);
    await node.close();
    throw error;
  });
  return node;
}

class Node implements Broker {
  readonly #options: BrokerOptions;
  readonly #platform: Platform;
  readonly #logger: Logger;
  readonly #config: BrokerConfig;
  readonly #memory: RequestMemory;
  readonly #directories: readonly string[];
  #peers: NodePeers | undefined;
  /** Undefined where there are no other nodes. */
  #copying: LogCopying | undefined;
  #storage: NodeStorage | undefined;
  #cluster: Cluster | undefined;
  readonly #leaderships = new Leaderships();
  readonly #watch: LeadershipWatch;
  #steering: PartitionSteering | undefined;
  #moves: ReplicaMoves | undefined;
  #groups: NodeGroups | undefined;
  #recovery: NodeRecovery | undefined;
  #fetchSessions: FetchSessions | undefined;
  #listener: KafkaListener | undefined;
  #http: HttpServer | undefined;
  /** Counts answered requests, once there is an HTTP interface that shows them. */
  #observe: (api: string, tookMs: number) => void = () => {};
  #ready = false;
  #closing: Promise<void> | undefined;
  readonly whenFailed: Promise<StartError>;
  #tellFailed: (error: StartError) => void = () => {};

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#platform = nodePlatform(options);
    this.#watch = new LeadershipWatch(this.#platform.clock);
    this.#logger = options.logger ?? silentLogger;
    const { config, directories } = directoriesFrom(options, brokerConfigFrom(options.settings ?? {}));
    this.#config = config;
    this.#directories = directories;
    this.whenFailed = new Promise((resolve) => {
      this.#tellFailed = resolve;
    });
    const { queuedMaxRequestBytes } = this.#config;
    this.#memory = new RequestMemory(queuedMaxRequestBytes > 0 ? queuedMaxRequestBytes : requestMemoryBytes);
  }

  get host(): string {
    return this.#listener!.address.host;
  }

  get port(): number {
    return this.#listener!.address.port;
  }

  get httpPort(): number | undefined {
    return this.#http?.address.port;
  }

  get clusterId(): string {
    return this.#identity.clusterId;
  }

  get nodeId(): number {
    return this.#options.nodeId ?? 1;
  }

  get #identity(): DirectoryIdentity {
    return this.#storage!.identity;
  }

  async start(): Promise<void> {
    const peers = await this.#openStorage();
    const storage = this.#storage!;
    peers.network?.deliverTo(storage.consensus);
    const metadata = await storage.openMetadata(peers.formed.voters);
    if (metadata.failed || metadata.damaged) {
      throw unusableMetadata(metadata, storage.firstDirectory, peers.network !== undefined);
    }
    const recovery = await NodeRecovery.asked(storage, this.#platform, this.#logger);
    this.#recovery = recovery;
    await recovery?.force([metadata]);
    const cluster = this.#openCluster(metadata, peers);
    await askingMeanwhile(cluster.start(), peers, this.#platform.clock);
    const steering = this.#steer(storage, cluster, peers);
    const services = this.#services(storage, cluster);
    storage.partitions.onLeadership((replica) => {
      this.#watch.changed(replica);
      steering.replicaChanged(replica);
      this.#groups!.follow(replica);
    });
    await openReplicas(storage, cluster, this.#moves!);
    await recovery?.force(storage.partitions.all());
    void recovery?.finish(metadata, storage.partitions);
    this.#listener = await this.#listen(services);
    const client = { name: clientListenerName, securityProtocol: 0 };
    const registered = cluster.register({
      nodeId: this.nodeId,
      incarnationId: this.#platform.ids.uuid(),
      endpoints: [{ ...client, ...services.advertisedAddress(this.#listener.address) }, ...peers.endpoints],
      rack: this.#options.rack ?? null,
      host: peers.machine,
      logDirectories: storage.onlineDirectoryIds(),
    });
    await askingMeanwhile(registered, peers, this.#platform.clock);
    storage.startMaintenance();
    this.#listener.serve();
    this.#ready = true;
    // It may have failed since it was looked at.
    if (!storage.firstDirectory.isOnline) void this.#directoryFailed();
    await this.#openHttp();
  }

  close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** From the outside in: what it leads goes to others, no more requests, then those who wait, then the logs, then the lock. */
  async #stop(): Promise<void> {
    const wasReady = this.#ready;
    this.#ready = false;
    this.#recovery?.end();
    if (wasReady) {
      await this.#cluster?.prepareStop();
      await this.#storage?.handOver();
    }
    const drained = this.#listener?.close(drainTimeoutMs);
    // Members that wait for others to join would hold up the drain until its end.
    this.#groups?.close();
    await drained;
    this.#steering?.close();
    await this.#cluster?.close();
    this.#copying?.close();
    await this.#moves?.close();
    await this.#storage?.close();
    await this.#peers?.network?.close();
    await this.#http?.close();
  }

  /** The first data directory has failed, and with it the metadata log: nothing more can be decided or kept. */
  async #directoryFailed(): Promise<void> {
    const { path, offlineReason } = this.#storage!.firstDirectory;
    const message = `the data directory ${path}, which holds the metadata log, has failed: ${offlineReason}`;
    await this.#giveUp(new StartError('directory-not-usable', message));
  }

  async #giveUp(error: StartError): Promise<void> {
    // A start that is under way meets the failure itself.
    if (!this.#ready) return;
    this.#logger.error(
      error.cause === undefined ? {} : { err: error.cause },
      `this node stops: ${error.message}`,
    );
    await this.close();
    this.#tellFailed(error);
  }

  async #openStorage(): Promise<NodePeers> {
    const { host = '127.0.0.1', storage } = this.#options;
    const { nodeId } = this;
    const platform = this.#platform;
    let peers: NodePeers | undefined;
    const directories = await openDataDirectories({
      platform,
      nodeId,
      paths: this.#directories,
      lock: storage !== 'memory',
      findCluster: async (claimed, path) => {
        const usesLeases = this.#config.kappalogLeaderLeaseEnable;
        const meeting = { ...this.#options, platform, logger: this.#logger, nodeId, host, usesLeases };
        const isStopping = (): boolean => this.#closing !== undefined;
        peers = await meetCluster({ ...meeting, isStopping }, claimed, path);
        this.#peers = peers;
        return peers.formed.clusterId;
      },
    });
    const { incarnation, network } = peers!;
    this.#copying = openCopying({
      nodeId,
      platform,
      config: this.#config,
      network,
      leaderships: this.#leaderships,
      cluster: () => this.#cluster!,
    });
    this.#storage = new NodeStorage({
      nodeId,
      platform,
      logger: this.#logger,
      directories,
      incarnation,
      raftSettings: raftSettingsFrom(this.#config),
      transport: network ?? { send: (_, __, release) => release() },
      copying: this.#copying,
      acceptsLostMemory: this.#options.acceptLostMemory ?? false,
      lagMsMax: () => this.#config.replicaLagTimeMaxMs,
      serviceEpoch: (id) => this.#cluster!.serviceEpoch(id),
      topicConfig: (topic) => this.#cluster!.topicConfig(topic),
      producerExpirationMs: () => this.#config.producerIdExpirationMs,
      maintenance: this.#config,
    });
    this.#storage.firstDirectory.onOffline(() => void this.#directoryFailed());
    return peers!;
  }

  #openCluster(metadata: Replica, peers: NodePeers): Cluster {
    const { network } = peers;
    const { clock, ids } = this.#platform;
    const storage = this.#storage!;
    this.#moves = openMoves({
      nodeId: this.nodeId,
      platform: this.#platform,
      logger: this.#logger,
      storage,
      cluster: () => cluster,
      transfers: () => this.#steering!.transfers,
    });
    const cluster = new Cluster({
      nodeId: this.nodeId,
      log: new ReplicaMetadataLog(metadata, clock, metadataSnapshots(metadata, this.#logger)),
      group: metadata,
      clock,
      ids,
      config: this.#config,
      ...(network === undefined ? {} : { peers: network }),
      directories: () => storage.directoryReports(),
      silentMs: (nodeId) => storage.consensus.silentMs(nodeId),
      whenLed: (topic, timeoutMs) => {
        const patience = { clock, timeoutMs };
        return this.#leaderships.whenLed(topic, patience, (said) => isStanding(said, cluster.image.brokers));
      },
      onAddress: (node) => network?.setAddress(node.nodeId, node),
      replicas: replicaHost({
        storage,
        moves: this.#moves,
        cluster: () => cluster,
        beforeRemoval: (topic) => {
          if (topic === groupsTopic) this.#groups!.service.close();
        },
      }),
      onReplicaFailure: (topic, error) => {
        this.#logger.error({ err: error, topic }, 'the replicas of a topic could not be opened or removed');
      },
      onWarning: (message) => this.#logger.warn({}, message),
      onFailure: (error) => {
        const cause = error instanceof Error ? error.message : String(error);
        void this.#giveUp(new StartError('damaged', `the metadata log cannot be followed: ${cause}`));
      },
      onExpelled: (reason) => void this.#giveUp(expulsions[reason]()),
    });
    this.#cluster = cluster;
    cluster.onChange(({ kind }) => {
      if (kind !== 'broker-changed') return;
      peers.nodesChanged(cluster.addresses);
      for (const replica of storage.partitions.all()) replica.reviewInSync();
    });
    if (network === undefined) return cluster;
    for (const [kind, service] of cluster.services) network.serve(kind, service);
    network.serve(joinKind, joinService({ cluster, metadata, clusterId: this.clusterId }));
    return cluster;
  }

  #steer({ partitions }: NodeStorage, cluster: Cluster, { network }: NodePeers): PartitionSteering {
    const steering = new PartitionSteering({
      nodeId: this.nodeId,
      clock: this.#platform.clock,
      cluster,
      leaderships: this.#leaderships,
      config: this.#config,
      replica: (topic, partition) => partitions.replica(topic, partition),
      peers: network,
      onFailure: (error) => {
        this.#logger.error({ err: error }, 'a change of the replicas of partitions could not be carried on');
      },
    });
    for (const [kind, service] of steering.services) network?.serve(kind, service);
    this.#steering = steering;
    return steering;
  }

  #services(storage: NodeStorage, cluster: Cluster): NodeServices {
    const { clock, random } = this.#platform;
    const config = this.#config;
    const advertised = splitAdvertised(this.#options.advertisedHost);
    this.#fetchSessions = new FetchSessions({
      clock,
      random: random.fork('fetch sessions'),
      slots: () => config.maxIncrementalFetchSessionCacheSlots,
    });
    const { partitions } = storage;
    const leaderships = this.#leaderships;
    const { network } = this.#peers!;
    const { nodeId } = this;
    const platform = this.#platform;
    const parts = { cluster, leaderships, partitions, network };
    this.#groups = openGroups({ nodeId, platform, config, logger: this.#logger, ...parts });
    return {
      nodeId: this.nodeId,
      clusterId: this.clusterId,
      clock,
      random,
      config,
      cluster,
      partitions,
      moves: this.#moves!,
      leaderships,
      transfers: this.#steering!.transfers,
      groups: this.#groups.service,
      fetchSessions: this.#fetchSessions,
      handlers,
      advertisedAddress: (local: Address) => ({
        host: advertised?.host ?? local.host,
        port: advertised?.port ?? local.port,
      }),
    };
  }

  #listen(services: NodeServices): Promise<KafkaListener> {
    const { host = '127.0.0.1', port = 9092 } = this.#options;
    return openKafkaListener({
      address: { host, port },
      platform: this.#platform,
      config: this.#config,
      memory: this.#memory,
      logger: this.#logger,
      services,
      observe: (api, tookMs) => this.#observe(api, tookMs),
    });
  }

  async #openHttp(): Promise<void> {
    const { host = '127.0.0.1', httpPort = false } = this.#options;
    if (httpPort === false) return;
    const readiness = new NodeReadiness({
      nodeId: this.nodeId,
      clock: this.#platform.clock,
      cluster: this.#cluster!,
      leaderships: this.#leaderships,
      partitions: this.#storage!.partitions,
    });
    const { http, observe } = await openHttpListener({
      address: { host, port: httpPort },
      health: {
        readiness: () => readiness.now(this.#ready),
        offline: () => this.#storage!.state(),
        groups: this.#groups!.view,
      },
      gauges: {
        connections: () => this.#listener!.connectionCount,
        requestBytesHeld: () => this.#memory.usedBytes,
        fetchSessions: () => this.#fetchSessions!.count,
        groups: { view: this.#groups!.view, seriesMax: () => this.#config.kappalogGroupLagMetrics },
        storage: () => this.#storage!.figures(),
        cluster: () =>
          readClusterFigures({
            yielding: this.#platform.yielding,
            cluster: this.#cluster!,
            storage: this.#storage!,
            leaderships: this.#leaderships,
            groups: this.#groups!.service,
            watch: this.#watch,
            network: this.#peers!.network,
            copying: this.#copying,
          }),
      },
    });
    this.#http = http;
    this.#observe = observe;
  }
}
