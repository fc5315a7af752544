/**
 * Counts leaderships, and the time that replicas of this node know of no leader, from when they had one. What a replica has missed while
 * it was not open does not count.
 */
import type { Clock } from '../../platform/clock.ts';

/** What of a replica is looked at. */
export interface WatchedReplica {
  readonly isLeader: boolean;
  readonly leaderNode: number | undefined;
  readonly term: number;
  readonly closed: boolean;
}

interface Seen {
  /** In which this node led last; 0: in none. */
  ledTerm: number;
  /** Undefined: it has a leader, or never had one. */
  leaderlessSinceMs: number | undefined;
  hadLeader: boolean;
}

export interface LeadershipCounts {
  /** Leaderships that this node has taken. */
  readonly elections: number;
  /** How often a replica was without a leader and found one, and for how long, all in all. */
  readonly gaps: number;
  readonly gapMs: number;
}

export class LeadershipWatch {
  readonly #clock: Clock;
  readonly #seen = new WeakMap<WatchedReplica, Seen>();
  #elections = 0;
  #gaps = 0;
  #gapMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get counts(): LeadershipCounts {
    return { elections: this.#elections, gaps: this.#gaps, gapMs: this.#gapMs };
  }

  /** The replica's leader, term or members may have changed. */
  changed(replica: WatchedReplica): void {
    const seen = this.#seenOf(replica);
    if (replica.isLeader && replica.term !== seen.ledTerm) {
      seen.ledTerm = replica.term;
      this.#elections++;
    }
    const hasLeader = replica.leaderNode !== undefined;
    if (!hasLeader && seen.hadLeader && !replica.closed) seen.leaderlessSinceMs ??= this.#clock.monotonicMs();
    if (!hasLeader) return;
    seen.hadLeader = true;
    if (seen.leaderlessSinceMs === undefined) return;
    this.#gaps++;
    this.#gapMs += this.#clock.monotonicMs() - seen.leaderlessSinceMs;
    seen.leaderlessSinceMs = undefined;
  }

  #seenOf(replica: WatchedReplica): Seen {
    const known = this.#seen.get(replica);
    if (known !== undefined) return known;
    const seen = { ledTerm: 0, leaderlessSinceMs: undefined, hadLeader: false };
    this.#seen.set(replica, seen);
    return seen;
  }
}
