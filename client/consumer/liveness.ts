/**
 * Tells when a consumer reads nothing though it should, and when it does again; when its heartbeats fail; and when the process stood still for
 * so long that heartbeats may have been missed. It changes nothing: whatever has stalled goes on trying by itself.
 */
import type { Clock, Timer } from '../../platform/clock.ts';
import type { KafkaError } from '../errors.ts';
import {
  eventLoopStalledChannel,
  heartbeatFailedChannel,
  recoveredChannel,
  stalledChannel,
} from '../telemetry/channels.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { EventLoopStalled, HeartbeatFailed, Stall } from '../telemetry/payloads.ts';
import type { PartitionState } from './partition-state.ts';
import type { ConsumerName } from './tracing.ts';
import { lookAt, reasonOf, type Sight, type StallContext } from './stall.ts';

export interface LivenessOptions {
  readonly stalledAfterMs: number;
  /** Undefined where there is no group, or the broker decides. */
  readonly sessionTimeoutMs: number | undefined;
  readonly rebalanceTimeoutMs: number;
  readonly isReadCommitted: boolean;
  readonly onStalled: ((stall: Stall) => void) | undefined;
  readonly onRecovered: ((stall: Stall) => void) | undefined;
}

export interface LivenessParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly name: ConsumerName;
  /** What is read now. */
  readonly partitions: () => readonly PartitionState[];
  readonly hasLeader: (state: PartitionState) => boolean;
  /** A callback threw. */
  readonly onFailed: (name: string, error: unknown) => void;
}

/** Between looks, at most; and the share of `stalledAfterMs` that they may be late by. */
const lookMsMax = 1_000;
const lookShare = 1 / 4;
/** The process counts as having stood still from here on, or from a third of the session, where heartbeats are due. */
const blockedMsMin = 1_000;
const sessionShare = 1 / 3;

export class Liveness {
  readonly #parts: LivenessParts;
  readonly #options: LivenessOptions;
  readonly #lookMs: number;
  #sights = new Map<PartitionState, Sight>();
  #timer: Timer | undefined;
  #stall: Stall | undefined;
  /** Heartbeats that failed in a row, and when they began to. */
  #failures = 0;
  #failingSinceMs = 0;
  #heartbeatError: KafkaError | undefined;

  constructor(parts: LivenessParts, options: LivenessOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#lookMs = Math.min(lookMsMax, options.stalledAfterMs * lookShare);
  }

  start(): void {
    const dueMs = this.#nowMs() + this.#lookMs;
    this.#timer = this.#parts.clock.after(this.#lookMs, () => {
      this.start();
      this.#noteLateness(this.#nowMs() - dueMs);
      this.#look();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** The coordinator has answered as it should, or could not be asked, or refused. */
  heartbeat(error: KafkaError | undefined): void {
    if (error === undefined) {
      this.#failures = 0;
      this.#heartbeatError = undefined;
      return;
    }
    if (this.#failures === 0) this.#failingSinceMs = this.#nowMs();
    this.#failures++;
    this.#heartbeatError = error;
    const { logger, name } = this.#parts;
    const { clientId, groupId = '' } = name;
    const failingForMs = Math.round(this.#nowMs() - this.#failingSinceMs);
    logger.warn({ err: error, failures: this.#failures, failingForMs }, 'the group cannot be reached');
    if (!heartbeatFailedChannel.hasSubscribers) return;
    const event: HeartbeatFailed = { clientId, groupId, error, failures: this.#failures, failingForMs };
    heartbeatFailedChannel.publish(event);
  }

  #look(): void {
    const stall = this.#findStall();
    if (stall !== undefined && this.#stall === undefined) this.#tellStalled(stall);
    else if (stall === undefined && this.#stall !== undefined) this.#tellRecovered(this.#stall);
  }

  #findStall(): Stall | undefined {
    const { name, partitions, hasLeader } = this.#parts;
    const { stalledAfterMs, isReadCommitted } = this.#options;
    const nowMs = this.#nowMs();
    const context: StallContext = { nowMs, isReadCommitted, hasLeader };
    const sights = new Map<PartitionState, Sight>();
    for (const state of partitions()) sights.set(state, lookAt(state, this.#sights.get(state), context));
    this.#sights = sights;
    const stalled = [...sights].filter(([, { wellAtMs }]) => nowMs - wellAtMs >= stalledAfterMs);
    const [worst] = stalled.toSorted(([, a], [, b]) => a.wellAtMs - b.wellAtMs);
    const isAlone = this.#failures > 0 && nowMs - this.#failingSinceMs >= stalledAfterMs;
    if (worst === undefined && !isAlone) return undefined;
    const sinceMs = worst === undefined ? this.#failingSinceMs : worst[1].wellAtMs;
    return {
      ...name,
      reason: worst === undefined ? 'heartbeat-failing' : reasonOf(...worst, context),
      forMs: Math.round(nowMs - sinceMs),
      partitions: stalled.map(([{ topic, partition }]) => ({ topic, partition })),
      error: worst?.[0].trouble ?? this.#heartbeatError,
    };
  }

  #tellStalled(stall: Stall): void {
    this.#stall = stall;
    const { reason, forMs, partitions, error } = stall;
    this.#parts.logger.warn({ err: error, reason, forMs, partitions }, 'the consumer has stalled');
    if (stalledChannel.hasSubscribers) stalledChannel.publish(stall);
    this.#call('onStalled', stall);
  }

  #tellRecovered(stall: Stall): void {
    this.#stall = undefined;
    this.#parts.logger.info({ reason: stall.reason }, 'the consumer has recovered');
    if (recoveredChannel.hasSubscribers) recoveredChannel.publish(stall);
    this.#call('onRecovered', stall);
  }

  #call(name: 'onStalled' | 'onRecovered', stall: Stall): void {
    try {
      this.#options[name]?.(stall);
    } catch (error) {
      this.#parts.onFailed(name, error);
    }
  }

  /** A timer that fires late says how long nothing else could run. */
  #noteLateness(lateMs: number): void {
    const { sessionTimeoutMs, rebalanceTimeoutMs } = this.#options;
    // What was not read meanwhile is no stall: nobody could read. One that was there goes on.
    if (lateMs >= blockedMsMin && this.#stall === undefined) this.#sights.clear();
    const limitMs = Math.max(blockedMsMin, (sessionTimeoutMs ?? 0) * sessionShare);
    if (lateMs < limitMs) return;
    const { logger, name } = this.#parts;
    const blockedMs = Math.round(lateMs);
    const event: EventLoopStalled = { ...name, blockedMs, sessionTimeoutMs, rebalanceTimeoutMs };
    logger.warn({ blockedMs, sessionTimeoutMs, rebalanceTimeoutMs }, 'the event loop was blocked');
    if (eventLoopStalledChannel.hasSubscribers) eventLoopStalledChannel.publish(event);
  }

  #nowMs(): number {
    return this.#parts.clock.monotonicMs();
  }
}
