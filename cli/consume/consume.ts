/** `kappalog consume`: prints the records of a topic, a range of it, or what comes to a member of a group. */
import type { Consumer, Message } from '../../client/index.ts';
import { existingTopic, withClient } from '../client.ts';
import type { CommandContext } from '../command-context.ts';
import type { Interruption } from '../interruption.ts';
import { formatCount } from '../table.ts';
import { openConsumer, openMember } from './open-consumer.ts';
import { watchClosedOutput } from './pipe-watch.ts';
import { futureEnd, readingOf, withinTimes, type ConsumeOptions, type Reading } from './reading.ts';

/** Reads until the range ends, the count is reached, Ctrl-C, or the reader of stdout leaves. */
export async function consume(
  topic: string,
  options: ConsumeOptions,
  context: CommandContext,
): Promise<void> {
  const reading = readingOf(topic, options, context);
  await withClient(options, async (client) => {
    await existingTopic(client.admin(), topic);
    const stop = stopSignal(reading, context);
    const unwatch = reading.until === undefined ? watchClosedOutput(context.interruption) : () => undefined;
    const printed = new PrintedMessages(context.interruption);
    const { group: groupId } = reading;
    const consumer: Consumer | undefined =
      groupId === undefined
        ? await openConsumer(client, reading, context)
        : openMember(client, reading, { groupId, commit: () => printed.commit(consumer) });
    try {
      const count =
        consumer === undefined
          ? 0
          : await print({ consumer, printed, signal: stop.signal }, reading, context);
      context.output.note(`Read ${formatCount(count)} record${count === 1 ? '' : 's'} from ${topic}.`);
    } finally {
      stop.cancel();
      unwatch();
      await consumer?.close();
    }
  });
}

/** Timers of Node take no more. */
const timerMaxMs = 2 ** 31 - 1;

/** Fires with the interruption, or when the clock is at the end that was yet to come. */
function stopSignal(
  reading: Reading,
  { nowMs, interruption }: CommandContext,
): { signal: AbortSignal; cancel(): void } {
  const endMs = futureEnd(reading, nowMs);
  if (endMs === undefined) return { signal: interruption.signal, cancel: () => undefined };
  const clock = new AbortController();
  const timer = setTimeout(() => clock.abort(), Math.min(timerMaxMs, endMs - nowMs));
  return { signal: AbortSignal.any([interruption.signal, clock.signal]), cancel: () => clearTimeout(timer) };
}

interface Printing {
  readonly consumer: Consumer;
  readonly printed: PrintedMessages;
  readonly signal: AbortSignal;
}

/** Returns how many records were printed. With a group, these are committed once stdout has them, and none else. */
async function print(
  { consumer, printed, signal }: Printing,
  reading: Reading,
  { output }: CommandContext,
): Promise<number> {
  const write = (piece: string | Buffer): void =>
    typeof piece === 'string' ? output.write(piece) : output.writeContent(piece);
  let count = 0;
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
      printed.noteFlushed();
      if (count >= reading.countMax || signal.aborted) break;
      if (reading.group !== undefined) await printed.maybeCommit(consumer);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  await output.flush();
  printed.noteFlushed();
  if (reading.group !== undefined) await printed.commit(consumer);
  return count;
}

const commitIntervalMs = 1_000;

/** The last message of each partition that stdout has, to commit. */
class PrintedMessages {
  readonly #interruption: Interruption;
  readonly #last = new Map<number, Message>();
  /** Those that are on their way to stdout. */
  readonly #unflushed = new Map<number, Message>();
  #committedAt = performance.now();

  constructor(interruption: Interruption) {
    this.#interruption = interruption;
  }

  add(message: Message): void {
    this.#unflushed.set(message.partition, message);
  }

  noteFlushed(): void {
    for (const [partition, message] of this.#unflushed) this.#last.set(partition, message);
    this.#unflushed.clear();
  }

  async maybeCommit(consumer: Consumer): Promise<void> {
    if (performance.now() - this.#committedAt >= commitIntervalMs) await this.commit(consumer);
  }

  async commit(consumer: Consumer | undefined): Promise<void> {
    this.#committedAt = performance.now();
    // What went into a pipe that nobody reads any more is not done.
    if (this.#last.size === 0 || this.#interruption.reason === 'closed-output') return;
    const messages = [...this.#last.values()];
    this.#last.clear();
    try {
      await consumer?.commit(messages);
    } catch (error) {
      // The group has moved on: another member reads these again, which is what a group promises.
      if (!isFenced(error)) throw error;
    }
  }
}

function isFenced(error: unknown): boolean {
  const codes = [
    'REBALANCE_IN_PROGRESS',
    'ILLEGAL_GENERATION',
    'STALE_MEMBER_EPOCH',
    'UNKNOWN_MEMBER_ID',
    'FENCED_INSTANCE_ID',
  ];
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
  );
}
