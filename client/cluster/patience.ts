/**
 * When an answer is so late that one should look whether another broker is to be asked by now: the partition's next leader, the group's
 * next coordinator, the next controller. A broker that hangs or was cut off says nothing, while the cluster has elected another one within
 * a second: waiting for the request's own timeout would cost half a minute.
 *
 * Late is what takes a second; where records flow, also several times as long as this broker usually does. While something is late, others
 * are asked again and again, with pauses that grow: one request under way, and about one in a second, at most. Being late is no reason to
 * leave a broker, whose answer may take long by right (a group that waits for its members): only that another one has its place is.
 */
import { KafkaError } from '../errors.ts';
import { backoffMs } from '../waiting.ts';
import type { Components } from '../components.ts';
import type { Cluster } from './cluster.ts';
import type { MetadataCache } from './metadata-cache.ts';

/** No broker is doubted sooner. */
export const patienceMsMin = 1_000;
/** How often the usual time an answer may take. */
const usualTimes = 4;
/** The share of the newest answer in what is usual; and what a single one counts for at most, so that one that hung is soon forgotten. */
const newestShare = 1 / 8;
const sampleMsMax = 2_000;
/** Between looks: at first another leader is likely to come soon. */
const lookPauseMs = 100;
const lookPauseMsMax = 1_000;

/** Whom a request went to as a partition's leader. */
export interface AskedLeader {
  readonly nodeId: number;
  /** -1 where unknown. */
  readonly leaderEpoch: number;
}

export class Patience {
  readonly #cluster: Cluster;
  readonly #onLooked: () => void;
  /** By broker. */
  readonly #usualMs = new Map<number, number>();
  #isLooking = false;
  /** In a row. */
  #looks = 0;
  #nextLookMs = 0;

  /** `onLooked` runs after each look, whatever came of it. */
  constructor(cluster: Cluster, onLooked: () => void) {
    this.#cluster = cluster;
    this.#onLooked = onLooked;
  }

  answered(nodeId: number, tookMs: number): void {
    const usualMs = this.#usualMs.get(nodeId) ?? 0;
    const sampleMs = Math.min(Math.max(0, tookMs), sampleMsMax);
    this.#usualMs.set(nodeId, usualMs + (sampleMs - usualMs) * newestShare);
  }

  /** How long an answer of this broker may take. */
  limitMs(nodeId: number): number {
    return Math.max(patienceMsMin, usualTimes * (this.#usualMs.get(nodeId) ?? 0));
  }

  /** Something is late: asks who leads, unless that was just done. Returns when to look again, Infinity while a look is under way. */
  look(nowMs: number): number {
    if (this.#isLooking) return Infinity;
    if (nowMs < this.#nextLookMs) return this.#nextLookMs;
    if (nowMs > this.#nextLookMs + lookPauseMsMax) this.#looks = 0;
    void this.#look();
    return Infinity;
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    // Where nobody answers, the next look may meet somebody; what waits has limits of its own.
    await this.#cluster.refresh().catch(() => undefined);
    this.#isLooking = false;
    const { clock, random } = this.#cluster.components;
    this.#nextLookMs = clock.monotonicMs() + backoffMs(random, ++this.#looks, lookPauseMs, lookPauseMsMax);
    this.#onLooked();
  }
}

/**
 * The answer that was asked for; or TIMED_OUT, which may be tried again, when it is late and a look says that another broker has the place of
 * the one that was asked. A look that fails says nothing. What the broker may answer later no longer counts.
 */
export function unlessMoved<R>(
  { clock, random }: Components,
  answer: Promise<R>,
  { peer, hasMoved }: { readonly peer: string; readonly hasMoved: () => Promise<boolean> },
): Promise<R> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    let looks = 0;
    let timer = clock.after(patienceMsMin, () => void look());
    const end = (finish: () => void): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      finish();
    };
    const look = async (): Promise<void> => {
      const isElsewhere = await hasMoved().catch(() => false);
      if (isOver) return;
      if (isElsewhere) {
        const text = `${peer} does not answer, and another one has its place now.`;
        return end(() => reject(new KafkaError('TIMED_OUT', text)));
      }
      timer = clock.after(backoffMs(random, ++looks, lookPauseMs, lookPauseMsMax), () => void look());
    };
    answer.then(
      (value) => end(() => resolve(value)),
      (error: unknown) => end(() => reject(error)),
    );
  });
}

/**
 * A look at who has a place that is told without an epoch. Who tells may be behind: another broker counts only when it is named twice in a
 * row, and whoever is asked last is not the first to be asked again.
 */
export function namedTwice(asked: number, find: () => Promise<number>): () => Promise<boolean> {
  return async () => {
    const found = await find();
    return found !== asked && (await find()) === found;
  };
}

/** Whether the metadata names a leader that came after the one that was asked. */
export function hasMoved(
  metadata: MetadataCache,
  { topic, partition }: { readonly topic: string; readonly partition: number },
  asked: AskedLeader,
): boolean {
  const leader = metadata.leader(topic, partition);
  if (leader === undefined || leader.id === asked.nodeId) return false;
  const { leaderEpoch } = metadata.partition(topic, partition)!;
  return leaderEpoch > asked.leaderEpoch || leaderEpoch < 0;
}
