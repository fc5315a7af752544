/**
 * All replicas of this node and their directories: opens, leads, removes and closes them.
 *
 * A replica's directory is `<topic>-<partition>`, with the topic's id in `partition.metadata`; one that holds another
 * topic's id, or no topic that the cluster knows, is set aside under a name that ends in `-stray`, never deleted. Votes of
 * many replicas are made durable by one sync, and their first entries by one round.
 */
import type { Clock, Timer } from '../../platform/clock.ts';
import type { Disk } from '../../platform/disk.ts';
import type { Ids } from '../../platform/ids.ts';
import type { DurableFloors } from '../log/durable-floors.ts';
import type { LogConfig, LogFailure } from '../log/log-types.ts';
import type { ReadPool } from '../log/read-pool.ts';
import type { Syncer } from '../log/syncer.ts';
import type { TailCache } from '../log/tail-cache.ts';
import { readPartitionMetadata, writePartitionMetadata } from './partition-metadata.ts';
import { Replica } from './replica.ts';
import type { ReplicaIdentity } from './replica.ts';
import type { VoteStore } from './vote-store.ts';

export interface PartitionsOptions {
  readonly nodeId: number;
  readonly dataDirectory: string;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly ids: Ids;
  readonly syncer: Syncer;
  readonly tailCache: TailCache;
  readonly readPool: ReadPool;
  readonly votes: VoteStore;
  readonly floors: DurableFloors;
  readonly logConfig: (topic: string) => LogConfig;
  readonly producerExpirationMs: () => number;
  readonly events: PartitionEvents;
}

/** What an operator has to hear of. */
export interface PartitionEvents {
  /** The log takes no more appends until the node is started again. */
  failed(replica: Replica, failure: LogFailure): void;
  /** Batches of the log could not be read from its disk; the reader was told so. */
  readFailed(replica: Replica, error: unknown): void;
  /** The end of the log could not be made durable, or not be noted: the next start recovers it. */
  closeFailed(replica: Replica, error: unknown): void;
  /** A producer snapshot could not be written: the next start replays more. */
  snapshotFailed(replica: Replica, error: unknown): void;
  /** Recovery found bytes below the durable floor that are not as they were written. */
  damaged(replica: Replica): void;
  setAside(directory: string, renamedTo: string, reason: string): void;
}

/** Replicas that are opened at one time: their reads share the thread pool. */
const openingMax = 16;
/** How often expired producers are forgotten: Kafka's producer.id.expiration.check.interval.ms. */
const producerSweepMs = 600_000;
/** Bytes in a file's name on the usual file systems. */
const fileNameMax = 255;

export class Partitions {
  readonly #options: PartitionsOptions;
  readonly #byTopic = new Map<string, (Replica | undefined)[]>();
  #count = 0;
  #sweep: Timer | undefined;

  constructor(options: PartitionsOptions) {
    this.#options = options;
    this.#scheduleSweep();
  }

  get count(): number {
    return this.#count;
  }

  replica(topic: string, partition: number): Replica | undefined {
    return this.#byTopic.get(topic)?.[partition];
  }

  ofTopic(topic: string): Replica[] {
    return (this.#byTopic.get(topic) ?? []).filter((replica) => replica !== undefined);
  }

  *all(): Generator<Replica> {
    for (const replicas of this.#byTopic.values()) {
      for (const replica of replicas) if (replica !== undefined) yield replica;
    }
  }

  /**
   * Opens or creates these replicas and leads them; resolves when each has taken the lead and its term's first entry is
   * committed, or its log has failed. Those that are open already are left as they are. Rejects with a DiskError where one
   * cannot be opened; then none of the others is.
   */
  async open(identities: readonly ReplicaIdentity[]): Promise<void> {
    const missing = identities.filter(({ topic, partition }) => this.replica(topic, partition) === undefined);
    if (missing.length === 0) return;
    const opened: Replica[] = [];
    const healthy = await this.#openAll(missing, opened).catch(async (error: unknown) => {
      // Its own errors would say the same again; the files that they hold open must not stay open.
      await Promise.allSettled(opened.map((replica) => replica.close()));
      throw error;
    });
    for (const replica of healthy) replica.lead();
    for (const replica of opened) this.#register(replica);
    await Promise.all(healthy.map(settled));
  }

  /** Adds to `opened` as it goes; resolves with those that may lead, whose votes are durable. */
  async #openAll(identities: readonly ReplicaIdentity[], opened: Replica[]): Promise<Replica[]> {
    const queue = identities.values();
    let hasFailed = false;
    const workers = Array.from({ length: Math.min(openingMax, identities.length) }, async () => {
      for (const identity of queue) {
        if (hasFailed) return;
        try {
          opened.push(await this.#openOne(identity));
        } catch (error) {
          hasFailed = true;
          throw error;
        }
      }
    });
    // All have to come to an end, so that what they have opened is known.
    for (const outcome of await Promise.allSettled(workers)) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
    await this.#options.disk.syncDirectory(this.#options.dataDirectory);
    const healthy = opened.filter((replica) => !replica.damaged);
    const votes = healthy.map((replica) => ({ group: replica.identity, state: replica.campaign() }));
    if (votes.length > 0) await this.#options.votes.put(votes);
    return healthy;
  }

  /** A reader was told KAFKA_STORAGE_ERROR; an operator has to hear why. */
  readFailed(replica: Replica, error: unknown): void {
    this.#options.events.readFailed(replica, error);
  }

  /** Removes all replicas of a topic and their files; rejects with the first error, when all have been tried. */
  async remove(topic: string): Promise<void> {
    const replicas = this.#byTopic.get(topic) ?? [];
    this.#byTopic.delete(topic);
    const errors: unknown[] = [];
    for (const replica of replicas) {
      if (replica === undefined) continue;
      this.#count--;
      await replica.delete().catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Sets aside directories of no topic that the cluster knows; call once all that it knows are open. */
  async setAsideStrays(reserved: ReadonlySet<string>): Promise<void> {
    const { disk, dataDirectory } = this.#options;
    const known = new Set([...this.all()].map(({ identity }) => directoryName(identity)));
    for (const name of await disk.list(dataDirectory)) {
      if (known.has(name) || reserved.has(name)) continue;
      if (name.endsWith('-delete')) {
        await disk.removeDirectory(`${dataDirectory}/${name}`);
      } else if (/-\d+$/.test(name)) {
        await this.#setAside(name, 'the cluster knows no such partition');
      }
    }
  }

  /** Everything written and synced. What one log's disk refuses keeps no other from its end; an event tells. */
  async close(): Promise<void> {
    this.#sweep?.cancel();
    const { events } = this.#options;
    const close = (replica: Replica): Promise<void> =>
      replica.close().catch((error: unknown) => events.closeFailed(replica, error));
    await Promise.all([...this.all()].map(close));
  }

  /** One timer for all replicas: idle ones cost none. */
  #scheduleSweep(): void {
    this.#sweep = this.#options.clock.after(producerSweepMs, () => {
      for (const replica of this.all()) replica.expireProducers();
      this.#scheduleSweep();
    });
  }

  async #openOne(identity: ReplicaIdentity): Promise<Replica> {
    const { disk, dataDirectory, clock, nodeId, votes, events } = this.#options;
    const name = directoryName(identity);
    const directory = `${dataDirectory}/${name}`;
    const topicId = await readPartitionMetadata(disk, directory);
    if (topicId !== undefined && topicId !== identity.topicId) {
      await this.#setAside(name, `it belongs to an earlier topic of that name, with the id ${topicId}`);
    }
    if (topicId !== identity.topicId) await writePartitionMetadata(disk, directory, identity.topicId);
    const replica = await Replica.open({
      identity,
      nodeId,
      clock,
      disk,
      log: {
        disk,
        clock,
        directory,
        syncer: this.#options.syncer,
        tailCache: this.#options.tailCache,
        readPool: this.#options.readPool,
        config: () => this.#options.logConfig(identity.topic),
        floor: this.#options.floors.floor(identity),
      },
      hardState: votes.get(identity),
      producerExpirationMs: this.#options.producerExpirationMs,
      onFailure: (failed, failure) => events.failed(failed, failure),
      onSnapshotFailure: (failed, error) => events.snapshotFailed(failed, error),
    });
    if (replica.damaged) events.damaged(replica);
    return replica;
  }

  async #setAside(name: string, reason: string): Promise<void> {
    const { disk, dataDirectory, ids, events } = this.#options;
    const renamedTo = `${name.slice(0, fileNameMax - 29)}.${ids.uuid()}-stray`;
    await disk.rename(`${dataDirectory}/${name}`, `${dataDirectory}/${renamedTo}`);
    await disk.syncDirectory(dataDirectory);
    events.setAside(name, renamedTo, reason);
  }

  #register(replica: Replica): void {
    let replicas = this.#byTopic.get(replica.topic);
    if (replicas === undefined) {
      replicas = [];
      this.#byTopic.set(replica.topic, replicas);
    }
    replicas[replica.partition] = replica;
    this.#count++;
  }
}

function directoryName(identity: ReplicaIdentity): string {
  return `${identity.topic}-${identity.partition}`;
}

/** Resolves when the replica may say where its log ends, or will not. */
function settled(replica: Replica): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (replica.ready || replica.failed || replica.closed || !replica.isLeader) resolve();
      else replica.watch(look);
    };
    look();
  });
}
