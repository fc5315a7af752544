/**
 * One run of a replay: reads, decides, writes, remembers. It owns the positions; invariant: everything before a saved
 * position was acknowledged by the output, left out by decision, or reported as skipped.
 */
import type { Clock } from '../../platform/clock.ts';
import { KafkaError } from '../errors.ts';
import type { Message } from '../messages.ts';
import type { PartitionCheckpoint } from './checkpoint.ts';
import type { Output } from './destination.ts';
import { Pacer } from './pacer.ts';
import { ReplayError } from './replay-error.ts';
import type {
  ReplayOptions,
  ReplayPlan,
  ReplayProgress,
  ReplayRecord,
  ReplayResult,
} from './replay-options.ts';
import {
  sourceInFetchOrder,
  sourceInTimeOrder,
  type ConsumerFactory,
  type Run,
  type Source,
} from './source.ts';

export interface RunComponents {
  readonly client: ConsumerFactory;
  readonly clock: Clock;
  readonly options: ReplayOptions;
  readonly plan: ReplayPlan;
  readonly checkpoints: readonly PartitionCheckpoint[];
  readonly output: Output;
  readonly save: (checkpoints: readonly PartitionCheckpoint[]) => Promise<void>;
  readonly signal: AbortSignal;
}

/** How far one partition is; counts are over all runs. */
interface Lap {
  readonly partition: number;
  readonly start: number;
  readonly end: number;
  position: number;
  read: number;
  written: number;
  filtered: number;
  skipped: number;
  /** Moved since it was last saved. */
  dirty: boolean;
}

export class ReplayRun {
  readonly #components: RunComponents;
  readonly #laps: Map<number, Lap>;
  readonly #pacer: Pacer | undefined;
  readonly #startedAt: number;
  #state: ReplayProgress['state'] = 'running';
  #savedAt: number;
  #bytesRead = 0;
  #readInThisRun = 0;
  #timestamp = -1;
  #endedAt: number | undefined;
  #onEnd: (() => void)[] = [];

  constructor(components: RunComponents) {
    const { checkpoints, clock, options } = components;
    this.#components = components;
    this.#laps = new Map(
      checkpoints.map(({ counts, ...place }) => [place.partition, { ...place, ...counts, dirty: true }]),
    );
    this.#pacer = options.pace === undefined ? undefined : new Pacer(clock, options.pace);
    this.#startedAt = clock.monotonicMs();
    this.#savedAt = this.#startedAt;
  }

  async run(): Promise<ReplayResult> {
    let interrupted = false;
    try {
      // The range is fixed before the first record is read, so that a resumed run ends where this one would have.
      await this.#checkpoint();
      interrupted = await this.#readAll();
      if (!interrupted) for (const lap of this.#laps.values()) moveTo(lap, lap.end);
      await this.#checkpoint();
      this.#state = interrupted ? 'interrupted' : 'done';
      await this.#components.output.close();
    } catch (error) {
      this.#state = 'failed';
      throw await this.#endAfter(error);
    } finally {
      this.#endedAt = this.#components.clock.monotonicMs();
      for (const act of this.#onEnd) act();
    }
    return { ...this.progress(), state: interrupted ? 'interrupted' : 'done' };
  }

  whenEnded(act: () => void): void {
    if (this.#endedAt === undefined) this.#onEnd.push(act);
    else act();
  }

  progress(): ReplayProgress {
    const { plan, clock } = this.#components;
    const laps = [...this.#laps.values()];
    const total = (pick: (lap: Lap) => number): number => laps.reduce((sum, lap) => sum + pick(lap), 0);
    const recordsRemaining = total((lap) => lap.end - lap.position);
    const elapsedMs = (this.#endedAt ?? clock.monotonicMs()) - this.#startedAt;
    const done = plan.recordsRemaining - recordsRemaining;
    return {
      id: plan.id,
      state: this.#state,
      counts: {
        read: total((lap) => lap.read),
        written: total((lap) => lap.written),
        filtered: total((lap) => lap.filtered),
        skipped: total((lap) => lap.skipped),
      },
      records: plan.records,
      recordsRemaining,
      bytesRead: this.#bytesRead,
      elapsedMs,
      recordsPerSecond: elapsedMs > 0 ? (this.#readInThisRun * 1000) / elapsedMs : 0,
      remainingMs: done > 0 ? (elapsedMs * recordsRemaining) / done : undefined,
      timestamp: this.#timestamp,
      positions: laps.map(({ partition, position, end }) => ({ partition, position, end })),
    };
  }

  /** True where the signal ended it. */
  async #readAll(): Promise<boolean> {
    const { signal } = this.#components;
    const source = this.#source();
    if (source === undefined) return false;
    try {
      for await (const run of source.runs(signal)) {
        if (!(await this.#process(run))) return true;
        if (this.#isDue()) await this.#checkpoint();
      }
      return false;
    } catch (error) {
      if (signal.aborted && error instanceof KafkaError && error.code === 'ABORTED') return true;
      throw error;
    } finally {
      await source.close();
    }
  }

  #source(): Source | undefined {
    const { client, options, plan } = this.#components;
    const ranges = plan.partitions
      .map(({ partition, position, end, logStart }) => ({
        partition,
        position: Math.max(position, logStart),
        end,
      }))
      .filter((range) => range.position < range.end);
    if (ranges.length === 0) return undefined;
    const open = options.pace?.speed === undefined ? sourceInFetchOrder : sourceInTimeOrder;
    return open(client, plan.topic, ranges);
  }

  /** False where the signal ended it between two messages. */
  async #process(run: Run): Promise<boolean> {
    const { signal } = this.#components;
    const lap = this.#laps.get(run[0]!.partition)!;
    for (const message of run) {
      if (signal.aborted) return false;
      // Only what has to be waited for costs a turn of the event loop.
      const pending = this.#processOne(message, lap);
      if (pending !== undefined) await pending;
      this.#bytesRead += sizeOf(message);
      this.#readInThisRun += 1;
      this.#timestamp = message.timestamp;
      lap.read += 1;
      moveTo(lap, message.offset + 1);
      // A slow handler must not keep progress from being saved until its batch is through.
      if (pending !== undefined && this.#isDue()) await this.#checkpoint();
    }
    return true;
  }

  #isDue(): boolean {
    return this.#components.clock.monotonicMs() - this.#savedAt >= this.#intervalMs;
  }

  /** Undefined where the record is through already; otherwise what to wait for. */
  #processOne(message: Message, lap: Lap): Promise<void> | undefined {
    if (!this.#withinTimes(message)) {
      lap.filtered += 1;
      return undefined;
    }
    let decision: Decision | Promise<Decision>;
    try {
      decision = this.#decide(message);
    } catch (cause) {
      this.#recordFailed(message, lap, cause);
      return undefined;
    }
    if (!isPromise(decision)) return this.#emit(message, decision, lap);
    return decision.then(
      (decided) => this.#emit(message, decided, lap),
      (cause: unknown) => this.#recordFailed(message, lap, cause),
    );
  }

  /** With `outOfOrder` the range is read to its end, and bounds in time are checked here. */
  #withinTimes({ timestamp }: Message): boolean {
    const { from, until } = this.#components.plan;
    if (typeof from === 'object' && 'timestamp' in from && timestamp < from.timestamp) return false;
    return !(typeof until === 'object' && 'timestamp' in until && timestamp >= until.timestamp);
  }

  #decide(message: Message): Decision | Promise<Decision> {
    const { filter, transform } = this.#components.options;
    const transformed = (kept: boolean): Decision | Promise<Decision> => {
      if (!kept) return null;
      return transform === undefined ? message : transform(message);
    };
    const kept = filter === undefined ? true : filter(message);
    return isPromise(kept) ? kept.then(transformed) : transformed(kept);
  }

  #emit(source: Message, output: Decision, lap: Lap): Promise<void> | undefined {
    if (output === null) {
      lap.filtered += 1;
      return undefined;
    }
    const wait = this.#pacer?.admit(sizeOf(source), source.timestamp, this.#components.signal);
    return wait === undefined
      ? this.#write(source, output, lap)
      : wait.then(() => this.#write(source, output, lap));
  }

  #write(source: Message, output: ReplayRecord, lap: Lap): Promise<void> | undefined {
    const { output: destination } = this.#components;
    const failed = (error: unknown): void => {
      if (!destination.failsByRecord) throw error;
      this.#recordFailed(source, lap, error);
    };
    try {
      const pending = destination.write(source, output);
      if (isPromise(pending)) {
        return pending.then(() => {
          lap.written += 1;
        }, failed);
      }
      lap.written += 1;
    } catch (error) {
      failed(error);
    }
    return undefined;
  }

  #recordFailed({ topic, partition, offset }: Message, lap: Lap, cause: unknown): void {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const error = new ReplayError(
      'RECORD_FAILED',
      `The record at offset ${offset} of partition ${partition} of ${topic} could not be handled: ${reason}`,
      { cause, record: { topic, partition, offset } },
    );
    if (this.#components.options.onError !== 'skip') throw error;
    lap.skipped += 1;
    this.#components.options.onSkip?.(error);
  }

  get #intervalMs(): number {
    return this.#components.options.checkpointIntervalMs ?? 1_000;
  }

  /** Waits for the outputs of all that was processed, then makes the positions durable. */
  async #checkpoint(): Promise<void> {
    await this.#components.output.flush();
    const moved = [...this.#laps.values()].filter((lap) => lap.dirty);
    await this.#components.save(moved.map(toCheckpoint));
    for (const lap of moved) lap.dirty = false;
    this.#savedAt = this.#components.clock.monotonicMs();
  }

  /**
   * Ends a run that failed, and gives the error to throw. What came before a record that could not be handled is done, and
   * is remembered; after any other failure the last checkpoint stands.
   */
  async #endAfter(error: unknown): Promise<unknown> {
    try {
      if (error instanceof ReplayError && error.code === 'RECORD_FAILED') await this.#checkpoint();
      await this.#components.output.close();
      return error;
    } catch (second) {
      // The output's own failure, told once more on closing.
      if (!(error instanceof ReplayError)) return error;
      const reason = second instanceof Error ? second.message : String(second);
      return new AggregateError(
        [error, second],
        `${error.message} Then its progress could not be saved: ${reason}`,
      );
    }
  }
}

/** What filter and transform make of a record; `null` leaves it out. */
type Decision = ReplayRecord | null;

function toCheckpoint({
  partition,
  start,
  end,
  position,
  read,
  written,
  filtered,
  skipped,
}: Lap): PartitionCheckpoint {
  return { partition, start, end, position, counts: { read, written, filtered, skipped } };
}

function moveTo(lap: Lap, position: number): void {
  if (position <= lap.position) return;
  lap.position = position;
  lap.dirty = true;
}

function sizeOf(message: Message): number {
  return (message.key?.length ?? 0) + (message.value?.length ?? 0);
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
