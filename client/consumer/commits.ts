/** Commits for one consumer: in the background, on demand, and before partitions are given up. One at a time, in order. */
import type { Timer } from '../../platform/clock.ts';
import type { Cluster, RetryLimits } from '../cluster/cluster.ts';
import { commitOnce, type CommittedOffset, type Committer } from '../group/committed-offsets.ts';
import type { Message } from '../messages.ts';
import { abortable } from '../waiting.ts';
import type { PartitionState } from './partition-state.ts';

export interface CommitsOptions {
  /** Undefined: nothing is committed by itself. */
  readonly autoCommitIntervalMs: number | undefined;
  committer(): Committer;
  states(): readonly PartitionState[];
}

export class Commits {
  readonly #cluster: Cluster;
  readonly #options: CommitsOptions;
  #timer: Timer | undefined;
  #isStopped = false;
  /** The commit under way and all that wait behind it; never rejects. */
  #tail: Promise<void> = Promise.resolve();

  constructor(cluster: Cluster, options: CommitsOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  start(): void {
    const { autoCommitIntervalMs } = this.#options;
    if (autoCommitIntervalMs === undefined || this.#isStopped) return;
    this.#timer = this.#cluster.components.clock.after(
      autoCommitIntervalMs,
      () => void this.#commitInBackground(),
    );
  }

  /** Ends the background commits; with them on, commits what is finished. Rejects where that fails. */
  async stop(signal: AbortSignal): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    if (this.#options.autoCommitIntervalMs === undefined) return;
    // A commit that is under way already may take longer than there is time for.
    await abortable(this.commitPositions({ signal }), signal, 'commit');
  }

  /** All that is finished and not committed yet. */
  commitPositions(options: RetryLimits = {}): Promise<void> {
    return this.commitStates(this.#options.states(), options);
  }

  commitStates(states: readonly PartitionState[], options: RetryLimits = {}): Promise<void> {
    const changed = states.filter(
      (state) => state.target === undefined && state.position !== state.committed,
    );
    const offsets = changed.map((state) => ({
      topic: state.topic,
      partition: state.partition,
      offset: state.position,
      leaderEpoch: state.positionEpoch,
    }));
    return this.#commit(offsets, options);
  }

  /** The messages are done: their partitions' commits go right behind the highest of each. */
  commitMessages(messages: readonly Message[], options: RetryLimits): Promise<void> {
    const highest = new Map<string, CommittedOffset>();
    for (const { topic, partition, offset, leaderEpoch } of messages) {
      const key = `${topic}/${partition}`;
      if (offset + 1 > (highest.get(key)?.offset ?? -1))
        highest.set(key, { topic, partition, offset: offset + 1, leaderEpoch });
    }
    const offsets = [...highest.values()];
    for (const { topic, partition, offset, leaderEpoch } of offsets) {
      // What is committed by hand is finished, or a later commit of what was finished before would take it back.
      const state = this.#stateOf(topic, partition);
      if (state === undefined || state.target !== undefined) continue;
      if (offset > state.position && offset <= state.readOffset) state.finish(offset, leaderEpoch);
    }
    return this.#commit(offsets, options);
  }

  #commit(offsets: readonly CommittedOffset[], options: RetryLimits): Promise<void> {
    if (offsets.length === 0) return this.#tail;
    const done = this.#tail.then(() => this.#send(offsets, options));
    // Each caller hears of its own failure.
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #send(offsets: readonly CommittedOffset[], options: RetryLimits): Promise<void> {
    const committer = this.#options.committer();
    const doing = `commit offsets for the group ${committer.groupId}`;
    const attempt = (): Promise<void> =>
      commitOnce(this.#cluster, committer, offsets, { signal: options.signal });
    await this.#cluster.retry(doing, attempt, options);
    for (const { topic, partition, offset } of offsets) {
      const state = this.#stateOf(topic, partition);
      if (state !== undefined) state.committed = offset;
    }
  }

  #stateOf(topic: string, partition: number): PartitionState | undefined {
    return this.#options.states().find((item) => item.topic === topic && item.partition === partition);
  }

  async #commitInBackground(): Promise<void> {
    // The next round tries again; what is never committed is read again.
    await this.commitPositions().catch(() => undefined);
    this.start();
  }
}
