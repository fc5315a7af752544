/**
 * What a node may send to members that are to join groups which it leads, over all its groups: as entries, or as pieces of files.
 *
 * Only members that do not vote yet are slowed down: nobody waits for what they hold, while a voter that lags may be the one that a
 * majority needs. Three limits hold, each where it applies: one for all entries that are sent for catching up
 * (`kappalog.catch.up.bytes.per.second`; pieces of files are counted where they arrive), and Kafka's throttles of
 * replication for leaders and for followers, for the replicas that are named.
 */
import type { Clock } from '../../../../platform/clock.ts';
import { ByteBudget } from './byte-budget.ts';

/** Kafka's throttles. Live; all rates in bytes per second, Infinity for none. */
export interface ReplicationThrottles {
  /** Whether what this node sends of this group is throttled, and what it is sent to this node. */
  isLeaderThrottled(group: string): boolean;
  isFollowerThrottled(group: string, nodeId: number): boolean;
  /** Whether what that node sends this one of this group is throttled. */
  isCopyThrottled(group: string, from: number): boolean;
  /** Of all that this node sends of throttled groups, and of its share in what a node may be sent. */
  leaderPerSecondMax(): number;
  followerPerSecondMax(nodeId: number): number;
}

export interface SendPaceOptions {
  readonly clock: Clock;
  /** Of all entries sent for catching up. Live. */
  readonly entriesPerSecondMax: () => number;
  /** Undefined: there are none. */
  readonly throttles?: ReplicationThrottles | undefined;
}

export interface WantedBytes {
  readonly kind: 'entries' | 'files';
  readonly group: string;
  /** The node that they are for. */
  readonly to: number;
  readonly bytesMax: number;
  /** Asked while it waits: whether they are still wanted, and are to be waited for. */
  readonly state: () => 'waiting' | 'free' | 'unwanted';
}

export interface Grant {
  /** At most so many are to be sent now, but for a single larger batch. */
  readonly bytesMax: number;
  /** Call once, with what was sent. */
  used(sizeBytes: number): void;
}

/** What is granted at one time is sent in about this time. */
const grantMs = 250;
const grantBytesMin = 1024;
/** Rates and states are looked at again after so long, at the latest. */
const waitMsMax = 50;

export class SendPace {
  readonly #clock: Clock;
  readonly #throttles: ReplicationThrottles | undefined;
  readonly #entries: ByteBudget;
  readonly #leader: ByteBudget;
  readonly #followers = new Map<number, ByteBudget>();
  #sentBytes = 0;

  constructor({ clock, entriesPerSecondMax, throttles }: SendPaceOptions) {
    this.#clock = clock;
    this.#throttles = throttles;
    this.#entries = new ByteBudget(clock, entriesPerSecondMax);
    this.#leader = new ByteBudget(clock, () => throttles?.leaderPerSecondMax() ?? Infinity);
  }

  /** Bytes that were sent to members that catch up. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Resolves when they may be sent; undefined where they are not wanted any more. */
  async grant(wanted: WantedBytes): Promise<Grant | undefined> {
    const budgets = this.#budgetsOf(wanted);
    const rate = Math.min(...budgets.map(({ bytesPerSecondMax }) => bytesPerSecondMax));
    const bytesMax = Math.min(wanted.bytesMax, Math.max(grantBytesMin, (rate * grantMs) / 1000));
    const turns = budgets.map((budget) => ({ budget, turn: budget.take(bytesMax) }));
    for (;;) {
      const state = wanted.state();
      const waitMs = Math.max(0, ...turns.map(({ budget, turn }) => budget.waitMs(turn)));
      if (state === 'unwanted') {
        for (const budget of budgets) budget.giveBack(bytesMax);
        return undefined;
      }
      if (state === 'free' || waitMs === 0) break;
      await this.#pause(Math.min(waitMs, waitMsMax));
    }
    return {
      bytesMax: Math.floor(bytesMax),
      used: (sizeBytes) => {
        this.#sentBytes += sizeBytes;
        for (const budget of budgets) budget.giveBack(bytesMax - sizeBytes);
      },
    };
  }

  #budgetsOf({ kind, group, to }: WantedBytes): ByteBudget[] {
    const throttles = this.#throttles;
    return [
      ...(kind === 'entries' ? [this.#entries] : []),
      ...(throttles?.isLeaderThrottled(group) === true ? [this.#leader] : []),
      ...(throttles?.isFollowerThrottled(group, to) === true ? [this.#follower(to)] : []),
    ];
  }

  /** One for each node of the cluster, at most. */
  #follower(nodeId: number): ByteBudget {
    const known = this.#followers.get(nodeId);
    if (known !== undefined) return known;
    const budget = new ByteBudget(
      this.#clock,
      () => this.#throttles?.followerPerSecondMax(nodeId) ?? Infinity,
    );
    this.#followers.set(nodeId, budget);
    return budget;
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(delayMs, resolve);
    });
  }
}
