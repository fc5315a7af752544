/**
 * A node's data directory with all that is shared by its logs: the lock, the identity, votes, floors, syncs, the caches,
 * and the replicas themselves.
 */
import { dirname } from 'node:path';
import type { Platform } from '../platform/platform.ts';
import { errnoOf } from '../platform/real/errno.ts';
import { DirectoryLocked, lockDirectory } from '../platform/real/directory-lock.ts';
import { clusterMetadataTopic } from './cluster/topic-names.ts';
import { openDataDirectory } from './data-directory.ts';
import type { DirectoryIdentity } from './data-directory.ts';
import { DurableFloors } from './log/durable-floors.ts';
import type { LogConfig } from './log/log-types.ts';
import { ReadPool } from './log/read-pool.ts';
import { Syncer } from './log/syncer.ts';
import { TailCache } from './log/tail-cache.ts';
import type { Logger } from './logger.ts';
import { directoryError } from './node-start.ts';
import { Partitions } from './partition/partitions.ts';
import type { PartitionEvents, PartitionsOptions } from './partition/partitions.ts';
import type { Replica } from './partition/replica.ts';
import { DamagedVotes, VoteStore } from './partition/vote-store.ts';
import { StartError } from './start-error.ts';

export interface NodeStorageOptions {
  readonly nodeId: number;
  readonly platform: Platform;
  readonly logger: Logger;
  readonly directory: string | undefined;
  readonly inMemory: boolean;
  readonly topicConfig: (topic: string) => LogConfig;
  readonly producerExpirationMs: () => number;
}

/** What the metrics show of it. */
export interface StorageFigures {
  readonly partitions: number;
  readonly partitionsFailed: number;
  readonly logBytes: number;
  readonly logSegments: number;
  readonly logQueuedBytes: number;
  readonly producers: number;
  readonly tailCacheBytes: number;
  readonly readPoolBytes: number;
  readonly syncs: number;
}

const tailCacheBytes = 128 * 1024 * 1024;
const readPoolBytes = 64 * 1024 * 1024;
const openFilesMax = 256;
/** Kafka's own: the UUID 0-0-0-0-1. */
const metadataTopicId = 'AAAAAAAAAAAAAAAAAAAAAQ';
/** Concurrent syncs: they leave threads of libuv's pool, whose size is four unless the environment says otherwise, to reads. */
const syncsMax = 8;
const threadsLeftToReads = 1;

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

/** Rejects with a StartError where the directory cannot be this node's. */
export async function openNodeStorage(options: NodeStorageOptions): Promise<NodeStorage> {
  const { platform, nodeId, inMemory } = options;
  const directory = options.directory ?? (inMemory ? '/kappalog' : undefined);
  if (directory === undefined) {
    throw new StartError(
      'directory-not-usable',
      'no data directory is given; set one, or choose storage "memory"',
    );
  }
  let unlock: () => void = () => {};
  try {
    await platform.disk.makeDirectory(directory);
    await platform.disk.syncDirectory(dirname(directory));
    if (!inMemory) unlock = takeLock(directory);
    const identity = await openDataDirectory(platform.disk, directory, { nodeId, ids: platform.ids });
    return await NodeStorage.open({ ...options, directory }, identity, unlock);
  } catch (error) {
    unlock();
    if (error instanceof DamagedVotes) throw new StartError('damaged', error.message, { cause: error });
    throw directoryError(directory, error);
  }
}

export class NodeStorage {
  readonly directory: string;
  readonly identity: DirectoryIdentity;
  readonly partitions: Partitions;
  /** The metadata log is a replica like any other, but of no topic that clients can name. */
  readonly #metadata: Partitions;
  readonly #votes: VoteStore;
  readonly #floors: DurableFloors;
  readonly #tailCache: TailCache;
  readonly #readPool: ReadPool;
  readonly #syncer: Syncer;
  readonly #logger: Logger;
  readonly #unlock: () => void;

  private constructor(parts: {
    directory: string;
    identity: DirectoryIdentity;
    shared: Omit<PartitionsOptions, 'logConfig'>;
    topicConfig: (topic: string) => LogConfig;
    floors: DurableFloors;
    logger: Logger;
    unlock: () => void;
  }) {
    this.directory = parts.directory;
    this.identity = parts.identity;
    this.#votes = parts.shared.votes;
    this.#floors = parts.floors;
    this.#tailCache = parts.shared.tailCache;
    this.#readPool = parts.shared.readPool;
    this.#syncer = parts.shared.syncer;
    this.#logger = parts.logger;
    this.#unlock = parts.unlock;
    this.#metadata = new Partitions({ ...parts.shared, logConfig: () => metadataLogConfig });
    this.partitions = new Partitions({ ...parts.shared, logConfig: parts.topicConfig });
  }

  static async open(
    options: NodeStorageOptions & { readonly directory: string },
    identity: DirectoryIdentity,
    unlock: () => void,
  ): Promise<NodeStorage> {
    const { platform, directory, nodeId, logger } = options;
    const { disk, clock, ids } = platform;
    const syncer = new Syncer({ concurrencyMax: concurrentSyncs() });
    const floors = await DurableFloors.open({
      disk,
      clock,
      directory,
      syncer,
      onFailure: (error) => logger.error({ err: error }, 'durable floors can no longer be written'),
    });
    const shared = {
      nodeId,
      dataDirectory: directory,
      clock,
      disk,
      ids,
      syncer,
      floors,
      tailCache: new TailCache({ maxBytes: tailCacheBytes }),
      readPool: new ReadPool({ disk, maxBytes: readPoolBytes, openFilesMax }),
      votes: await VoteStore.open(disk, directory),
      producerExpirationMs: options.producerExpirationMs,
      events: partitionEvents(logger),
    };
    const { topicConfig } = options;
    return new NodeStorage({ directory, identity, shared, topicConfig, floors, logger, unlock });
  }

  async openMetadata(): Promise<Replica> {
    await this.#metadata.open([{ topic: clusterMetadataTopic, topicId: metadataTopicId, partition: 0 }]);
    return this.#metadata.replica(clusterMetadataTopic, 0)!;
  }

  /** Call once all replicas that the cluster knows are open. */
  setAsideStrays(): Promise<void> {
    return this.partitions.setAsideStrays(new Set([`${clusterMetadataTopic}-0`]));
  }

  figures(): StorageFigures {
    const figures = { partitionsFailed: 0, logBytes: 0, logSegments: 0, logQueuedBytes: 0, producers: 0 };
    for (const replica of this.partitions.all()) {
      if (replica.failed || replica.damaged) figures.partitionsFailed++;
      figures.logBytes += replica.sizeBytes;
      figures.logSegments += replica.segmentCount;
      figures.logQueuedBytes += replica.queuedBytes;
      figures.producers += replica.producerCount;
    }
    return {
      ...figures,
      partitions: this.partitions.count,
      tailCacheBytes: this.#tailCache.sizeBytes,
      readPoolBytes: this.#readPool.sizeBytes,
      syncs: this.#syncer.syncCount,
    };
  }

  /** Ends everything, whatever the disk still takes: what it refuses is logged, and recovered by the next start. */
  async close(): Promise<void> {
    const parts = [this.partitions, this.#metadata, this.#floors, this.#votes, this.#readPool.files];
    for (const part of parts) {
      await part.close().catch((error: unknown) => {
        this.#logger.error({ err: error }, 'a part of the data directory could not be closed cleanly');
      });
    }
    this.#unlock();
  }
}

function concurrentSyncs(): number {
  const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4);
  return Math.max(1, Math.min(syncsMax, (Number.isInteger(threads) ? threads : 4) - threadsLeftToReads));
}

function takeLock(directory: string): () => void {
  try {
    return lockDirectory(directory);
  } catch (error) {
    if (error instanceof DirectoryLocked)
      throw new StartError('directory-locked', error.message, { cause: error });
    const code = errnoOf(error);
    const reason = code === 'EACCES' || code === 'EPERM' ? 'this user may not write there' : String(error);
    throw new StartError(
      'directory-not-usable',
      `the data directory ${directory} cannot be used: ${reason}`,
      {
        cause: error,
      },
    );
  }
}

function partitionEvents(logger: Logger): PartitionEvents {
  const nameOf = (replica: Replica): string => `${replica.topic}-${replica.partition}`;
  return {
    failed: (replica, failure) => {
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
    closeFailed: (replica, error) => {
      logger.error({ err: error }, `the log of ${nameOf(replica)} could not be closed cleanly`);
    },
    snapshotFailed: (replica, error) => {
      logger.warn({ err: error }, `a producer snapshot of ${nameOf(replica)} could not be written`);
    },
    damaged: (replica) => {
      logger.error(
        { damage: replica.recovery.damage },
        `the log of ${nameOf(replica)} is damaged and takes no writes`,
      );
    },
    setAside: (directory, renamedTo, reason) => {
      logger.warn({ directory, renamedTo }, `the directory ${directory} was set aside: ${reason}`);
    },
  };
}
