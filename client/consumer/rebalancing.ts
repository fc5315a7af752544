/**
 * What a consumer does as its group changes: takes partitions in, gives them up when the application has finished with what it holds and
 * all of that is committed, drops what is lost, and tells the application, whose callbacks run one after another. It
 * waits for the application only so long: the group waits for this member, and puts it out when it takes too long.
 */
import type { Clock, Timer } from '../../platform/clock.ts';
import { KafkaError } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';
import type { RebalanceListener } from '../options.ts';
import { rebalanceChannel } from '../telemetry/channels.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { RebalanceTrace } from '../telemetry/payloads.ts';
import { traced } from '../telemetry/traced.ts';
import { abortable, timeLimit } from '../waiting.ts';
import type { Commits } from './commits.ts';
import type { Hand } from './hand.ts';
import type { PartitionSet } from './partition-set.ts';
import { PartitionState } from './partition-state.ts';
import type { ConsumerName } from './tracing.ts';

/** Members wait for the application to finish with what it holds, and with its callback, for this share of the rebalance timeout. */
const revokeShare = 0.8;
/** What committing may take beside, at most; and half of what is left of the rebalance timeout. */
const commitMsMax = 5_000;

export interface RebalancingParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly name: ConsumerName;
  readonly partitions: PartitionSet;
  readonly hand: Hand;
  readonly commits: Commits;
  readonly listener: RebalanceListener;
  readonly isAutoCommit: boolean;
  readonly rebalanceTimeoutMs: number;
  /** Other partitions are read, or some of them may be handed out only now. */
  onChanged(): void;
  onFailed(error: KafkaError): void;
}

export class Rebalancing {
  readonly #parts: RebalancingParts;
  /** The callback that runs and those behind it; never rejects. */
  #calls: Promise<void> = Promise.resolve();
  /** What the application was told that it has, and not yet that it goes. */
  readonly #told = new Set<PartitionState>();

  /** Fires when the consumer, which closes, has waited for callbacks long enough. */
  readonly #overdue = new AbortController();
  #closing: Timer | undefined;

  constructor(parts: RebalancingParts) {
    this.#parts = parts;
  }

  /** Nothing of them is handed out before the callback is over, so that it may seek. */
  onAssign(given: readonly TopicPartition[]): void {
    const { partitions, listener } = this.#parts;
    if (given.length === 0) return;
    const states = given.map((item) => new PartitionState(item, 'committed'));
    partitions.add(states);
    const trace = this.#note('assigned', given);
    const isTold = listener.onAssigned !== undefined;
    for (const state of states) state.isWithheld = isTold;
    // By then some may have been taken away again.
    const called = this.#call('onAssigned', () => {
      const still = states.filter((state) => partitions.read.includes(state));
      for (const state of still) this.#told.add(state);
      return still;
    });
    if (trace !== undefined) void traced(rebalanceChannel, trace, () => called);
    if (isTold) void called.then(() => this.#handOut(states));
    this.#parts.onChanged();
  }

  onRevoke(gone: readonly TopicPartition[]): Promise<void> {
    const trace = this.#note('revoked', gone);
    if (trace === undefined) return this.#giveUp(gone);
    return traced(rebalanceChannel, trace, () => this.#giveUp(gone));
  }

  async #giveUp(gone: readonly TopicPartition[]): Promise<void> {
    const { clock, partitions, hand, isAutoCommit, rebalanceTimeoutMs } = this.#parts;
    const states = partitions.giveUp(gone);
    this.#parts.onChanged();
    const deadlineMs = clock.monotonicMs() + rebalanceTimeoutMs * revokeShare;
    await hand.whenEmpty(clock, deadlineMs - clock.monotonicMs(), states);
    if (isAutoCommit) await this.#commit(states);
    await this.tellRevoked(
      states.filter((state) => partitions.isHeld(state)),
      deadlineMs - clock.monotonicMs(),
    );
    partitions.release(states);
    this.#parts.onChanged();
  }

  onLost(lost: readonly TopicPartition[]): void {
    const states = this.#parts.partitions.lose(lost);
    this.#parts.onChanged();
    const trace = this.#note('lost', lost);
    const called = this.#call('onLost', () => this.#untell(states));
    if (trace !== undefined) void traced(rebalanceChannel, trace, () => called);
  }

  /** The consumer closes: from now on the callback that runs is waited for no longer than `limitMs`, and the hand not at all. */
  close(limitMs: number): void {
    const { clock, hand } = this.#parts;
    hand.close();
    this.#closing ??= clock.after(limitMs, () => this.#overdue.abort());
  }

  /** After `close`: nothing is waited for any more. */
  end(): void {
    this.#closing?.cancel();
    this.#overdue.abort();
  }

  /** Waits for the application no longer than `limitMs`. */
  async tellRevoked(states: readonly PartitionState[], limitMs: number): Promise<void> {
    if (states.length === 0) return;
    const limit = timeLimit(this.#parts.clock, limitMs);
    const told = this.#call('onRevoked', () => this.#untell(states));
    // The group goes on without the application, as it must.
    const isLate = AbortSignal.any([limit.signal, this.#overdue.signal]);
    await abortable(told, isLate, 'wait for onRevoked').catch(() =>
      this.#parts.logger.warn({}, 'onRevoked took too long, the group goes on without it'),
    );
    limit.cancel();
  }

  /** Logs it; returns the payload where somebody looks on. */
  #note(kind: RebalanceTrace['kind'], partitions: readonly TopicPartition[]): RebalanceTrace | undefined {
    const { logger, name } = this.#parts;
    const level = kind === 'lost' ? 'warn' : 'info';
    logger[level]({ partitions }, `partitions were ${kind}`);
    return rebalanceChannel.hasSubscribers ? { ...name, kind, partitions } : undefined;
  }

  /** Those of which the application was told, and is now told otherwise. */
  #untell(states: readonly PartitionState[]): PartitionState[] {
    return states.filter((state) => this.#told.delete(state));
  }

  async #commit(states: readonly PartitionState[]): Promise<void> {
    const { clock, commits, rebalanceTimeoutMs } = this.#parts;
    const timeoutMs = Math.min(commitMsMax, (rebalanceTimeoutMs * (1 - revokeShare)) / 2);
    const limit = timeLimit(clock, timeoutMs);
    const { signal } = limit;
    const committed = commits.commitStates(states, { signal, timeoutMs });
    // The group goes on without this commit; what it would have held is read again.
    await abortable(committed, signal, 'commit').catch((error: unknown) =>
      this.#parts.logger.warn({ err: error }, 'could not commit what is given up'),
    );
    limit.cancel();
  }

  #handOut(states: readonly PartitionState[]): void {
    for (const state of states) state.isWithheld = false;
    this.#parts.onChanged();
  }

  /** What to tell is found when it is this one's turn. */
  #call(name: keyof RebalanceListener, find: () => readonly PartitionState[]): Promise<void> {
    const { listener } = this.#parts;
    this.#calls = this.#calls
      .then(() => {
        const told = find().map(({ topic, partition }) => ({ topic, partition }));
        return told.length === 0 ? undefined : listener[name]?.(told);
      })
      .catch((error: unknown) => this.#parts.onFailed(callbackError(name, error)));
    return this.#calls;
  }
}

export function callbackError(name: string, error: unknown): KafkaError {
  const text = error instanceof Error ? error.message : String(error);
  return new KafkaError('CALLBACK_FAILED', `The callback ${name} failed: ${text}`, { cause: error });
}
