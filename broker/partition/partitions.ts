/**
 * All replicas of this node: opens, leads, removes and closes them. Where their files lie is `replica-places.ts`.
 *
 * Votes of many replicas are made durable by one sync for each data directory, and their first entries by one round. A
 * replica that cannot be used while the node can is offline: it is known, and answers KAFKA_STORAGE_ERROR.
 */
import { AssertionError } from '../../platform/assert.ts';
import type { Boot } from '../../platform/boot.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import { DiskError } from '../../platform/disk.ts';
import type { Disk, DiskSpace } from '../../platform/disk.ts';
import type { Ids } from '../../platform/ids.ts';
import type { Random } from '../../platform/random.ts';
import type { LogConfig } from '../log/log-types.ts';
import type { ReadPool } from '../log/reading/read-pool.ts';
import type { TailCache } from '../log/reading/tail-cache.ts';
import { directoryOf, nodeOf } from '../raft/member.ts';
import type { RaftSettings } from '../raft/raft.ts';
import type { LogCopying } from './consensus/catch-up/log-copying.ts';
import type { ConsensusNode } from './consensus/consensus-node.ts';
import type { LogDirectory } from './log-directory.ts';
import { openReplica } from './open-replica.ts';
import { pause, settled } from './replica-settling.ts';
import type { ReplicaEvents, ReplicaIdentity } from './replica-types.ts';
import type { Replica } from './replica.ts';
import type { ReplicaVotes } from './replica-votes.ts';
import { keyOf } from './vote-records.ts';
import { ReplicaPlaces, directoryName } from './replica-places.ts';
import type { FoundPlace, IsGone, Loads, WantedReplica } from './replica-places.ts';

export interface PartitionsOptions {
  readonly nodeId: number;
  /** The first holds the metadata log. */
  readonly directories: readonly LogDirectory[];
  readonly clock: Clock;
  readonly disk: Disk;
  readonly ids: Ids;
  readonly tailCache: TailCache;
  readonly readPool: ReadPool;
  readonly random: Random;
  readonly boot: Boot;
  /** See ReplicaOptions; false unless given. */
  readonly acceptsLostMemory?: boolean | undefined;
  readonly consensus: ConsensusNode;
  readonly raftSettings: RaftSettings;
  readonly votes: ReplicaVotes;
  readonly copying: LogCopying | undefined;
  readonly keepsSnapshots: boolean;
  readonly logConfig: (topic: string) => LogConfig;
  readonly producerExpirationMs: () => number;
  /** `min.insync.replicas` of a topic, and `replica.lag.time.max.ms`. Live. */
  readonly minInSyncReplicas: (topic: string) => number;
  readonly lagMsMax: () => number;
  /** See ReplicaOptions. */
  readonly serviceEpoch: (nodeId: number) => number | undefined;
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
export interface PartitionEvents extends Omit<ReplicaEvents, 'leadershipChanged' | 'deletionFailed'> {
  /** The replica cannot be used until the node is started again. */
  offline(replica: OfflineReplica): void;
  /** The end of the log could not be made durable, or not be noted: the next start recovers it. */
  closeFailed(replica: Replica, error: unknown): void;
  /** Old records, or what compaction replaced, could not be taken out, or a segment not be looked through. */
  maintenanceFailed(replica: Replica, task: MaintenanceTask, error: unknown): void;
  /** Recovery found bytes below the durable floor that are not as they were written. */
  damaged(replica: Replica): void;
  setAside(directory: string, renamedTo: string, reason: string): void;
}

/** Replicas that are opened, or removed, at one time: their reads share the thread pool. */
const openingMax = 16;
/** Replicas that join their groups in one turn. */
const startedMax = 64;
/** Replicas that are closed at one time: each has files open for a moment. */
const closingMax = 64;
/** Leaderships that are on their way to other nodes at one time. */
const handingOverMax = 32;
/** How often expired producers are forgotten: Kafka's producer.id.expiration.check.interval.ms. */
const producerSweepMs = 600_000;
/** Leaders look who is in sync this often in `replica.lag.time.max.ms`, as Kafka's do. */
const reviewsPerLag = 2;

export class Partitions {
  readonly #options: PartitionsOptions;
  readonly #places: ReplicaPlaces;
  readonly #replicaEvents: ReplicaEvents;
  readonly #byTopic = new Map<string, (Replica | undefined)[]>();
  /** By topic and partition. Invariant: none of them is in `#byTopic`. */
  readonly #offline = new Map<string, Map<number, OfflineReplica>>();
  #count = 0;
  #sweep: Timer | undefined;
  #review: Timer | undefined;
  readonly #leadershipListeners: ((replica: Replica) => void)[] = [];
  #beforeRemoval: (replica: Replica) => Promise<void> = () => Promise.resolve();

  constructor(options: PartitionsOptions) {
    this.#options = options;
    const { disk, clock, ids, directories, events } = options;
    this.#replicaEvents = {
      ...events,
      deletionFailed: (failed, error) => events.maintenanceFailed(failed, 'deletion', error),
      leadershipChanged: (changed) => this.#leadershipChanged(changed),
    };
    this.#places = new ReplicaPlaces({
      disk,
      clock,
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

  /** Called when a replica has another leader or term, other members, or others in sync. It may not change replicas. */
  onLeadership(listener: (replica: Replica) => void): void {
    this.#leadershipListeners.push(listener);
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
   * Opens or creates these replicas; resolves when each that is the only one of its partition leads and its term's first entry
   * is committed, or its log has failed. Those that are open already are left as they are. Rejects with a DiskError where one
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

  /** Of these the ones that are known by another data directory than the metadata names, and by which one. */
  misplaced(wanted: readonly WantedReplica[]): DirectoryAssignment[] {
    return wanted.flatMap(({ topic, topicId, partition, directoryId }) => {
      const member = this.replica(topic, partition)?.member;
      const id = member === undefined ? directoryId : directoryOf(member);
      return id === undefined || id === directoryId ? [] : [{ topicId, partition, directoryId: id }];
    });
  }

  /** A replica that was closed to be moved is opened anew, wherever it is found now; it is offline where that cannot be. Resolves as `open`. */
  async reopen(closed: Replica, wanted: WantedReplica): Promise<void> {
    const opened: Replica[] = [];
    await this.#openAll([wanted], false, opened);
    if (opened.length === 0) this.#unregister(closed);
    for (const replica of opened) this.#byTopic.get(replica.topic)![replica.partition] = replica;
    await this.#start(opened);
    await Promise.all(opened.map(settled));
  }

  /** A replica that was closed to be moved cannot be opened before the next start of the node. */
  giveUp(closed: Replica, reason: string): void {
    this.#unregister(closed);
    this.#setOffline(closed.identity, reason);
  }

  async #open(wanted: readonly WantedReplica[], isNew: boolean): Promise<void> {
    const missing = wanted.filter(({ topic, partition }) => this.replica(topic, partition) === undefined);
    if (missing.length === 0) return;
    const opened: Replica[] = [];
    const close = async (error: unknown): Promise<never> => {
      // Its own errors would say the same again; the files that they hold open must not stay open.
      await Promise.allSettled(opened.map((replica) => replica.close()));
      throw error;
    };
    await this.#openAll(missing, isNew, opened).catch(close);
    for (const replica of opened) this.#register(replica);
    await this.#start(opened);
    const errors = await Promise.all(opened.map(settled));
    const error = errors.find((each) => each !== undefined);
    if (!isNew || error === undefined) return;
    for (const replica of opened) this.#unregister(replica);
    await close(error);
  }

  /** The node goes on hearing others, and being heard, however many there are. */
  async #start(replicas: readonly Replica[]): Promise<void> {
    for (const [place, replica] of replicas.entries()) {
      if (place % startedMax === startedMax - 1) await pause(this.#options.clock);
      if (replica.closed) continue;
      if (replica.home.isOnline) replica.start();
      else replica.goOffline(replica.home.offlineReason);
    }
  }

  /** Adds to `opened` as it goes. */
  async #openAll(wanted: readonly WantedReplica[], isNew: boolean, opened: Replica[]): Promise<void> {
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
    await Promise.all([...homes].map((home) => this.#syncNames(home)));
  }

  /** The names of new replicas in one data directory. */
  async #syncNames(home: LogDirectory): Promise<void> {
    try {
      await this.#options.disk.syncDirectory(home.path);
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
        this.#options.votes.remove(keyOf(replica.identity));
        await replica.delete().catch((error: unknown) => errors.push(error));
      }
    });
    await Promise.all(workers);
    if (errors.length > 0) throw errors[0];
  }

  /** As `remove`, for one replica of a topic whose others stay. Nothing is to be done where it is not open. */
  async removeReplica({ topic, topicId, partition }: ReplicaIdentity): Promise<void> {
    const offline = this.#offline.get(topic);
    if (offline?.get(partition)?.identity.topicId === topicId) offline.delete(partition);
    const replica = this.replica(topic, partition);
    if (replica?.identity.topicId !== topicId) return;
    await this.#beforeRemoval(replica);
    this.#unregister(replica);
    await replica.delete({ mayReturn: true });
  }

  /** The node is to stop: hands what it leads to others that are in sync, as far as that goes within `withinMs`. */
  async handOver(withinMs: number): Promise<void> {
    const { clock, nodeId } = this.#options;
    const deadlineMs = clock.monotonicMs() + withinMs;
    const queue = this.all();
    const workers = Array.from({ length: handingOverMax }, async () => {
      for (const replica of queue) {
        const others = replica.acknowledgements.inSyncMembers().map(nodeOf);
        const to = others.find((id) => id !== nodeId);
        if (to === undefined || clock.monotonicMs() >= deadlineMs) continue;
        await replica.transferLeadership(to);
      }
    });
    await Promise.all(workers);
  }

  /**
   * Sets aside directories of no topic that the cluster knows, and removes what `isGone`; call once all that it knows are open,
   * with an image that is current.
   */
  setAsideStrays(reserved: readonly string[], isGone: IsGone = () => false): Promise<void> {
    const open = [...this.all()].map(({ identity }) => directoryName(identity));
    const offline = [...this.#offline.values()].flatMap((replicas) =>
      [...replicas.values()].map(({ identity }) => directoryName(identity)),
    );
    return this.#places.setAsideStrays(new Set([...reserved, ...open, ...offline]), isGone);
  }

  /** Everything written and synced. What one log's disk refuses keeps no other from its end; an event tells. */
  async close(): Promise<void> {
    this.#sweep?.cancel();
    this.#review?.cancel();
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

  /** Who falls out of sync does so as time goes by. Only where partitions have several replicas. */
  #scheduleReview(): void {
    this.#review = this.#options.clock.after(this.#options.lagMsMax() / reviewsPerLag, () => {
      for (const replica of this.all()) replica.reviewInSync();
      this.#scheduleReview();
    });
  }

  /** Undefined where it is offline. */
  async #openOne(wanted: WantedReplica, isNew: boolean, loads: Loads): Promise<Replica | undefined> {
    const place = await this.#places.find(wanted, isNew, loads);
    if (place.kind === 'here') return this.#openAt(wanted, place);
    this.#setOffline(wanted, place.reason);
    return undefined;
  }

  async #openAt(wanted: WantedReplica, place: FoundPlace): Promise<Replica> {
    const { clock, nodeId, events, tailCache, readPool, votes } = this.#options;
    const { directory: home, madeIn, made } = place;
    const disk = made ?? this.#options.disk;
    const { topic, topicId, partition, intended } = wanted;
    const identity = { topic, topicId, partition };
    const replica = await openReplica({
      identity,
      nodeId,
      intended,
      clock,
      disk,
      random: this.#options.random,
      boot: this.#options.boot,
      acceptsLostMemory: this.#options.acceptsLostMemory ?? false,
      home,
      madeIn,
      made,
      log: {
        disk,
        clock,
        directory: `${home.path}/${directoryName(identity)}`,
        syncer: home.syncer,
        tailCache,
        readPool,
        config: () => this.#options.logConfig(topic),
        floor: home.floors.floor(identity),
      },
      hardState: home.votes.get(identity),
      consensus: this.#options.consensus,
      settings: this.#options.raftSettings,
      copying: this.#options.copying,
      keepsSnapshots: this.#options.keepsSnapshots,
      producerExpirationMs: this.#options.producerExpirationMs,
      minInSyncReplicas: () => this.#options.minInSyncReplicas(topic),
      lagMsMax: this.#options.lagMsMax,
      serviceEpoch: this.#options.serviceEpoch,
      events: this.#replicaEvents,
    });
    votes.place(keyOf(identity), {
      group: identity,
      home,
      onFailure: (error) => replica.electionFailed(error),
    });
    if (replica.damaged) events.damaged(replica);
    return replica;
  }

  #leadershipChanged(replica: Replica): void {
    for (const listener of this.#leadershipListeners) listener(replica);
    if (this.#review === undefined && replica.configuration.voters.length > 1) this.#scheduleReview();
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

  #unregister(replica: Replica): void {
    const replicas = this.#byTopic.get(replica.topic);
    if (replicas?.[replica.partition] !== replica) return;
    replicas[replica.partition] = undefined;
    this.#count--;
    this.#options.votes.remove(keyOf(replica.identity));
  }
}
