/**
 * When an answer is so late that one should look whether another broker leads by now. A broker that hangs or was cut off says
 * nothing, while the cluster has elected another leader within a second: waiting for the request's own timeout would cost half a minute.
 *
 * Late is what takes several times as long as this broker usually does, and a second at least. While something is late, the metadata
 * is asked for again and again, with pauses that grow: one request under way, and about one in a second, at most.
 */
import { backoffMs } from '../waiting.ts';
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
