/** How a node opens its replicas, does to them what the metadata asks for, and moves them between its data directories. */
import type { Platform } from '../platform/platform.ts';
import type { Cluster } from './cluster/cluster.ts';
import { MetadataSnapshots } from './cluster/metadata/metadata-snapshots.ts';
import type { LeadershipTransfers } from './cluster/partitions/leadership-transfers.ts';
import type { ReplicaHost } from './cluster/partitions/replica-work.ts';
import { throttleRate } from './cluster/partitions/replication-throttles.ts';
import { wantedReplicas } from './cluster/partitions/wanted-replicas.ts';
import type { Logger } from './logger.ts';
import { directoryError } from './node-start.ts';
import type { NodeStorage } from './node-storage.ts';
import { MoveCalledOff } from './partition/moves/future-copy.ts';
import { MovePace } from './partition/moves/move-pace.ts';
import { ReplicaMoves } from './partition/moves/replica-moves.ts';
import type { Replica } from './partition/replica.ts';
import { StartError } from './start-error.ts';

export function metadataSnapshots(metadata: Replica, logger: Logger): MetadataSnapshots {
  return new MetadataSnapshots({
    store: metadata.snapshots!,
    take: (endOffset, records) => metadata.takeSnapshot(endOffset, records),
    onFailure: (error) => {
      logger.warn({ err: error }, 'a snapshot of the metadata could not be written, or not be read');
    },
  });
}

export interface NodeMovesOptions {
  readonly nodeId: number;
  readonly platform: Platform;
  readonly logger: Logger;
  readonly storage: NodeStorage;
  /** Asked once something is to be moved. */
  readonly cluster: () => Cluster;
  readonly transfers: () => LeadershipTransfers;
}

const rateSetting = 'replica.alter.log.dirs.io.max.bytes.per.second';
/** A replica that led before it was moved gets its leadership back when it has caught up: asked for so often, so far apart. */
const regainingMax = 20;
const regainingMs = 500;

export function openMoves(options: NodeMovesOptions): ReplicaMoves {
  const { nodeId, platform, logger, storage, cluster } = options;
  const { disk, clock, random } = platform;
  return new ReplicaMoves({
    disk,
    clock,
    random: random.fork('moves'),
    partitions: storage.partitions,
    pace: new MovePace({
      clock,
      bytesPerSecondMax: () => throttleRate(cluster().image, rateSetting, nodeId),
    }),
    wanted: ({ identity: { topicId, partition } }) => {
      const topic = cluster().image.topicById(topicId);
      return topic && wantedReplicas(topic, nodeId).find((each) => each.partition === partition);
    },
    release: (replica) => storage.release(replica),
    onMoved: (replica, hasLed) => {
      if (hasLed) void regain(options, replica);
    },
    onFailure: ({ topic, partition }, { path }, error) => {
      const reason = error instanceof Error ? error.message : String(error);
      const line = `${topic}-${partition} could not be moved to the data directory ${path}: ${reason}`;
      if (error instanceof MoveCalledOff) logger.warn({}, line);
      else logger.error({ err: error }, line);
    },
  });
}

async function regain({ nodeId, platform, transfers }: NodeMovesOptions, replica: Replica): Promise<void> {
  const { topicId, partition } = replica.identity;
  for (let left = regainingMax; left > 0 && !replica.isLeader && !replica.closed; left--) {
    const [outcome] = await transfers().transfer([{ topicId, partition, to: nodeId }]);
    if (outcome === 'transferred' || outcome === 'already-leads') return;
    await new Promise<void>((resolve) => {
      platform.clock.after(regainingMs, resolve);
    });
  }
}

/** Rejects with a StartError where the disk or the limit of open files does not allow it. */
export async function openReplicas(
  storage: NodeStorage,
  cluster: Cluster,
  moves: ReplicaMoves,
): Promise<void> {
  try {
    await cluster.assignDirectories(await storage.replacements(cluster.replicasHere()));
    // What the metadata changes meanwhile is carried out afterwards: directories that it makes are not strays.
    await cluster.openReplicas(async (wanted) => {
      await storage.partitions.openExisting(wanted);
      await storage.setAsideStrays((replica) => cluster.isGone(replica));
    });
    await cluster.assignDirectories(storage.partitions.misplaced(cluster.replicasHere()));
    await moves.resume();
  } catch (error) {
    throw directoryError(storage.firstDirectory.path, error);
  }
  const { isOnline, path, offlineReason } = storage.firstDirectory;
  if (isOnline) return;
  throw new StartError('directory-not-usable', `the data directory ${path} cannot be used: ${offlineReason}`);
}

export interface ReplicaHostOptions {
  readonly storage: NodeStorage;
  readonly moves: ReplicaMoves;
  readonly cluster: () => Cluster;
  /** The topic is to go. */
  readonly beforeRemoval: (topic: string) => void;
}

/** What the metadata asks of this node's replicas is done to none that is just being moved. */
export function replicaHost({ storage, moves, cluster, beforeRemoval }: ReplicaHostOptions): ReplicaHost {
  const { partitions } = storage;
  return {
    open: async (replicas) => {
      await partitions.open(replicas);
      await cluster().assignDirectories(partitions.misplaced(replicas));
      moves.opened(replicas);
    },
    remove: async (topic) => {
      beforeRemoval(topic);
      await moves.callOff(topic);
      await partitions.remove(topic);
    },
    removeReplica: async (replica) => {
      await moves.callOff(replica.topic, replica.partition);
      await partitions.removeReplica(replica);
    },
  };
}
