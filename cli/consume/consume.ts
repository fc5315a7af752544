/** `kappalog consume`: prints the records of a topic, a range of it, or what comes to a member of a group. */
import type { Assignment, Consumer, Kappalog, Message, ReplayPosition } from '../../client/index.ts';
import { usageError } from '../cli-error.ts';
import { existingTopic, parseCount, parsePartitions, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { positionArgument, parsePosition } from '../positions.ts';
import { formatCount } from '../table.ts';
import { compileFormat, jsonFormat, valueFormat, type RecordFormat } from './format.ts';
import { watchClosedOutput } from './pipe-watch.ts';

export interface ConsumeOptions extends ClientOptions {
  readonly from?: string;
  readonly until?: string;
  readonly count?: string;
  readonly partitions?: string;
  readonly group?: string;
  readonly format?: string;
  readonly isolation: 'read_committed' | 'read_uncommitted';
}

/** What to read, once the command line is understood. */
interface Reading {
  readonly topic: string;
  readonly from: ReplayPosition;
  readonly until: ReplayPosition | undefined;
  readonly countMax: number;
  readonly partitions: readonly number[] | undefined;
  readonly isolation: ConsumeOptions['isolation'];
  readonly format: RecordFormat;
  readonly inGroup: boolean;
}

/** Reads until the range ends, the count is reached, Ctrl-C, or the reader of stdout leaves. */
export async function consume(
  topic: string,
  options: ConsumeOptions,
  context: CommandContext,
): Promise<void> {
  const reading = readingOf(topic, options, context);
  await withClient(options, async (client) => {
    await existingTopic(client.admin(), topic);
    const stop = new AbortController();
    const { signal } = context.interruption;
    const end = (): void => stop.abort(signal.reason);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    const unwatch = reading.until === undefined ? watchClosedOutput(context.interruption) : () => undefined;
    const timer = stopAtFuture(reading, context, stop);
    const consumer = await open(client, options, reading);
    try {
      const count = consumer === undefined ? 0 : await print(consumer, reading, stop.signal, context);
      context.output.note(`Read ${formatCount(count)} record${count === 1 ? '' : 's'} from ${topic}.`);
    } finally {
      clearTimeout(timer);
      unwatch();
      await consumer?.close();
    }
  });
}

function readingOf(topic: string, options: ConsumeOptions, { nowMs, output }: CommandContext): Reading {
  const { group, from = 'start', until, count, partitions, format } = options;
  if (group !== undefined && (until !== undefined || partitions !== undefined)) {
    throw usageError(
      '--until and --partitions are for reading without a group; a group shares its partitions out itself.',
    );
  }
  if (output.json && format !== undefined) throw usageError('Give --format or -o json, not both.');
  return {
    topic,
    from: parsePosition(from, '--from', nowMs),
    until: until === undefined ? undefined : parsePosition(until, '--until', nowMs),
    countMax: count === undefined ? Number.POSITIVE_INFINITY : parseCount(count, '--count', 1),
    partitions: partitions === undefined ? undefined : parsePartitions(partitions),
    isolation: options.isolation,
    inGroup: group !== undefined,
    format: output.json ? jsonFormat : format === undefined ? valueFormat : compileFormat(format),
  };
}

/** Undefined where there is nothing to read: the range is empty. */
async function open(
  client: Kappalog,
  options: ConsumeOptions,
  reading: Reading,
): Promise<Consumer | undefined> {
  const { topic, from, until, isolation } = reading;
  if (options.group !== undefined) {
    if (from !== 'start' && from !== 'end') {
      throw usageError(
        `With a group, --from says where it starts without a commit: start or end, not ${positionArgument(from)}.`,
      );
    }
    return client.consumer({
      groupId: options.group,
      topics: [topic],
      from: from === 'start' ? 'earliest' : 'latest',
      autoCommit: false,
      isolation,
    });
  }
  const { resolveRange } = await import('../../client/index.ts');
  const bounded = until !== undefined && !isFuture(until);
  const partitions = reading.partitions === undefined ? {} : { partitions: reading.partitions };
  // Reading from the end, forever, is no range: only where it starts is asked for.
  const range = {
    topic,
    from: from === 'end' && !bounded ? { beforeEnd: 0 } : from,
    until: bounded ? until : ('end' as const),
    ...partitions,
  };
  const ranges = await resolveRange(client.admin(), range);
  const assign = ranges
    .filter(({ start, end }) => !bounded || start < end)
    .map(({ partition, start, end }): Assignment => ({
      topic,
      partition,
      offset: start,
      ...(bounded ? { endOffset: end } : {}),
    }));
  return assign.length === 0 ? undefined : client.consumer({ assign, isolation, from: 'earliest' });
}

/** Returns how many records were printed. With a group, these are committed once stdout has them, and none else. */
async function print(
  consumer: Consumer,
  reading: Reading,
  signal: AbortSignal,
  { output, interruption }: CommandContext,
): Promise<number> {
  const write = (piece: string | Buffer): void =>
    typeof piece === 'string' ? output.write(piece) : output.writeContent(piece);
  let count = 0;
  const printed = new PrintedMessages(consumer);
  try {
    for await (const batch of consumer.batches({ signal })) {
      for (const message of batch.messages) {
        if (count >= reading.countMax || signal.aborted) break;
        printed.add(message);
        if (!withinTimes(message, reading)) continue;
        reading.format(message, write);
        count += 1;
      }
      await output.flush();
      if (count >= reading.countMax || signal.aborted) break;
      if (reading.inGroup) await printed.maybeCommit();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  await output.flush();
  // What went into a pipe that nobody reads any more is not done.
  if (reading.inGroup && interruption.reason !== 'closed-output') await printed.commit();
  return count;
}

const commitIntervalMs = 1_000;

/** The last printed message of each partition, to commit. */
class PrintedMessages {
  readonly #consumer: Consumer;
  readonly #last = new Map<number, Message>();
  #committedAt = performance.now();

  constructor(consumer: Consumer) {
    this.#consumer = consumer;
  }

  add(message: Message): void {
    this.#last.set(message.partition, message);
  }

  async maybeCommit(): Promise<void> {
    if (performance.now() - this.#committedAt >= commitIntervalMs) await this.commit();
  }

  async commit(): Promise<void> {
    this.#committedAt = performance.now();
    if (this.#last.size === 0) return;
    const messages = [...this.#last.values()];
    this.#last.clear();
    try {
      await this.#consumer.commit(messages);
    } catch (error) {
      // The group has moved on: another member reads these again, which is what a group promises.
      if (!isFenced(error)) throw error;
    }
  }
}

function isFenced(error: unknown): boolean {
  const codes = ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID'];
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
  );
}

/** Within a range by time, records out of order that lie outside of it are left out. */
function withinTimes({ timestamp }: Message, { from, until }: Reading): boolean {
  if (typeof from === 'object' && 'timestamp' in from && timestamp < from.timestamp) return false;
  return !(typeof until === 'object' && 'timestamp' in until && timestamp >= until.timestamp);
}

function isFuture(until: ReplayPosition): boolean {
  return typeof until === 'object' && 'timestamp' in until && until.timestamp > Date.now();
}

/** Until a time that is yet to come, records are read as they come, until the clock is there. */
function stopAtFuture(
  { until }: Reading,
  { nowMs }: CommandContext,
  stop: AbortController,
): NodeJS.Timeout | undefined {
  if (until === undefined || !isFuture(until) || typeof until !== 'object' || !('timestamp' in until))
    return undefined;
  const longest = 2 ** 31 - 1;
  return setTimeout(
    () => stop.abort(new Error('the time has come')),
    Math.min(longest, until.timestamp - nowMs),
  );
}
