/**
 * Runs one state machine over one partition's log for one term of leadership: the only caller of the machine, the only
 * writer of that log on behalf of it, and the only keeper of its timers.
 *
 * Invariants: the machine has seen every committed record before its first command; each step's records are appended at
 * once and in order; a reply leaves only when everything appended until its step is committed. Where the log takes nothing for a while
 * (leadership is on its way to another node, and may not get there), no further step is made until it has taken the records of the last, and
 * no timer runs.
 * Losing leadership, a failed append and a step that throws end the shard for good: machine, timers and undelivered replies are dropped,
 * and whoever waits learns that this is not the coordinator (any more). Another shard begins with what the log has.
 */
import { assert } from '../../platform/assert.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import { CoordinatorLogError } from './coordinator-log.ts';
import type { CoordinatorLog, CoordinatorRecord } from './coordinator-log.ts';
import { replayLog } from './loader.ts';
import type { Effects, RequestId, StateMachine } from './state-machine.ts';
import { ShardTimers } from './shard-timers.ts';
import type { ShardTimer } from './shard-timers.ts';

export type ShardState = 'loading' | 'active' | 'failed' | 'unloaded';

/** Why a shard could not answer: it is still replaying its log, its log takes nothing just now, or it is not the coordinator (any more). */
export type Unavailability = 'loading' | 'busy' | 'not-coordinator';

export type Outcome<Reply> =
  | { readonly kind: 'replied'; readonly reply: Reply }
  | { readonly kind: 'unavailable'; readonly reason: Unavailability };

export interface ShardOptions<Command, Reply, TimerEvent> {
  readonly log: CoordinatorLog;
  readonly clock: Clock;
  readonly machine: StateMachine<Command, Reply, TimerEvent>;
  /** Largest batch to append, in bytes; live. */
  readonly batchSizeBytesMax: () => number;
  /** Told once when loading or an append has failed (not when leadership is lost). */
  readonly onFailure: (cause: unknown) => void;
}

type Replies<Reply> = readonly (readonly [RequestId, Reply])[];

interface HeldReplies<Reply> {
  readonly endOffset: number;
  readonly replies: Replies<Reply>;
}

/** A step whose records the log has not taken yet. */
interface Refused<Reply> {
  /** In order; those before have been taken. */
  readonly batches: (readonly CoordinatorRecord[])[];
  readonly replies: Replies<Reply>;
}

/** Batch header, and what a record costs beyond its key and value: an upper bound. */
const batchOverheadBytes = 128;
const recordOverheadBytes = 32;

/** How long until a log is asked again that has refused records. */
const refusedPauseMs = 20;

const notCoordinator: Outcome<never> = { kind: 'unavailable', reason: 'not-coordinator' };
const loadInProgress: Outcome<never> = { kind: 'unavailable', reason: 'loading' };
const isBusy: Outcome<never> = { kind: 'unavailable', reason: 'busy' };

export class CoordinatorShard<Command, Reply, TimerEvent> {
  readonly #log: CoordinatorLog;
  readonly #clock: Clock;
  readonly #machine: StateMachine<Command, Reply, TimerEvent>;
  readonly #batchSizeBytesMax: () => number;
  readonly #onFailure: (cause: unknown) => void;
  readonly #timers = new ShardTimers<TimerEvent>();
  /** Those who wait for a reply, in order of asking. */
  readonly #waiting = new Map<RequestId, (outcome: Outcome<Reply>) => void>();
  /** Replies whose step is not committed yet, in order of `endOffset`. */
  #held: HeldReplies<Reply>[] = [];
  #state: ShardState = 'loading';
  #lastRequest = 0;
  /** End of all that was replayed or appended; >= the log's committed offset as far as the machine knows it. */
  #appendedEndOffset = 0;
  #refused: Refused<Reply> | undefined = undefined;
  #retry: Timer | undefined = undefined;
  /** When the log began to take nothing. */
  #refusedSinceMs = 0;
  /** For how long, all in all, timers stood still because the log took nothing. */
  #stoodStillMs = 0;
  #wakeUp: { readonly timer: Timer; readonly deadlineMs: number } | undefined = undefined;

  constructor(options: ShardOptions<Command, Reply, TimerEvent>) {
    this.#log = options.log;
    this.#clock = options.clock;
    this.#machine = options.machine;
    this.#batchSizeBytesMax = options.batchSizeBytesMax;
    this.#onFailure = options.onFailure;
  }

  get state(): ShardState {
    return this.#state;
  }

  get term(): number {
    return this.#log.term;
  }

  /** Committed records, by offset, that the machine has not seen. Those that compaction has removed count until they are passed. */
  get applyLagRecords(): number {
    const { startOffset, committedOffset } = this.#log;
    return Math.max(0, committedOffset - Math.max(this.#appendedEndOffset, startOffset));
  }

  /** Replays the log, then takes commands. Call once. Settles when the shard is active or has ended; never rejects. */
  async load(): Promise<void> {
    try {
      const endOffset = await this.#log.ready();
      await replayLog({
        log: this.#log,
        endOffset,
        clock: this.#clock,
        replay: (record) => {
          this.#machine.replay(record);
          this.#appendedEndOffset = record.offset + 1;
        },
        stopped: () => this.#state !== 'loading',
      });
      if (this.#state === 'loading') this.#activate(endOffset);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Leadership is lost (or the node stops): ends the shard. May be called in any state, and again. */
  unload(): void {
    if (this.#state === 'unloaded') return;
    this.#state = 'unloaded';
    this.#discard();
  }

  /** Gives a command to the machine. Never rejects for a reason of the environment. */
  submit(command: Command): Promise<Outcome<Reply>> {
    if (this.#state === 'loading') return Promise.resolve(loadInProgress);
    if (this.#state !== 'active') return Promise.resolve(notCoordinator);
    if (this.#refused !== undefined) return Promise.resolve(isBusy);
    this.#lastRequest += 1;
    const request = this.#lastRequest;
    const outcome = new Promise<Outcome<Reply>>((resolve) => this.#waiting.set(request, resolve));
    this.#step((effects) => this.#machine.execute(command, request, effects));
    return outcome;
  }

  /** Whether this is the coordinator still, as a majority says: what it has answered without a record is then current. */
  async confirm(): Promise<boolean> {
    return this.#state === 'active' && (await this.#log.confirmLeadership()) && this.#state === 'active';
  }

  #activate(endOffset: number): void {
    this.#state = 'active';
    this.#appendedEndOffset = endOffset;
    this.#log.observe({
      committed: (committedOffset) => this.#release(committedOffset),
      lost: (error) => this.#fail(error),
    });
    this.#step((effects) => this.#machine.activate(effects));
  }

  #step(run: (effects: Effects<Reply, TimerEvent>) => void): void {
    const step = new Step<Reply, TimerEvent>(this.#timers, {
      monotonicMs: this.#timersMs(),
      wallMs: this.#clock.wallMs(),
      recordSizeBytesMax: this.#batchSizeBytesMax() - batchOverheadBytes - recordOverheadBytes,
    });
    try {
      run(step);
    } catch (error) {
      // The machine may have changed by half.
      this.#fail(error);
      return;
    }
    const { records, replies } = step;
    const batches = records.length === 0 ? [] : [...splitIntoBatches(records, this.#batchSizeBytesMax())];
    this.#append({ batches, replies });
  }

  /** Ends the shard where the log takes the records no more. */
  #append(step: Refused<Reply>): void {
    try {
      for (let batch = step.batches[0]; batch !== undefined; batch = step.batches[0]) {
        const { endOffset } = this.#log.append(batch);
        assert(
          endOffset > this.#appendedEndOffset,
          'an append of a coordinator must move the end of its log',
        );
        this.#appendedEndOffset = endOffset;
        step.batches.shift();
      }
    } catch (error) {
      if (!(error instanceof CoordinatorLogError)) throw error;
      if (error.code === 'refused') this.#appendLater(step);
      else this.#fail(error);
      return;
    }
    if (this.#refused !== undefined) this.#stoodStillMs += this.#clock.monotonicMs() - this.#refusedSinceMs;
    this.#refused = undefined;
    if (step.replies.length > 0) {
      this.#held.push({ endOffset: this.#appendedEndOffset, replies: step.replies });
      this.#release(this.#log.committedOffset);
    }
    this.#scheduleWakeUp();
  }

  #appendLater(step: Refused<Reply>): void {
    if (this.#refused === undefined) this.#refusedSinceMs = this.#clock.monotonicMs();
    this.#refused = step;
    this.#retry = this.#clock.after(refusedPauseMs, () => {
      if (this.#state === 'active') this.#append(step);
    });
  }

  #release(committedOffset: number): void {
    if (this.#state !== 'active') return;
    let released = 0;
    for (const held of this.#held) {
      if (held.endOffset > committedOffset) break;
      released += 1;
      for (const [request, reply] of held.replies) {
        const resolve = this.#waiting.get(request);
        assert(resolve !== undefined, 'a coordinator must answer each request once');
        this.#waiting.delete(request);
        resolve({ kind: 'replied', reply });
      }
    }
    if (released > 0) this.#held.splice(0, released);
  }

  /** Keeps one timer of the clock set for the first deadline. A deadline that moved away is noticed when it comes up. */
  #scheduleWakeUp(): void {
    const deadlineMs = this.#timers.nextDeadlineMs;
    if (deadlineMs === undefined || this.#refused !== undefined) return;
    if (this.#wakeUp !== undefined) {
      if (this.#wakeUp.deadlineMs <= deadlineMs) return;
      this.#wakeUp.timer.cancel();
    }
    // Whole: a fraction that is lost in the sums would bring it up for ever a little before its time.
    const delayMs = Math.ceil(Math.max(0, deadlineMs - this.#timersMs()));
    this.#wakeUp = { timer: this.#clock.after(delayMs, () => this.#expireTimers()), deadlineMs };
  }

  #expireTimers(): void {
    this.#wakeUp = undefined;
    const nowMs = this.#timersMs();
    while (this.#state === 'active' && this.#refused === undefined) {
      const event = this.#timers.popDue(nowMs);
      if (event === undefined) break;
      this.#step((effects) => this.#machine.expire(event, effects));
    }
    if (this.#state === 'active') this.#scheduleWakeUp();
  }

  /** What timers go by. It stands still while the log takes nothing: nobody can be heard of then. */
  #timersMs(): number {
    return this.#clock.monotonicMs() - this.#stoodStillMs;
  }

  #fail(cause: unknown): void {
    if (this.#state !== 'loading' && this.#state !== 'active') return;
    this.#state = 'failed';
    this.#discard();
    if (!(cause instanceof CoordinatorLogError && cause.code === 'not-leader')) this.#onFailure(cause);
  }

  #discard(): void {
    this.#wakeUp?.timer.cancel();
    this.#wakeUp = undefined;
    this.#retry?.cancel();
    this.#refused = undefined;
    this.#held = [];
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const resolve of waiting) resolve(notCoordinator);
  }
}

class Step<Reply, TimerEvent> implements Effects<Reply, TimerEvent> {
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly recordSizeBytesMax: number;
  readonly records: CoordinatorRecord[] = [];
  readonly replies: (readonly [RequestId, Reply])[] = [];
  readonly #timers: ShardTimers<TimerEvent>;

  constructor(
    timers: ShardTimers<TimerEvent>,
    limits: { monotonicMs: number; wallMs: number; recordSizeBytesMax: number },
  ) {
    this.#timers = timers;
    this.monotonicMs = limits.monotonicMs;
    this.wallMs = limits.wallMs;
    this.recordSizeBytesMax = limits.recordSizeBytesMax;
  }

  append(key: Buffer, value: Buffer | null): void {
    this.records.push({ key, value, timestamp: this.wallMs });
  }

  reply(request: RequestId, reply: Reply): void {
    this.replies.push([request, reply]);
  }

  arm(timer: ShardTimer<TimerEvent>, delayMs: number): void {
    this.#timers.arm(timer, this.monotonicMs + delayMs);
  }

  disarm(timer: ShardTimer<TimerEvent>): void {
    this.#timers.disarm(timer);
  }
}

/**
 * Cuts a step's records where they would outgrow a batch. A crash can then leave the first batches without the rest;
 * that is fine for what machines append in bulk (offsets, tombstones), each of which stands for itself and is
 * acknowledged only with the last.
 */
function* splitIntoBatches(
  records: readonly CoordinatorRecord[],
  batchSizeBytesMax: number,
): Generator<readonly CoordinatorRecord[]> {
  let start = 0;
  let sizeBytes = batchOverheadBytes;
  for (const [index, record] of records.entries()) {
    const recordSizeBytes = record.key.length + (record.value?.length ?? 0) + recordOverheadBytes;
    if (index > start && sizeBytes + recordSizeBytes > batchSizeBytesMax) {
      yield records.slice(start, index);
      start = index;
      sizeBytes = batchOverheadBytes;
    }
    sizeBytes += recordSizeBytes;
  }
  yield start === 0 ? records : records.slice(start);
}
