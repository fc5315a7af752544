/**
 * All moves of replicas between the data directories of this node (Kafka's AlterReplicaLogDirs): which are asked for, under way or
 * waiting for their turn. A partition has one goal at a time; another one calls off what is under way. What a stop of the node
 * has cut short goes on after the next start, from the beginning.
 */
import { AssertionError } from '../../../platform/assert.ts';
import { keyOf } from '../vote-records.ts';
import type { LogDirectory } from '../log-directory.ts';
import type { Partitions } from '../partitions.ts';
import type { ReplicaIdentity } from '../replica-types.ts';
import type { Replica } from '../replica.ts';
import { MoveCalledOff } from './future-copy.ts';
import { discardFuture, groupOfFuture } from './moved-files.ts';
import { ReplicaMove } from './replica-move.ts';
import type { MoveTools } from './replica-move.ts';

export interface ReplicaMovesOptions extends MoveTools {
  readonly partitions: Partitions;
  /** The replica lies in its new directory; `hasLed`: it led before. */
  readonly onMoved: (replica: Replica, hasLed: boolean) => void;
  /** The replica is where it was, or offline: an operator must hear why it was not moved. */
  readonly onFailure: (replica: ReplicaIdentity, to: LogDirectory, error: unknown) => void;
}

/** A replica that is on its way, for who looks. */
export interface FutureReplica {
  readonly topic: string;
  readonly partition: number;
  readonly to: LogDirectory;
  readonly sizeBytes: number;
  /** Offsets that the copy lacks. */
  readonly offsetLag: number;
}

/**
 * 'accepted': it is being moved, or lies there. 'remembered': no such replica is here; should it come, it is moved. 'offline': it
 * cannot be used, or its log is damaged.
 */
export type MoveAnswer = 'accepted' | 'remembered' | 'offline';

interface Goal {
  readonly identity: ReplicaIdentity;
  /** Undefined: it is to stay where it is. */
  to: LogDirectory | undefined;
  /** While it has its turn. */
  move: ReplicaMove | undefined;
  done: Promise<void>;
}

/** Replicas that are copied at one time. */
const movesMax = 2;
/** Partitions that are not here yet whose directory is remembered. */
const rememberedMax = 10_000;

export class ReplicaMoves {
  readonly #options: ReplicaMovesOptions;
  readonly #goals = new Map<string, Goal>();
  /** By name of the partition: where it is to lie once it is here. */
  readonly #remembered = new Map<string, LogDirectory>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  #isClosed = false;

  constructor(options: ReplicaMovesOptions) {
    this.#options = options;
  }

  /** The replica of this partition is to lie in that directory, which is online. */
  ask(topic: string, partition: number, to: LogDirectory): MoveAnswer {
    const { partitions } = this.#options;
    const replica = partitions.replica(topic, partition);
    if (replica === undefined) {
      if (partitions.offlineReplica(topic, partition) !== undefined) return 'offline';
      const name = `${topic}-${partition}`;
      this.#remembered.delete(name);
      if (this.#remembered.size < rememberedMax) this.#remembered.set(name, to);
      return 'remembered';
    }
    const goal = this.#goals.get(keyOf(replica.identity));
    if (goal !== undefined) {
      goal.to = to;
      return 'accepted';
    }
    if (replica.failed || replica.hasDamage) return 'offline';
    if (replica.home !== to) this.#begin(replica.identity, to);
    return 'accepted';
  }

  /** These partitions have replicas here now: those of which the directory is remembered begin to move there. */
  opened(replicas: readonly ReplicaIdentity[]): void {
    if (this.#remembered.size === 0) return;
    for (const { topic, partition } of replicas) {
      const to = this.#remembered.get(`${topic}-${partition}`);
      if (to === undefined || this.#options.partitions.replica(topic, partition) === undefined) continue;
      this.#remembered.delete(`${topic}-${partition}`);
      if (to.isOnline) this.ask(topic, partition, to);
    }
  }

  /**
   * Call once all replicas that the cluster knows are open: moves that the last stop cut short begin anew, and copies that are of no use
   * are removed. Rejects with a DiskError.
   */
  async resume(): Promise<void> {
    const { disk, partitions } = this.#options;
    const open = new Map([...partitions.all()].map((replica) => [keyOf(replica.identity), replica]));
    const offline = new Set([...partitions.offline()].map(({ identity }) => keyOf(identity)));
    for (const directory of partitions.directories) {
      if (!directory.isOnline || partitions.directories.length === 1) continue;
      for (const name of await disk.list(directory.path)) {
        const group = groupOfFuture(name);
        if (group === undefined || offline.has(keyOf(group))) continue;
        const replica = open.get(keyOf(group));
        if (replica === undefined || replica.home === directory) await discardFuture(disk, directory, group);
        else this.ask(replica.topic, replica.partition, directory);
      }
    }
  }

  /** Resolves when nothing is moved of this topic, or of this partition of it, which is to be removed. */
  async callOff(topic: string, partition?: number): Promise<void> {
    const goals = [...this.#goals.values()].filter(
      ({ identity }) =>
        identity.topic === topic && (partition === undefined || identity.partition === partition),
    );
    for (const goal of goals) goal.to = undefined;
    await Promise.all(goals.map(({ done }) => done));
  }

  /** Those under way and in line. */
  *futures(): Generator<FutureReplica> {
    const { partitions } = this.#options;
    for (const { identity, to, move } of this.#goals.values()) {
      const { topic, partition } = identity;
      const replica = partitions.replica(topic, partition);
      if (to === undefined || replica === undefined || replica.home === to) continue;
      const isUnderWay = move?.to === to;
      const sizeBytes = isUnderWay ? move.sizeBytes : 0;
      const offsetLag = isUnderWay ? move.lag : Math.max(0, replica.logEndOffset - replica.logStartOffset);
      yield { topic, partition, to, sizeBytes, offsetLag };
    }
  }

  /** Resolves when nothing is under way any more; call before the replicas are closed. What is not done goes on after the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#goals.values()].map(({ done }) => done));
  }

  #begin(identity: ReplicaIdentity, to: LogDirectory): void {
    const goal: Goal = { identity, to, move: undefined, done: Promise.resolve() };
    const key = keyOf(identity);
    this.#goals.set(key, goal);
    goal.done = this.#reach(goal).finally(() => this.#goals.delete(key));
  }

  /** Until the replica lies where it is to, which may change. */
  async #reach(goal: Goal): Promise<void> {
    while (this.#running >= movesMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      while (!this.#isClosed && (await this.#step(goal)));
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  /** Whether there may be more to do. */
  async #step(goal: Goal): Promise<boolean> {
    const { partitions, onMoved, onFailure } = this.#options;
    const { topic, partition, topicId } = goal.identity;
    const { to } = goal;
    const replica = partitions.replica(topic, partition);
    if (to === undefined || replica === undefined || replica.identity.topicId !== topicId) return false;
    if (replica.home === to || replica.closed) return false;
    const isWanted = (): boolean => goal.to === to && !this.#isClosed;
    const hasLed = replica.isLeader;
    goal.move = new ReplicaMove(this.#options, replica, to, { isWanted, isStopping: () => this.#isClosed });
    try {
      await goal.move.run();
      onMoved(partitions.replica(topic, partition) ?? replica, hasLed);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      if (error instanceof MoveCalledOff && !isWanted()) return true;
      onFailure(goal.identity, to, error);
      return goal.to !== to;
    } finally {
      goal.move = undefined;
    }
    return true;
  }
}
