/**
 * Incremental fetch sessions (KIP-227): what a consumer fetches is remembered here, so that its requests name only what
 * has changed and its answers only what is new.
 *
 * A session belongs to one node's memory and is lost with it: the client is told FETCH_SESSION_ID_NOT_FOUND and starts
 * again with a full fetch. Slots are limited; a session that has not been used for a while makes room for a new one.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';

/** One partition that is fetched, and what the client was last told of it. */
export interface FetchPartition {
  /** The name as far as it is known: a topic asked by an id that nobody knows has none. */
  topic: string | undefined;
  readonly topicId: string;
  readonly partition: number;
  fetchOffset: number;
  maxBytes: number;
  currentLeaderEpoch: number;
  lastFetchedEpoch: number;
  /** As last answered; -1 before the first answer. */
  highWatermark: number;
  logStartOffset: number;
}

export interface FetchSession {
  readonly id: number;
  /** The epoch that the next request must carry. */
  epoch: number;
  readonly usesTopicIds: boolean;
  /** In the order of service: a partition that gave data goes to the end, so that no partition starves another. */
  readonly partitions: Map<string, FetchPartition>;
  lastUsedMs: number;
}

export interface FetchSessionsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly slots: () => number;
}

/** Kafka's min.incremental.fetch.session.eviction.ms. */
const evictableAfterMs = 120_000;
const epochMax = 2 ** 31 - 1;

export class FetchSessions {
  readonly #options: FetchSessionsOptions;
  /** In the order of last use, oldest first. */
  readonly #sessions = new Map<number, FetchSession>();

  constructor(options: FetchSessionsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#sessions.size;
  }

  /** Makes a session at epoch 1, or gives undefined where all slots are in use. */
  create(partitions: Map<string, FetchPartition>, usesTopicIds: boolean): FetchSession | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#sessions.size >= this.#options.slots() && !this.#evictOne(nowMs)) return undefined;
    const session: FetchSession = {
      id: this.#freshId(),
      epoch: 1,
      usesTopicIds,
      partitions,
      lastUsedMs: nowMs,
    };
    this.#sessions.set(session.id, session);
    return session;
  }

  find(id: number): FetchSession | undefined {
    return this.#sessions.get(id);
  }

  /** Notes a use and moves the session's epoch on; after the largest comes 1. */
  advance(session: FetchSession): void {
    session.epoch = session.epoch === epochMax ? 1 : session.epoch + 1;
    session.lastUsedMs = this.#options.clock.monotonicMs();
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
  }

  remove(id: number): void {
    this.#sessions.delete(id);
  }

  #evictOne(nowMs: number): boolean {
    for (const session of this.#sessions.values()) {
      if (nowMs - session.lastUsedMs < evictableAfterMs) return false;
      this.#sessions.delete(session.id);
      return true;
    }
    return false;
  }

  #freshId(): number {
    for (;;) {
      const id = this.#options.random.below(2 ** 31 - 1) + 1;
      if (!this.#sessions.has(id)) return id;
    }
  }
}

export function fetchKey(topicIdOrName: string, partition: number): string {
  return `${topicIdOrName}:${partition}`;
}
