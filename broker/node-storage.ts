/**
 * What a node keeps: its data directories, the caches that all logs share, and the replicas themselves.
 */
import { DiskError } from '../platform/disk.ts';
import type { Disk } from '../platform/disk.ts';
import type { Platform } from '../platform/platform.ts';
import type { Yield } from '../platform/yield.ts';
import type { DirectoryReport } from './cluster/nodes/node-reports.ts';
import { clusterMetadataTopic } from './cluster/topic-names.ts';
import type { DataDirectories } from './data-directories.ts';
import type { DirectoryIdentity } from './data-directory.ts';
import type { LogConfig } from './log/log-types.ts';
import { ReadPool } from './log/reading/read-pool.ts';
import { TailCache } from './log/reading/tail-cache.ts';
import type { StorageState } from './http/http-server.ts';
import type { Logger } from './logger.ts';
import type { LogCopying } from './partition/consensus/catch-up/log-copying.ts';
import { ConsensusNode } from './partition/consensus/consensus-node.ts';
import { LogMaintenance } from './partition/log-maintenance.ts';
import type {
  MaintenanceEvents,
  MaintenanceFigures,
  MaintenanceSettings,
} from './partition/log-maintenance.ts';
import { Partitions } from './partition/partitions.ts';
import type { DirectoryAssignment, PartitionEvents, PartitionsOptions } from './partition/partitions.ts';
import { replacementsOf } from './partition/replaced-directories.ts';
import type { LogDirectory } from './partition/log-directory.ts';
import type { AfterLostMemory } from './partition/replica-types.ts';
import type { IsGone, WantedReplica } from './partition/replica-places.ts';
import type { MemberId } from './raft/member.ts';
import { raftTickMs } from './partition/raft-settings.ts';
import { ReplicaVotes } from './partition/replica-votes.ts';
import type { Transport } from './peers/transport.ts';
import type { RaftSettings } from './raft/raft.ts';
import type { Replica } from './partition/replica.ts';

export interface NodeStorageOptions {
  readonly nodeId: number;
  readonly platform: Platform;
  readonly logger: Logger;
  /** The storage's from now on: it closes them. */
  readonly directories: DataDirectories;
  /** Larger than at any earlier start of this node. */
  readonly incarnation: number;
  readonly transport: Transport;
  /** Of all groups of the node. */
  readonly raftSettings: RaftSettings;
  /** Undefined where there are no other nodes. */
  readonly copying: LogCopying | undefined;
  /** An operator answers for what losses of memory took (docs/operations.md). */
  readonly acceptsLostMemory: boolean;
  readonly topicConfig: (topic: string) => LogConfig & { readonly minInsyncReplicas: number };
  /** `replica.lag.time.max.ms`. Live. */
  readonly lagMsMax: () => number;
  /** Of the start of the node that the metadata counts on; undefined: on none. Live. */
  readonly serviceEpoch: (nodeId: number) => number | undefined;
  readonly producerExpirationMs: () => number;
  /** Live. */
  readonly maintenance: MaintenanceSettings;
}

/** What the metrics show of it. */
export interface StorageFigures {
  readonly partitions: number;
  readonly partitionsFailed: number;
  readonly partitionsDamaged: number;
  readonly partitionsOffline: number;
  readonly partitionsMemoryLost: number;
  /** Times since the start. */
  readonly dataLosses: number;
  readonly directories: number;
  readonly directoriesOffline: number;
  readonly logBytes: number;
  readonly logSegments: number;
  readonly logQueuedBytes: number;
  readonly producers: number;
  readonly tailCacheBytes: number;
  readonly readPoolBytes: number;
  readonly syncs: number;
  readonly maintenance: MaintenanceFigures;
}

/** Names of partitions in an answer about health. */
const namesShownMax = 100;
const tailCacheBytes = 128 * 1024 * 1024;
const readPoolBytes = 64 * 1024 * 1024;
const openFilesMax = 256;
/** Replicas that are counted at one time. */
const figuresSlice = 500;
/** What handing over leaderships may take when the node stops. */
const handOverMs = 10_000;
/** Kafka's own: the UUID 0-0-0-0-1. */
const metadataTopicId = 'AAAAAAAAAAAAAAAAAAAAAQ';
/** Directories of logs that belong to no partition of a topic. */
const reserved = [`${clusterMetadataTopic}-0`];

/** Kafka's own log directory for metadata has these settings too: small and rarely rolled. */
const metadataLogConfig: LogConfig = {
  segmentBytes: 64 * 1024 * 1024,
  segmentMs: Number.MAX_SAFE_INTEGER,
  segmentIndexBytes: 10 * 1024 * 1024,
  indexIntervalBytes: 4096,
  segmentJitterMs: 0,
  deletes: false,
  compacts: false,
  retentionMs: -1,
  retentionBytes: -1,
  fileDeleteDelayMs: 60_000,
  deleteRetentionMs: 24 * 3600 * 1000,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  minCleanableDirtyRatio: 0.5,
  preallocate: false,
  flushMessages: Number.MAX_SAFE_INTEGER,
  flushMs: Number.MAX_SAFE_INTEGER,
  writeCaching: false,
  maxMessageBytes: 8 * 1024 * 1024,
};

export class NodeStorage {
  readonly identity: DirectoryIdentity;
  readonly partitions: Partitions;
  /** All groups of the node, the metadata's among them. */
  readonly consensus: ConsensusNode;
  /** The metadata log is a replica like any other, but of no topic that clients can name. */
  readonly #metadata: Partitions;
  readonly #maintenance: LogMaintenance;
  readonly #directories: DataDirectories;
  readonly #tailCache = new TailCache({ maxBytes: tailCacheBytes });
  readonly #readPool: ReadPool;
  readonly #logger: Logger;
  readonly #disk: Disk;
  readonly #yielding: Yield;
  /** Of acknowledged records, certain or possible, since the start. */
  #dataLosses = 0;

  constructor(options: NodeStorageOptions) {
    const { directories } = options;
    for (const directory of directories.all) {
      if (!directory.isOnline) logOffline(options.logger, directory);
      directory.onOffline(() => logOffline(options.logger, directory));
    }
    const { nodeId, platform, logger, topicConfig, producerExpirationMs, lagMsMax } = options;
    const { clock, disk, ids, random, boot } = platform;
    const votes = new ReplicaVotes();
    this.consensus = new ConsensusNode({
      nodeId,
      incarnation: options.incarnation,
      clock,
      settings: options.raftSettings,
      tickMs: raftTickMs,
      transport: options.transport,
      persist: (group, hardState) => votes.put(group, hardState),
      onPersistFailure: (group, error) => votes.failed(group, error),
    });
    this.identity = directories.identity;
    this.#directories = directories;
    this.#readPool = new ReadPool({ disk, maxBytes: readPoolBytes, openFilesMax });
    this.#logger = logger;
    this.#disk = disk;
    const shared: Omit<
      PartitionsOptions,
      'directories' | 'keepsSnapshots' | 'logConfig' | 'minInSyncReplicas' | 'serviceEpoch'
    > = {
      nodeId,
      clock,
      disk,
      ids,
      tailCache: this.#tailCache,
      readPool: this.#readPool,
      random: random.fork('elections'),
      consensus: this.consensus,
      raftSettings: options.raftSettings,
      votes,
      copying: options.copying,
      producerExpirationMs,
      lagMsMax,
      boot,
      acceptsLostMemory: options.acceptsLostMemory,
      events: partitionEvents(logger, () => this.#dataLosses++),
    };
    this.#metadata = new Partitions({
      ...shared,
      directories: [this.firstDirectory],
      keepsSnapshots: true,
      logConfig: () => metadataLogConfig,
      minInSyncReplicas: () => 1,
      serviceEpoch: () => 0,
    });
    this.partitions = new Partitions({
      ...shared,
      directories: directories.all,
      keepsSnapshots: false,
      logConfig: topicConfig,
      minInSyncReplicas: (topic) => topicConfig(topic).minInsyncReplicas,
      serviceEpoch: options.serviceEpoch,
    });
    const { yielding } = platform;
    this.#yielding = yielding;
    const maintenance = new LogMaintenance({
      partitions: this.partitions,
      disk,
      clock,
      random,
      yielding,
      settings: options.maintenance,
      events: maintenanceEvents(logger, shared.events),
    });
    this.#maintenance = maintenance;
    this.partitions.onRemoval((replica) => maintenance.release(replica));
  }

  /** Holds the metadata log: a node cannot go on without it. */
  get firstDirectory(): LogDirectory {
    return this.#directories.all[0]!;
  }

  /** The replica that `openMetadata` has opened. */
  get metadata(): Replica {
    return this.#metadata.replica(clusterMetadataTopic, 0)!;
  }

  /** The ids of those that can be used. */
  onlineDirectoryIds(): string[] {
    return this.#directories.all.flatMap(({ isOnline, id }) => (isOnline && id !== undefined ? [id] : []));
  }

  /** `voters`: whom its group began with, as far as this node knows; undefined: with this node alone. */
  async openMetadata(voters?: readonly MemberId[]): Promise<Replica> {
    const identity = { topic: clusterMetadataTopic, topicId: metadataTopicId, partition: 0 };
    const intended = voters === undefined ? undefined : { members: voters, revision: 0 };
    await this.#metadata.open([{ ...identity, intended }]);
    return this.metadata;
  }

  /** What the directories that can be used have free, and how many replicas lie in each. */
  async directoryReports(): Promise<DirectoryReport[]> {
    const counts = new Map<LogDirectory, number>();
    for (const { home } of this.partitions.all()) counts.set(home, (counts.get(home) ?? 0) + 1);
    const reports = this.#directories.all.map(async (directory): Promise<DirectoryReport[]> => {
      const { id, isOnline } = directory;
      if (!isOnline || id === undefined) return [];
      const space = await this.partitions.spaceOf(directory);
      const { usableBytes, totalBytes } = space ?? { usableBytes: undefined, totalBytes: undefined };
      return [{ id, usableBytes, totalBytes, replicas: counts.get(directory) ?? 0 }];
    });
    return (await Promise.all(reports)).flat();
  }

  /** Resolves when neither retention nor compaction does anything to a replica that is to be closed. */
  release(replica: Replica): Promise<void> {
    return this.#maintenance.release(replica);
  }

  /** Where those of this node's replicas go whose data directory was replaced; call before any of them is open. */
  async replacements(wanted: readonly WantedReplica[]): Promise<DirectoryAssignment[]> {
    const replacing = { disk: this.#disk, directories: this.#directories.all, reserved };
    const found = await replacementsOf(wanted, replacing).catch((error: unknown) => {
      // What the disk does not give now is met again, and told, where the replicas are opened.
      if (error instanceof DiskError) return [];
      throw error;
    });
    if (found.length > 0) {
      this.#logger.warn(
        {},
        `${found.length} replica(s) lay in data directories that this node has no more, and begin anew in empty ones: ` +
          'they are copied from other nodes',
      );
    }
    return found;
  }

  /** Call once all replicas that the cluster knows are open. */
  setAsideStrays(isGone: IsGone): Promise<void> {
    return this.partitions.setAsideStrays(reserved, isGone);
  }

  /** Retention, compaction and scrubbing begin; call once all replicas that the cluster knows are open. */
  startMaintenance(): void {
    this.#maintenance.start();
  }

  /** Counted in slices, between which others run. */
  async figures(): Promise<StorageFigures> {
    const figures = {
      partitionsFailed: 0,
      partitionsDamaged: 0,
      partitionsMemoryLost: 0,
      logBytes: 0,
      logSegments: 0,
      logQueuedBytes: 0,
      producers: 0,
    };
    let seen = 0;
    for (const replica of this.partitions.all()) {
      if (++seen % figuresSlice === 0) await this.#yielding.turn();
      if (replica.failed) figures.partitionsFailed++;
      else if (replica.hasDamage) figures.partitionsDamaged++;
      if (replica.memory.isLost) figures.partitionsMemoryLost++;
      figures.logBytes += replica.log.sizeBytes;
      figures.logSegments += replica.log.segmentCount;
      figures.logQueuedBytes += replica.log.queuedBytes;
      figures.producers += replica.producerCount;
    }
    const { all } = this.#directories;
    return {
      ...figures,
      partitions: this.partitions.count,
      partitionsOffline: this.partitions.offlineCount,
      dataLosses: this.#dataLosses,
      directories: all.length,
      directoriesOffline: all.filter(({ isOnline }) => !isOnline).length,
      tailCacheBytes: this.#tailCache.sizeBytes,
      readPoolBytes: this.#readPool.sizeBytes,
      maintenance: this.#maintenance.figures(),
      syncs: all.reduce((sum, { syncCount }) => sum + syncCount, 0),
    };
  }

  /** What cannot be used, by name. */
  state(): StorageState {
    const failed: string[] = [];
    const damaged: string[] = [];
    for (const replica of this.partitions.all()) {
      if (replica.failed) failed.push(nameOf(replica.identity));
      else if (replica.hasDamage) damaged.push(nameOf(replica.identity));
    }
    for (const { identity } of this.partitions.offline()) failed.push(nameOf(identity));
    return {
      offlineDirectories: this.#directories.all.flatMap(({ path, offlineReason }) =>
        offlineReason === undefined ? [] : [{ path, reason: offlineReason }],
      ),
      offlinePartitions: failed.slice(0, namesShownMax),
      damagedPartitions: damaged.slice(0, namesShownMax),
    };
  }

  /** The node is to stop: others lead what it led, as far as there are others. */
  async handOver(): Promise<void> {
    await this.partitions.handOver(handOverMs);
    await this.#metadata.handOver(handOverMs);
  }

  /** Ends everything, whatever the disk still takes: what it refuses is logged, and recovered by the next start. */
  async close(): Promise<void> {
    const parts = [
      this.#maintenance,
      this.partitions,
      this.#metadata,
      ...this.#directories.all,
      this.#readPool.files,
    ];
    for (const part of parts) {
      await part.close().catch((error: unknown) => {
        this.#logger.error({ err: error }, 'a part of the data directory could not be closed cleanly');
      });
    }
    this.consensus.stop();
    this.#directories.unlock();
  }
}

function logOffline(logger: Logger, directory: LogDirectory): void {
  const { path, offlineReason } = directory;
  logger.error(
    { directory: path },
    `the data directory ${path} is offline, with all replicas in it, until this node is started again (${offlineReason})`,
  );
}

function maintenanceEvents(logger: Logger, events: PartitionEvents): MaintenanceEvents {
  return {
    failed: (replica, task, error) => events.maintenanceFailed(replica, task, error),
    damageFound: (replica, damage) => {
      const [first] = damage;
      logger.error(
        { damage },
        `the log of ${nameOf(replica)} is damaged on the disk (${first?.file} at byte ${first?.position}: ` +
          `${first?.reason}): repair it from a backup, or delete what is damaged`,
      );
    },
    indexesRemade: (replica, reasons) => {
      logger.warn(
        { reasons },
        `an index of ${nameOf(replica)} was wrong and has been made again (${reasons[0]})`,
      );
    },
    scrubbingFailed: (directory, error) => {
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn({ err: error }, `the logs in ${directory} could not be checked (${reason})`);
    },
  };
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}-${partition}`;
}

/** Under `write.caching`. */
const afterLostMemory = {
  waits: 'it does not lead before its leader has brought back what was acknowledged and not on disk',
  alone: 'what write.caching had acknowledged and not on disk is lost, as there is no other replica',
  accepted: 'it goes on without what was acknowledged and not on disk, as was asked for',
} as const satisfies Record<AfterLostMemory, string>;

function partitionEvents(logger: Logger, onDataLost: () => void): PartitionEvents {
  return {
    failed: (replica, failure) => {
      // Damage has a line of its own, and a directory one for all of its replicas.
      if (failure.kind === 'damage' || failure.kind === 'directory') return;
      const advice = 'it takes no more writes until this node is started again';
      const reason = failure.cause instanceof Error ? failure.cause.message : String(failure.cause);
      logger.error(
        { err: failure.cause, kind: failure.kind },
        `the log of ${nameOf(replica)} has failed: ${advice} (${reason})`,
      );
    },
    readFailed: (replica, error) => {
      logger.error({ err: error }, `the log of ${nameOf(replica)} could not be read`);
    },
    memoryLost: (replica, goesOn) => {
      if (goesOn !== 'waits') onDataLost();
      const line = `${nameOf(replica)} was open when its machine stopped without warning: ${afterLostMemory[goesOn]}`;
      if (goesOn === 'waits') logger.warn({}, line);
      else logger.error({}, line);
    },
    dataLost: (replica, { fromIndex, endIndex }) => {
      onDataLost();
      logger.error(
        { fromIndex, endIndex },
        `${nameOf(replica)} has lost acknowledged records: its machines lost their memory while write.caching ` +
          `acknowledged what was not on disk (entries ${fromIndex} to ${endIndex - 1} of its log)`,
      );
    },
    catchUpFailed: (replica, error) => {
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn({ err: error }, `${nameOf(replica)} could not be brought up to its leader yet (${reason})`);
    },
    closeFailed: (replica, error) => {
      logger.error({ err: error }, `the log of ${nameOf(replica)} could not be closed cleanly`);
    },
    snapshotFailed: (replica, error) => {
      logger.warn({ err: error }, `a producer snapshot of ${nameOf(replica)} could not be written`);
    },
    maintenanceFailed: (replica, task, error) => {
      const reason = error instanceof Error ? error.message : String(error);
      logger.error({ err: error }, `${task} failed in the log of ${nameOf(replica)} (${reason})`);
    },
    offline: ({ identity, reason }) => {
      logger.error({}, `${nameOf(identity)} cannot be used until this node is started again: ${reason}`);
    },
    damaged: (replica) => {
      logger.error(
        { damage: replica.recovery.damage },
        `the log of ${nameOf(replica)} is damaged: it takes no writes, and is read up to the damage`,
      );
    },
    setAside: (directory, renamedTo, reason) => {
      logger.warn({ directory, renamedTo }, `the directory ${directory} was set aside: ${reason}`);
    },
  };
}
