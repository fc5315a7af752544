/**
 * Commits for one consumer: in the background, on demand, and before partitions are given up. One at a time, in order. An offset is
 * committed as long as the partition is held, since when the commit was asked for: who had it since then may have committed more.
 */
import type { Timer } from '../../platform/clock.ts';
import type { Cluster, RetryLimits } from '../cluster/cluster.ts';
import { KafkaError, toKafkaError } from '../errors.ts';
import {
  commitOnce,
  type CommittedOffset,
  type Committer,
  type RefusedOffset,
} from '../group/committed-offsets.ts';
import type { Message, TopicPartition } from '../messages.ts';
import { commitChannel } from '../telemetry/channels.ts';
import { traced } from '../telemetry/traced.ts';
import { abortable } from '../waiting.ts';
import type { PartitionSet } from './partition-set.ts';
import type { PartitionState } from './partition-state.ts';

export interface CommitsOptions {
  /** Undefined: nothing is committed by itself. */
  readonly autoCommitIntervalMs: number | undefined;
  readonly partitions: PartitionSet;
  /** Whether a group says which partitions are whose. */
  readonly isMember: boolean;
  committer(): Committer;
}

interface Commit {
  readonly offset: CommittedOffset;
  /** The partition when the commit was asked for; undefined where it was not held. */
  readonly state: PartitionState | undefined;
}

/** The group has changed. Who has the partition still may commit under the number that it goes by then. */
const changed: ReadonlySet<string> = new Set(['ILLEGAL_GENERATION', 'STALE_MEMBER_EPOCH']);

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
    return this.commitStates(this.#options.partitions.held, options);
  }

  commitStates(states: readonly PartitionState[], options: RetryLimits = {}): Promise<void> {
    const changed = states.filter(
      (state) => state.target === undefined && state.position !== state.committed,
    );
    const commits = changed.map((state) => ({
      state,
      offset: {
        topic: state.topic,
        partition: state.partition,
        offset: state.position,
        leaderEpoch: state.positionEpoch,
      },
    }));
    return this.#commit(commits, options);
  }

  /** The messages are done: their partitions' commits go right behind the highest of each. */
  commitMessages(messages: readonly Message[], options: RetryLimits): Promise<void> {
    const highest = new Map<string, CommittedOffset>();
    for (const { topic, partition, offset, leaderEpoch } of messages) {
      const key = `${topic}/${partition}`;
      if (offset + 1 > (highest.get(key)?.offset ?? -1))
        highest.set(key, { topic, partition, offset: offset + 1, leaderEpoch });
    }
    const commits = [...highest.values()].map((item) => {
      const state = this.#options.partitions.findHeld(item);
      if (state !== undefined) finish(state, item);
      return { offset: item, state };
    });
    return this.#commit(commits, options);
  }

  #commit(commits: readonly Commit[], options: RetryLimits): Promise<void> {
    if (commits.length === 0) return this.#tail;
    const done = this.#tail.then(() => this.#send(commits, options));
    // Each caller hears of its own failure.
    this.#tail = done.catch(() => undefined);
    return done;
  }

  #send(commits: readonly Commit[], options: RetryLimits): Promise<void> {
    if (!commitChannel.hasSubscribers) return this.#sendUntraced(commits, options);
    const { clientId } = this.#cluster.components.settings;
    const { groupId } = this.#options.committer();
    const offsets = commits.map(({ offset: { topic, partition, offset } }) => ({ topic, partition, offset }));
    return traced(commitChannel, { clientId, groupId, offsets }, () => this.#sendUntraced(commits, options));
  }

  async #sendUntraced(commits: readonly Commit[], options: RetryLimits): Promise<void> {
    const { groupId } = this.#options.committer();
    const gone: Commit[] = [];
    let due = commits;
    const attempt = async (): Promise<void> => {
      gone.push(...due.filter((commit) => !this.#mayCommit(commit)));
      due = due.filter((commit) => this.#mayCommit(commit));
      const refused = await this.#try(due, options.signal);
      due = due.filter(({ offset }) => refused.some((item) => isSame(item, offset)));
      if (refused[0] !== undefined) throw this.#judged(refused[0].error);
    };
    await this.#cluster.retry(`commit offsets for the group ${groupId}`, attempt, options);
    if (gone[0] !== undefined) throw goneError(gone[0].offset, groupId);
  }

  /** One attempt; returns what was refused. */
  async #try(commits: readonly Commit[], signal: AbortSignal | undefined): Promise<readonly RefusedOffset[]> {
    if (commits.length === 0) return [];
    const offsets = commits.map(({ offset }) => offset);
    try {
      const refused = await commitOnce(this.#cluster, this.#options.committer(), offsets, { signal });
      for (const { state, offset } of commits) {
        const isTaken = !refused.some((item) => isSame(item, offset));
        if (state !== undefined && isTaken) state.committed = offset.offset;
      }
      return refused;
    } catch (error) {
      throw this.#judged(toKafkaError(error, 'commit offsets'));
    }
  }

  /** Whether to try again. The member learns of a change while it takes part; once it has stopped, only that of others can pass. */
  #judged(error: KafkaError): KafkaError {
    const { code, message } = error;
    const mayPass = code === 'REBALANCE_IN_PROGRESS' || (changed.has(code) && !this.#isStopped);
    return this.#options.isMember && mayPass ? new KafkaError(code, message, { retriable: true }) : error;
  }

  #mayCommit({ state }: Commit): boolean {
    if (!this.#options.isMember) return true;
    return state !== undefined && this.#options.partitions.isHeld(state);
  }

  async #commitInBackground(): Promise<void> {
    // The next round tries again; what is never committed is read again.
    const timeoutMs = this.#options.autoCommitIntervalMs;
    const { logger } = this.#cluster.components;
    await this.commitPositions({ timeoutMs }).catch((error: unknown) =>
      logger.warn({ err: error }, 'could not commit in the background'),
    );
    this.start();
  }
}

function isSame(one: TopicPartition, other: TopicPartition): boolean {
  return one.topic === other.topic && one.partition === other.partition;
}

function finish(state: PartitionState, { offset, leaderEpoch }: CommittedOffset): void {
  if (state.target !== undefined) return;
  // What is committed by hand is finished, or a later commit of what was finished before would take it back.
  if (offset > state.position && offset <= state.readOffset) state.finish(offset, leaderEpoch);
}

function goneError({ topic, partition }: CommittedOffset, groupId: string): KafkaError {
  return new KafkaError(
    'ILLEGAL_GENERATION',
    `Could not commit the offset of ${topic}-${partition} for the group ${groupId}: the group has given the partition to another member, which reads again what was not committed.`,
  );
}
