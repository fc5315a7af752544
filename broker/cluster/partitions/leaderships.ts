/**
 * Who leads each partition, as this node has heard it: soft state, lost with the process and heard anew. It is what clients are
 * told; nothing is decided by it that could lose data, as each group's own term fences its leader.
 *
 * Invariant: for each partition the leadership with the highest term is kept and, within a term, which has one leader, the one
 * with the highest version, which that leader counts. So leaderships may be merged in any order and any number of times.
 *
 * A process that has ended takes nothing back. What it said ends with its registration: the next process of that node has a higher broker
 * epoch, and says for itself what it leads (`isStanding`).
 */
import type { Clock } from '../../../platform/clock.ts';

export interface Leadership {
  readonly topicId: string;
  readonly partition: number;
  /** A node id. */
  readonly leader: number;
  /** The leader epoch. */
  readonly term: number;
  /** Counts what the leader has said in its term; 0: heard of from somebody else, who knows no more than the term. */
  readonly version: number;
  /** Node ids, the leader's among them. Empty: it has given up its leadership, and nobody has said yet that it leads instead. */
  readonly inSync: readonly number[];
  /** The revision that the group's committed configuration carries out. */
  readonly revision: number;
  /** The broker epoch of the leader as it said so; of a hint (version 0), as it was known then. */
  readonly epoch: number;
}

/** What two nodes compare: equal where both know the same of one leader's partitions. */
export interface LeadershipDigest {
  readonly count: number;
  /** 32 bits. */
  readonly hash: number;
}

/** How long is waited. */
export interface Patience {
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** Whether somebody leads, as far as this says. */
export function isLed(leadership: Leadership | undefined): leadership is Leadership {
  return leadership !== undefined && leadership.inSync.length > 0;
}

/** Whether somebody leads who is there, and has not begun anew since it said so. */
export function isStanding(
  leadership: Leadership | undefined,
  brokers: ReadonlyMap<number, { readonly fenced: boolean; readonly epoch: number }>,
): leadership is Leadership {
  if (!isLed(leadership)) return false;
  const broker = brokers.get(leadership.leader);
  return broker?.fenced === false && leadership.epoch >= broker.epoch;
}

export type LeadershipListener = (leadership: Leadership) => void;

interface MutableDigest {
  count: number;
  hash: number;
}

const noLeaderships: LeadershipDigest = { count: 0, hash: 0 };

export class Leaderships {
  /** By topic id, then by partition. */
  readonly #byTopic = new Map<string, (Leadership | undefined)[]>();
  /** By leader. Invariant: the count and the combined hash of all leaderships that name it. */
  readonly #digests = new Map<number, MutableDigest>();
  readonly #listeners = new Set<LeadershipListener>();

  of(topicId: string, partition: number): Leadership | undefined {
    return this.#byTopic.get(topicId)?.[partition];
  }

  /** All that is known. */
  *all(): Generator<Leadership> {
    for (const partitions of this.#byTopic.values()) {
      for (const leadership of partitions) if (leadership !== undefined) yield leadership;
    }
  }

  /** Those that name this node. */
  *ledBy(nodeId: number): Generator<Leadership> {
    if (this.digest(nodeId).count === 0) return;
    for (const leadership of this.all()) if (leadership.leader === nodeId) yield leadership;
  }

  digest(nodeId: number): LeadershipDigest {
    return this.#digests.get(nodeId) ?? noLeaderships;
  }

  /** Takes what has been heard; whether it is news. */
  merge(heard: Leadership): boolean {
    let partitions = this.#byTopic.get(heard.topicId);
    if (partitions === undefined) {
      partitions = [];
      this.#byTopic.set(heard.topicId, partitions);
    }
    const known = partitions[heard.partition];
    if (known !== undefined && !supersedes(heard, known)) return false;
    partitions[heard.partition] = heard;
    if (known !== undefined) this.#count(known, -1);
    this.#count(heard, 1);
    for (const listener of this.#listeners) listener(heard);
    return true;
  }

  /** The topic is gone for good. */
  forget(topicId: string): void {
    for (const leadership of this.#byTopic.get(topicId) ?? []) {
      if (leadership !== undefined) this.#count(leadership, -1);
    }
    this.#byTopic.delete(topicId);
  }

  /** Runs for every news, after it has been taken, until the returned function is called. It must not throw. */
  onNews(listener: LeadershipListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves to true once this holds for some news, or to false after so long; nothing stays behind then. */
  whenHeard(isEnough: (news: Leadership) => boolean, { clock, timeoutMs }: Patience): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isHeard: boolean): void => {
        timer.cancel();
        stop();
        resolve(isHeard);
      };
      const timer = clock.after(timeoutMs, () => end(false));
      const stop = this.onNews((news) => {
        if (isEnough(news)) end(true);
      });
    });
  }

  /** Whether each of these partitions of the topic has a leader for which this holds, within this time. */
  whenLed(
    topic: { readonly id: string; readonly partitions: readonly unknown[] },
    patience: Patience,
    isGood: (leadership: Leadership) => boolean = () => true,
  ): Promise<boolean> {
    const missing = new Set(topic.partitions.keys());
    for (const partition of missing) {
      const known = this.of(topic.id, partition);
      if (isLed(known) && isGood(known)) missing.delete(partition);
    }
    if (missing.size === 0) return Promise.resolve(true);
    return this.whenHeard((leadership) => {
      if (leadership.topicId === topic.id && isLed(leadership) && isGood(leadership))
        missing.delete(leadership.partition);
      return missing.size === 0;
    }, patience);
  }

  #count(leadership: Leadership, by: 1 | -1): void {
    const digest = this.#digests.get(leadership.leader) ?? { count: 0, hash: 0 };
    digest.count += by;
    // Exclusive or: order does not matter, and what was combined is taken out by combining it again.
    digest.hash ^= hashOf(leadership);
    if (digest.count === 0) this.#digests.delete(leadership.leader);
    else this.#digests.set(leadership.leader, digest);
  }
}

function supersedes(heard: Leadership, known: Leadership): boolean {
  if (heard.term !== known.term) return heard.term > known.term;
  if (heard.version !== known.version) return heard.version > known.version;
  return heard.epoch > known.epoch;
}

/** FNV-1a over what identifies a leadership. */
function hashOf({ topicId, partition, term, version, epoch }: Leadership): number {
  let hash = 0x811c9dc5;
  for (let position = 0; position < topicId.length; position++) {
    hash = Math.imul(hash ^ topicId.charCodeAt(position), 0x01000193);
  }
  for (const number of [partition, term, version, epoch]) {
    hash = Math.imul(hash ^ (number & 0xffff), 0x01000193);
    hash = Math.imul(hash ^ (number >>> 16), 0x01000193);
  }
  return hash;
}
