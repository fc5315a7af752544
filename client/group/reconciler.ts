/**
 * Brings what a member of a group of KIP-848 has to what its coordinator wants it to have: first it gives up what it is not to have any
 * more, which its next heartbeat acknowledges, then it takes what is new. The coordinator gives nothing that another member still has. One
 * change at a time; a newer target counts as soon as the one under way is over.
 */
import type { Cluster } from '../cluster/cluster.ts';
import type { TopicPartition } from '../messages.ts';
import type { MembershipEvents } from './membership.ts';
import { TopicNames } from './topic-names.ts';

export interface OwnedPartition extends TopicPartition {
  readonly topicId: string;
}

/** As the coordinator says it. */
export type Target = readonly { readonly topicId: string; readonly partitions: readonly number[] }[];

interface WantedPartition {
  readonly topicId: string;
  readonly partition: number;
}

export interface ReconcilerOptions {
  /** What is owned has changed: the coordinator is to hear of it. */
  readonly onChanged: () => void;
  /** Ends it, the change under way included. */
  readonly signal: AbortSignal;
}

export class Reconciler {
  readonly #cluster: Cluster;
  readonly #events: Pick<MembershipEvents, 'onRevoke' | 'onAssign' | 'onLost'>;
  readonly #options: ReconcilerOptions;
  readonly #names: TopicNames;
  #target: Target | undefined;
  #owned: readonly OwnedPartition[] = [];
  #isRunning = false;
  /** In a row: looks for the names of topics that found not all of them. */
  #misses = 0;

  constructor(
    cluster: Cluster,
    events: Pick<MembershipEvents, 'onRevoke' | 'onAssign' | 'onLost'>,
    options: ReconcilerOptions,
  ) {
    this.#cluster = cluster;
    this.#events = events;
    this.#options = options;
    this.#names = new TopicNames(cluster);
  }

  /** Another array when it has changed. */
  get owned(): readonly OwnedPartition[] {
    return this.#owned;
  }

  /** This is what the member is to have from now on. */
  aim(target: Target): void {
    this.#target = target;
    this.#misses = 0;
    if (!this.#isRunning) void this.#run();
  }

  /** The coordinator has put the member out: all is gone at once, and there is no target. */
  lose(): void {
    const lost = this.#owned;
    this.#target = undefined;
    this.#owned = [];
    if (lost.length > 0) this.#events.onLost(lost.map(named));
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (!this.#options.signal.aborted) {
      const target = this.#target;
      if (target === undefined) break;
      const isThrough = await this.#step(target);
      if (isThrough && target === this.#target) break;
    }
    this.#isRunning = false;
  }

  /** True where there is nothing left to do. */
  async #step(target: Target): Promise<boolean> {
    const wanted = new Map(
      target.flatMap(({ topicId, partitions }) =>
        partitions.map((partition) => [keyOf({ topicId, partition }), { topicId, partition }] as const),
      ),
    );
    const gone = this.#owned.filter((item) => !wanted.has(keyOf(item)));
    if (gone.length > 0) {
      await this.#giveUp(gone);
      return false;
    }
    for (const item of this.#owned) wanted.delete(keyOf(item));
    if (wanted.size === 0) return true;
    return this.#take(target, [...wanted.values()]);
  }

  async #giveUp(gone: readonly OwnedPartition[]): Promise<void> {
    await this.#events.onRevoke(gone.map(named));
    // Meanwhile all may have been lost; what is not there any more is not told again.
    const before = this.#owned;
    const after = before.filter((item) => !gone.includes(item));
    if (after.length < before.length) this.#change(after);
  }

  async #take(target: Target, wanted: readonly WantedPartition[]): Promise<boolean> {
    const { signal } = this.#options;
    this.#names.retain(new Set(target.map(({ topicId }) => topicId)));
    const ids = new Set(wanted.map(({ topicId }) => topicId));
    // Where nobody can be asked now, somebody will be later.
    const names = await this.#names.resolve(ids, signal).catch(() => new Map<string, string>());
    if (signal.aborted || target !== this.#target) return false;
    const taken = wanted.flatMap(({ topicId, partition }): OwnedPartition[] => {
      const topic = names.get(topicId);
      return topic === undefined ? [] : [{ topicId, topic, partition }];
    });
    if (taken.length > 0) {
      this.#change([...this.#owned, ...taken]);
      this.#events.onAssign(taken.map(named));
    }
    if (taken.length === wanted.length) return true;
    this.#misses++;
    // Stopping ends the pause early; the loop then sees it.
    await this.#cluster.pause(this.#cluster.pauseMs(this.#misses), signal).catch(() => undefined);
    return false;
  }

  #change(owned: readonly OwnedPartition[]): void {
    this.#owned = owned;
    this.#options.onChanged();
  }
}

function keyOf({ topicId, partition }: WantedPartition): string {
  return `${topicId}/${partition}`;
}

function named({ topic, partition }: OwnedPartition): TopicPartition {
  return { topic, partition };
}
