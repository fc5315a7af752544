/** `kappalog consume`: prints the records of a topic, a range of it, or what comes to a member of a group. */
import type { Consumer, Message } from '../../client/index.ts';
import { existingTopic, withClient } from '../client.ts';
import type { CommandContext } from '../command-context.ts';
import { formatCount } from '../table.ts';
import { openConsumer } from './open-consumer.ts';
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
    const consumer = await openConsumer(client, reading, context);
    try {
      const count = consumer === undefined ? 0 : await print(consumer, reading, stop.signal, context);
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
      if (reading.group !== undefined) await printed.maybeCommit();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  await output.flush();
  // What went into a pipe that nobody reads any more is not done.
  if (reading.group !== undefined && interruption.reason !== 'closed-output') await printed.commit();
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
