/**
 * Replay: a bounded range of one topic, read with a cursor of its own, filtered, paced, and handed to a topic or a
 * handler, resumable at any moment. Order is kept per partition.
 *
 * What is guaranteed: a record's progress is made durable only after its output was acknowledged. A run that ends in
 * order (done, aborted by its signal, stopped by an error) repeats nothing when it is taken up again; one that is killed
 * repeats at most what it wrote since its last checkpoint (`checkpointIntervalMs`), never skips. So outputs are
 * at-least-once; the provenance headers tell a repeated record.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import { crc32c } from '../../protocol/index.ts';
import type { TopicDescription } from '../admin/admin-types.ts';
import type { ProducerOptions } from '../options.ts';
import {
  CheckpointStore,
  type CheckpointAdmin,
  type PartitionCheckpoint,
  type ReplayIdentity,
} from './checkpoint.ts';
import {
  createDestination,
  planDestination,
  producerOptions,
  SinkOutput,
  TopicOutput,
} from './destination.ts';
import type { DestinationAdmin, Output, ReplayProducer } from './destination.ts';
import { resolveRange, type PartitionRange, type RangeAdmin } from './range.ts';
import { ReplayError } from './replay-error.ts';
import type {
  ReplayOptions,
  ReplayPlan,
  ReplayProgress,
  ReplayResult,
  ReplaySink,
} from './replay-options.ts';
import { ReplayRun } from './replay-run.ts';
import type { ConsumerFactory } from './source.ts';

export { provenanceHeader, readProvenance, type Provenance } from './provenance.ts';
export { resolveRange, type PartitionRange, type RangeRequest, type ReplayPosition } from './range.ts';
export { ReplayError, type RecordCoordinates, type ReplayErrorCode } from './replay-error.ts';
export type * from './replay-options.ts';

/** The part of the client that a replay is made with. */
export interface ReplayClient extends ConsumerFactory {
  producer(options: ProducerOptions): ReplayProducer;
  admin(): ReplayAdmin;
}

export interface ReplayAdmin extends CheckpointAdmin, DestinationAdmin, RangeAdmin {}

interface Prepared {
  readonly plan: ReplayPlan;
  readonly source: TopicDescription;
  readonly identity: ReplayIdentity;
  readonly checkpoints: PartitionCheckpoint[];
}

/** One replay. `plan()` looks and changes nothing; `run()` works, once. */
export class Replay {
  readonly id: string;
  readonly #client: ReplayClient;
  readonly #clock: Clock;
  readonly #options: ReplayOptions;
  readonly #admin: ReplayAdmin;
  readonly #store: CheckpointStore;
  #prepared: Promise<Prepared> | undefined;
  #run: ReplayRun | undefined;

  /** Throws a ReplayError for options that cannot be meant. */
  constructor(client: ReplayClient, platform: { clock: Clock; random: Random }, options: ReplayOptions) {
    refuseNonsense(options);
    this.id = options.id ?? freshId(options.topic, platform.random);
    this.#client = client;
    this.#clock = platform.clock;
    this.#options = options;
    this.#admin = client.admin();
    this.#store = new CheckpointStore(this.#admin, this.id, options.topic);
  }

  /** Resolves the range and finds what an earlier run has done. Asked once; later calls give the same plan. */
  async plan(): Promise<ReplayPlan> {
    this.#prepared ??= this.#prepare();
    return (await this.#prepared).plan;
  }

  /**
   * Runs to the end of the range, or until the signal (then `state` is 'interrupted' and all that was read is written and
   * remembered). Takes a handler or a sink where there is no destination topic. Rejects with a ReplayError that names the
   * record at which filter, transform or handler failed, or with a KafkaError.
   */
  async run(
    sink?: ReplaySink | ReplaySink['handle'],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ReplayResult> {
    if (this.#run !== undefined)
      throw new ReplayError('INVALID_OPTION', 'A replay runs once: make a new one to go on.');
    this.#refuseSink(sink);
    const signal = options.signal ?? new AbortController().signal;
    await this.plan();
    const { plan, identity, checkpoints } = await this.#prepared!;
    if (plan.destination?.toBeCreated === true) {
      await createDestination(this.#admin, plan.topic, plan.destination);
    }
    const run = new ReplayRun({
      client: this.#client,
      clock: this.#clock,
      options: this.#options,
      plan,
      checkpoints,
      output: this.#output(plan, sink, signal),
      save: (positions) => this.#store.save(positions, identity),
      signal,
    });
    this.#run = run;
    return run.run();
  }

  /** Where the run is now. */
  progress(): ReplayProgress {
    return this.#run?.progress() ?? planning(this.id);
  }

  /** The run's progress, again and again, until it has ended; the last one is the final state. */
  async *updates(
    options: { readonly intervalMs?: number } = {},
  ): AsyncGenerator<ReplayProgress, void, undefined> {
    while (true) {
      const progress = this.progress();
      yield progress;
      if (progress.state !== 'planning' && progress.state !== 'running') return;
      await new Promise<void>((resolve) => {
        const timer = this.#clock.after(options.intervalMs ?? 500, resolve);
        this.#run?.whenEnded(() => {
          timer.cancel();
          resolve();
        });
      });
    }
  }

  /** Forgets all progress of this name: the next run starts at the beginning of its range. */
  async forget(): Promise<void> {
    await this.#store.remove();
    this.#prepared = undefined;
  }

  async #prepare(): Promise<Prepared> {
    const { topic, from = 'start', until = 'end' } = this.#options;
    const admin = this.#admin;
    const [source] = await admin.describeTopics([topic]);
    if (source === undefined) throw new ReplayError('UNKNOWN_PARTITION', `There is no topic ${topic}.`);
    const { destination } = this.#options;
    const planned = destination === undefined ? undefined : await planDestination(admin, source, destination);
    const identity = { topicId: source.topicId, fingerprint: fingerprint(this.#options) };
    const stored = await this.#store.load(identity);
    const { partitions } = this.#options;
    const ranges = await resolveRange(admin, {
      topic,
      from,
      until,
      ...(partitions === undefined ? {} : { partitions }),
    });
    const checkpoints =
      stored ?? ranges.map((range) => fresh(range, until, this.#options.outOfOrder === true));
    const byPartition = new Map(ranges.map((range) => [range.partition, range]));
    const plannedPartitions = checkpoints.map((checkpoint) => {
      const range = byPartition.get(checkpoint.partition)!;
      return { ...range, start: checkpoint.start, end: checkpoint.end, position: checkpoint.position };
    });
    const plan: ReplayPlan = {
      id: this.id,
      topic,
      from,
      until,
      partitions: plannedPartitions,
      records: sum(plannedPartitions.map((each) => each.end - each.start)),
      recordsRemaining: sum(plannedPartitions.map((each) => each.end - each.position)),
      resumed: stored !== undefined,
      destination: planned,
      warnings: warnings(topic, plannedPartitions, this.#options),
    };
    return { plan, source, identity, checkpoints };
  }

  #output(
    plan: ReplayPlan,
    sink: ReplaySink | ReplaySink['handle'] | undefined,
    signal: AbortSignal,
  ): Output {
    const { destination } = this.#options;
    if (plan.destination === undefined || destination === undefined) {
      return new SinkOutput(typeof sink === 'function' ? { handle: sink } : sink!);
    }
    const provenanceId = destination.provenance === false ? undefined : this.id;
    return new TopicOutput(this.#client.producer(producerOptions(destination)), plan.destination, {
      provenanceId,
      signal,
    });
  }

  #refuseSink(sink: unknown): void {
    const hasDestination = this.#options.destination !== undefined;
    if (hasDestination === (sink === undefined)) return;
    throw new ReplayError(
      'INVALID_OPTION',
      hasDestination
        ? 'A replay into a topic takes no handler.'
        : 'A replay without a destination topic needs a handler.',
    );
  }
}

/** Where a partition begins. With `outOfOrder` it is read to the high watermark, and timestamps decide. */
function fresh(range: PartitionRange, until: unknown, outOfOrder: boolean): PartitionCheckpoint {
  const byTime = typeof until === 'object' && until !== null && 'timestamp' in until;
  const end = outOfOrder && byTime ? range.highWatermark : range.end;
  const counts = { read: 0, written: 0, filtered: 0, skipped: 0 };
  return { partition: range.partition, start: range.start, end, position: range.start, counts };
}

function warnings(topic: string, partitions: ReplayPlan['partitions'], options: ReplayOptions): string[] {
  const found: string[] = [];
  const missing = sum(partitions.map((each) => each.missing));
  if (missing > 0) {
    found.push(`${missing} records of the range were already removed from ${topic}.`);
  }
  for (const each of partitions) {
    if (each.position < each.logStart && each.position < each.end) {
      found.push(
        `Partition ${each.partition} starts at ${each.logStart} now: ${Math.min(each.logStart, each.end) - each.position} records that this replay had yet to read are gone.`,
      );
    }
  }
  if (
    typeof options.from === 'object' &&
    'timestamp' in options.from &&
    partitions.some((each) => each.logStart > 0)
  ) {
    found.push(
      `Retention has removed the oldest records of ${topic}; if some of them were within the range, they are not replayed.`,
    );
  }
  return found;
}

function refuseNonsense(options: ReplayOptions): void {
  const { id, pace = {} } = options;
  if (id !== undefined && !/^[A-Za-z0-9._-]{1,200}$/.test(id)) {
    throw new ReplayError(
      'INVALID_OPTION',
      `"${id}" cannot name a replay: use 1 to 200 of a-z, A-Z, 0-9, dot, underscore and hyphen.`,
    );
  }
  for (const [name, value] of Object.entries(pace)) {
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) {
      throw new ReplayError(
        'INVALID_OPTION',
        `pace.${name} must be a positive number, not ${String(value)}.`,
      );
    }
  }
  if (options.destination?.topic === options.topic) {
    throw new ReplayError(
      'OWN_SOURCE',
      `A replay of ${options.topic} into itself would read what it writes: choose another topic.`,
    );
  }
}

/** Everything that decides which records come out, but not how fast. */
function fingerprint(options: ReplayOptions): number {
  const {
    topic,
    partitions,
    from = 'start',
    until = 'end',
    outOfOrder = false,
    destination,
    definition = '',
  } = options;
  const parts = [topic, partitions ?? null, from, until, outOfOrder, destination?.topic ?? null, definition];
  return crc32c(Buffer.from(JSON.stringify(parts)));
}

/** Such as `flights-3k9x2m`: says what it reads, and fits the limits of an id. */
function freshId(topic: string, random: Random): string {
  const suffix = random.bytes(4).readUInt32BE().toString(36).padStart(7, '0');
  return `${topic.slice(0, 180)}-${suffix}`;
}

function planning(id: string): ReplayProgress {
  return {
    id,
    state: 'planning',
    counts: { read: 0, written: 0, filtered: 0, skipped: 0 },
    records: 0,
    recordsRemaining: 0,
    bytesRead: 0,
    elapsedMs: 0,
    recordsPerSecond: 0,
    remainingMs: undefined,
    timestamp: -1,
    positions: [],
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
