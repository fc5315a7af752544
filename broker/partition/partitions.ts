/**
 * All replicas of this node: opens, leads, removes and closes them. Where their files lie is `replica-places.ts`.
 *
 * Votes of many replicas are made durable by one sync for each data directory, and their first entries by one round. A
 * replica that cannot be used while the node can is offline: it is known, and answers KAFKA_STORAGE_ERROR.
 */
import { AssertionError } from '../../platform/assert.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import { DiskError } from '../../platform/disk.ts';
import type { Disk, DiskSpace } from '../../platform/disk.ts';
import type { Ids } from '../../platform/ids.ts';
import type { LogConfig } from '../log/log-types.ts';
import type { ReadPool } from '../log/read-pool.ts';
import type { TailCache } from '../log/tail-cache.ts';
import type { LogDirectory } from './log-directory.ts';
import { Replica } from './replica.ts';
import type { ReplicaFailure, ReplicaIdentity } from './replica.ts';
import { ReplicaPlaces, directoryName } from './replica-places.ts';
import type { Loads, WantedReplica } from './replica-places.ts';

export interface PartitionsOptions {
  readonly nodeId: number;
  /** The first holds the metadata log. */
  readonly directories: readonly LogDirectory[];
  readonly clock: Clock;
  readonly disk: Disk;
  readonly ids: Ids;
  readonly tailCache: TailCache;
  readonly readPool: ReadPool;
  readonly logConfig: (topic: string) => LogConfig;
  readonly producerExpirationMs: () => number;
  readonly events: PartitionEvents;
}

/** A replica that belongs on this node and cannot be used there now. */
export interface OfflineReplica {
  readonly identity: ReplicaIdentity;
  /** A clause. */
  readonly reason: string;
}

/** In which data directory of this node a replica lies. */
export interface DirectoryAssignment {
  readonly topicId: string;
  readonly partition: number;
  readonly directoryId: string;
}

export type MaintenanceTask = 'deletion' | 'retention' | 'compaction' | 'scrubbing';

/** What an operator has to hear of. */
export interface PartitionEvents {
  /** The log takes no more appends until the node is started again. */
  failed(replica: Replica, failure: ReplicaFailure): void;
  /** The replica cannot be used until the node is started again. */
  offline(replica: OfflineReplica): void;
  /** Batches of the log could not be read from its disk; the reader was told so. */
  readFailed(replica: Replica, error: unknown): void;
  /** The end of the log could not be made durable, or not be noted: the next start recovers it. */
  closeFailed(replica: Replica, error: unknown): void;
  /** A producer snapshot could not be written: the next start replays more. */
  snapshotFailed(replica: Replica, error: unknown): void;
  /** Old records, or what compaction replaced, could not be taken out, or a segment not be looked through. */
  maintenanceFailed(replica: Replica, task: MaintenanceTask, error: unknown): void;
  /** Recovery found bytes below the durable floor that are not as they were written. */
  damaged(replica: Replica): void;
  setAside(directory: string, renamedTo: string, reason: string): void;
}

/** Replicas that are opened, or removed, at one time: their reads share the thread pool. */
const openingMax = 16;
/** Replicas that are closed at one time: each has files open for a moment. */
const closingMax = 64;
/** How often expired producers are forgotten: Kafka's producer.id.expiration.check.interval.ms. */
const producerSweepMs = 600_000;

export class Partitions {
  readonly #options: PartitionsOptions;
  readonly #places: ReplicaPlaces;
  readonly #byTopic = new Map<string, (Replica | undefined)[]>();
  /** By topic and partition. Invariant: none of them is in `#byTopic`. */
  readonly #offline = new Map<string, Map<number, OfflineReplica>>();
  #count = 0;
  #sweep: Timer | undefined;
  #beforeRemoval: (replica: Replica) => Promise<void> = () => Promise.resolve();

  constructor(options: PartitionsOptions) {
    this.#options = options;
    const { disk, ids, directories, events } = options;
    this.#places = new ReplicaPlaces({
      disk,
      ids,
      directories,
      onSetAside: (...told) => events.setAside(...told),
    });
    for (const directory of directories) {
      directory.onOffline((_, cause) => {
        for (const replica of this.all()) if (replica.home === directory) replica.goOffline(cause);
      });
    }
    this.#scheduleSweep();
  }

  get count(): number {
    return this.#count;
  }

  /** The one listener is called for a replica that is to be removed; its files go when that has resolved. */
  onRemoval(listener: (replica: Replica) => Promise<void>): void {
    this.#beforeRemoval = listener;
  }

  get directories(): readonly LogDirectory[] {
    return this.#options.directories;
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

  /** Of the file system that a directory lies on; undefined where that cannot be told. */
  async spaceOf(directory: LogDirectory): Promise<DiskSpace | undefined> {
    try {
      return await this.#options.disk.space(directory.path);
    } catch (error) {
      directory.failedBy(error);
      return undefined;
    }
  }

  /** A replica that is not among the open ones because it cannot be used. */
  offlineReplica(topic: string, partition: number): OfflineReplica | undefined {
    return this.#offline.get(topic)?.get(partition);
  }

  *offline(): Generator<OfflineReplica> {
    for (const replicas of this.#offline.values()) yield* replicas.values();
  }

  get offlineCount(): number {
    let count = 0;
    for (const replicas of this.#offline.values()) count += replicas.size;
    return count;
  }

  /**
   * Opens or creates these replicas and leads them; resolves when each has taken the lead and its term's first entry is
   * committed, or its log has failed. Those that are open already are left as they are. Rejects with a DiskError where one
   * cannot be opened; then none of the others is.
   */
  open(wanted: readonly WantedReplica[]): Promise<void> {
    return this.#open(wanted, true);
  }

  /**
   * The same at the start of the node, for what it had before: a replica that cannot be opened, or whose data directory
   * is offline, is offline itself and the others are opened. Rejects only where the node as a whole lacks something.
   */
  openExisting(wanted: readonly WantedReplica[]): Promise<void> {
    return this.#open(wanted, false);
  }

  /** Of these the ones that lie in another data directory than the metadata names, and where they lie. */
  misplaced(wanted: readonly WantedReplica[]): DirectoryAssignment[] {
    return wanted.flatMap(({ topic, topicId, partition, directoryId }) => {
      const id = this.replica(topic, partition)?.home.id;
      return id === undefined || id === directoryId ? [] : [{ topicId, partition, directoryId: id }];
    });
  }

  async #open(wanted: readonly WantedReplica[], isNew: boolean): Promise<void> {
    const missing = wanted.filter(({ topic, partition }) => this.replica(topic, partition) === undefined);
    if (missing.length === 0) return;
    const opened: Replica[] = [];
    const healthy = await this.#openAll(missing, isNew, opened).catch(async (error: unknown) => {
      // Its own errors would say the same again; the files that they hold open must not stay open.
      await Promise.allSettled(opened.map((replica) => replica.close()));
      throw error;
    });
    for (const replica of healthy) replica.lead();
    for (const replica of opened) this.#register(replica);
    await Promise.all(healthy.map(settled));
  }

  /** Adds to `opened` as it goes; resolves with those that may lead, whose votes are durable. */
  async #openAll(wanted: readonly WantedReplica[], isNew: boolean, opened: Replica[]): Promise<Replica[]> {
    const loads = await this.#places.loads((directory) => this.#countIn(directory));
    const queue = wanted.values();
    let hasFailed = false;
    const workers = Array.from({ length: Math.min(openingMax, wanted.length) }, async () => {
      for (const each of queue) {
        if (hasFailed) return;
        try {
          const replica = await this.#openOne(each, isNew, loads);
          if (replica !== undefined) opened.push(replica);
        } catch (error) {
          if (!isNew && (await this.#canDoWithout(each, error))) continue;
          hasFailed = true;
          throw error;
        }
      }
    });
    // All have to come to an end, so that what they have opened is known.
    for (const outcome of await Promise.allSettled(workers)) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
    const homes = new Set(opened.map(({ home }) => home));
    await Promise.all([...homes].map((home) => this.#makeDurable(home, opened)));
    for (const replica of opened) if (!replica.home.isOnline) replica.goOffline(replica.home.offlineReason);
    return opened.filter((replica) => !replica.damaged && !replica.failed);
  }

  /** The names of new replicas in one data directory, and the votes of those that may lead. */
  async #makeDurable(home: LogDirectory, opened: readonly Replica[]): Promise<void> {
    const candidates = opened.filter((replica) => replica.home === home && !replica.damaged);
    try {
      await this.#options.disk.syncDirectory(home.path);
      const votes = candidates.map((replica) => ({ group: replica.identity, state: replica.campaign() }));
      if (votes.length > 0) await home.votes.put(votes);
    } catch (error) {
      home.failedBy(error);
      if (home.isOnline) throw error;
    }
  }

  /** Whether the node goes on without a replica that could not be opened. */
  async #canDoWithout(wanted: WantedReplica, error: unknown): Promise<boolean> {
    const isNodes = error instanceof DiskError && error.code === 'too-many-open-files';
    if (isNodes || error instanceof AssertionError) return false;
    // Where a whole directory has gone, that says more than the fate of each of its replicas.
    for (const directory of this.directories) {
      if (directory.isOnline) {
        await this.#options.disk.list(directory.path).catch((cause: unknown) => directory.failedBy(cause));
      }
    }
    this.#setOffline(wanted, error instanceof Error ? error.message : String(error));
    return true;
  }

  /** A reader was told KAFKA_STORAGE_ERROR; an operator has to hear why. */
  readFailed(replica: Replica, error: unknown): void {
    this.#options.events.readFailed(replica, error);
  }

  /** Removes all replicas of a topic and their files; rejects with the first error, when all have been tried. */
  async remove(topic: string): Promise<void> {
    const replicas = this.#byTopic.get(topic) ?? [];
    this.#byTopic.delete(topic);
    this.#offline.delete(topic);
    const errors: unknown[] = [];
    const queue = replicas.values();
    const workers = Array.from({ length: openingMax }, async () => {
      for (const replica of queue) {
        if (replica === undefined) continue;
        await this.#beforeRemoval(replica);
        this.#count--;
        await replica.delete().catch((error: unknown) => errors.push(error));
      }
    });
    await Promise.all(workers);
    if (errors.length > 0) throw errors[0];
  }

  /** Sets aside directories of no topic that the cluster knows; call once all that it knows are open. */
  setAsideStrays(reserved: readonly string[]): Promise<void> {
    const open = [...this.all()].map(({ identity }) => directoryName(identity));
    const offline = [...this.#offline.values()].flatMap((replicas) =>
      [...replicas.values()].map(({ identity }) => directoryName(identity)),
    );
    return this.#places.setAsideStrays(new Set([...reserved, ...open, ...offline]));
  }

  /** Everything written and synced. What one log's disk refuses keeps no other from its end; an event tells. */
  async close(): Promise<void> {
    this.#sweep?.cancel();
    const { events } = this.#options;
    const close = (replica: Replica): Promise<void> =>
      replica.close().catch((error: unknown) => events.closeFailed(replica, error));
    const queue = this.all();
    const workers = Array.from({ length: closingMax }, async () => {
      for (const replica of queue) await close(replica);
    });
    await Promise.all(workers);
  }

  /** One timer for all replicas: idle ones cost none. */
  #scheduleSweep(): void {
    this.#sweep = this.#options.clock.after(producerSweepMs, () => {
      for (const replica of this.all()) replica.expireProducers();
      this.#scheduleSweep();
    });
  }

  /** Undefined where it is offline. */
  async #openOne(wanted: WantedReplica, isNew: boolean, loads: Loads): Promise<Replica | undefined> {
    const { topic, topicId, partition } = wanted;
    const place = await this.#places.find(wanted, isNew, loads);
    if (place.kind === 'offline') {
      this.#setOffline(wanted, place.reason);
      return undefined;
    }
    return this.#openAt({ topic, topicId, partition }, place.directory);
  }

  async #openAt(identity: ReplicaIdentity, home: LogDirectory): Promise<Replica> {
    const { disk, clock, nodeId, events, tailCache, readPool } = this.#options;
    const replica = await Replica.open({
      identity,
      nodeId,
      clock,
      disk,
      home,
      log: {
        disk,
        clock,
        directory: `${home.path}/${directoryName(identity)}`,
        syncer: home.syncer,
        tailCache,
        readPool,
        config: () => this.#options.logConfig(identity.topic),
        floor: home.floors.floor(identity),
      },
      hardState: home.votes.get(identity),
      producerExpirationMs: this.#options.producerExpirationMs,
      onFailure: (failed, failure) => events.failed(failed, failure),
      onSnapshotFailure: (failed, error) => events.snapshotFailed(failed, error),
      onDeletionFailure: (failed, error) => events.maintenanceFailed(failed, 'deletion', error),
    });
    if (replica.damaged) events.damaged(replica);
    return replica;
  }

  #setOffline({ topic, topicId, partition }: WantedReplica, reason: string): void {
    const replicas = this.#offline.get(topic) ?? new Map<number, OfflineReplica>();
    const replica = { identity: { topic, topicId, partition }, reason };
    this.#offline.set(topic, replicas.set(partition, replica));
    this.#options.events.offline(replica);
  }

  #countIn(directory: LogDirectory): number {
    let count = 0;
    for (const replica of this.all()) if (replica.home === directory) count++;
    return count;
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
