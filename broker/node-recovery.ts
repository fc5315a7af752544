/**
 * The way out when a majority of the nodes is lost for good (docs/operations.md, "A majority is lost for good"): the operator writes into
 * each node that is left which ones those are, and their next start gives all groups the voters that are left. Said loudly, as it
 * can lose what was acknowledged.
 */
import type { Disk } from '../platform/disk.ts';
import type { Platform } from '../platform/platform.ts';
import { lockDirectory } from '../platform/real/directory-lock.ts';
import { RealDisk } from '../platform/real/real-disk.ts';
import { readIdentity } from './data-directory.ts';
import { readSurvivors, removeSurvivors, writeSurvivors } from './formation/formation-files.ts';
import { DamagedFile } from './formation/sealed-json.ts';
import type { Logger } from './logger.ts';
import { MajorityRecovery, SurvivorFound } from './partition/majority-recovery.ts';
import type { Partitions } from './partition/partitions.ts';
import type { Replica } from './partition/replica.ts';
import type { NodeStorage } from './node-storage.ts';
import { StartError } from './start-error.ts';

/**
 * Has the node of this data directory, which must not be running, go on with these nodes at its next start. Resolves with the
 * node's id. Rejects with a StartError, a DirectoryLocked or a DiskError.
 */
export async function keepSurvivors(directory: string, survivors: readonly number[]): Promise<number> {
  const disk = new RealDisk();
  const unlock = lockDirectory(directory);
  try {
    return await sayWhoSurvived(disk, directory, survivors);
  } finally {
    unlock();
  }
}

/** As `keepSurvivors`, for one who has the directory to itself. */
export async function sayWhoSurvived(
  disk: Disk,
  directory: string,
  survivors: readonly number[],
): Promise<number> {
  const { nodeId } = await readIdentity(disk, directory);
  if (!survivors.includes(nodeId)) {
    throw new StartError(
      'cluster',
      `${directory} is that of node ${nodeId}, which is not among the survivors`,
    );
  }
  await writeSurvivors(disk, directory, survivors);
  return nodeId;
}

export class NodeRecovery {
  readonly #disk: Disk;
  readonly #logger: Logger;
  readonly #directory: string;
  readonly #recovery: MajorityRecovery;
  /** Left as they are: nothing is to be waited for. */
  readonly #impossible = new Set<Replica>();

  private constructor(
    { consensus, firstDirectory }: NodeStorage,
    { clock, disk }: Platform,
    logger: Logger,
    survivors: readonly number[],
  ) {
    this.#disk = disk;
    this.#logger = logger;
    this.#directory = firstDirectory.path;
    logger.error(
      { survivors },
      `all groups go on with the nodes ${survivors.join(', ')} alone, as was asked for`,
    );
    this.#recovery = new MajorityRecovery({
      clock,
      survivors: new Set(survivors),
      silentMs: (nodeId) => consensus.silentMs(nodeId),
      onForced: ({ topic, partition }, lost) => {
        logger.error(
          { lost },
          `${topic}-${partition} goes on without its voters on the nodes ${lost.join(', ')}: what only they had is lost`,
        );
      },
      onImpossible: (replica, reason) => {
        this.#impossible.add(replica);
        logger.error({}, `${replica.topic}-${replica.partition} cannot go on without a majority: ${reason}`);
      },
    });
  }

  /** Undefined where nobody has asked for it, as always but then. Rejects with a StartError or a DiskError. */
  static async asked(
    storage: NodeStorage,
    platform: Platform,
    logger: Logger,
  ): Promise<NodeRecovery | undefined> {
    const survivors = await readSurvivors(platform.disk, storage.firstDirectory.path).catch(
      (error: unknown) => {
        if (error instanceof DamagedFile) throw new StartError('damaged', error.message, { cause: error });
        throw error;
      },
    );
    return survivors && new NodeRecovery(storage, platform, logger, survivors);
  }

  /** Rejects with a StartError where a node that is said to be lost answers. */
  async force(replicas: Iterable<Replica>): Promise<void> {
    try {
      await this.#recovery.force(replicas);
    } catch (error) {
      if (!(error instanceof SurvivorFound)) throw error;
      const message =
        `${error.message}: nothing was done; end it for good, or name it among the survivors ` +
        '(kappalog cluster recover) and start all of them again';
      throw new StartError('cluster', message, { cause: error });
    }
  }

  /** When all have found together, the next start is one like any other. Never rejects. */
  async finish(metadata: Replica, partitions: Partitions): Promise<void> {
    const directory = this.#directory;
    const logger = this.#logger;
    const concerned = function* (impossible: ReadonlySet<Replica>): Generator<Replica> {
      for (const replica of [metadata, ...partitions.all()]) if (!impossible.has(replica)) yield replica;
    };
    if (!(await this.#recovery.settled(() => concerned(this.#impossible)))) return;
    try {
      await removeSurvivors(this.#disk, directory);
      logger.warn(
        {},
        'all groups have a majority among the nodes that are left; lost ones must not come back as they were',
      );
    } catch (error) {
      logger.error(
        { err: error },
        `${directory}/survivors could not be removed: do so before the next start`,
      );
    }
  }

  end(): void {
    this.#recovery.end();
  }
}
