/**
 * Reads the ranges of a replay with a cursor of its own: partitions are assigned, never subscribed to, so that live groups
 * do not notice. Order within a partition is kept by both kinds of source.
 */
import type { Message, MessageBatch } from '../messages.ts';
import type { Assignment, CallOptions, ConsumerOptions } from '../options.ts';

export interface ReplayConsumer {
  batches(options?: CallOptions): AsyncIterable<MessageBatch>;
  close(): Promise<void>;
}

export interface ConsumerFactory {
  consumer(options: ConsumerOptions): ReplayConsumer;
}

export interface SourceRange {
  readonly partition: number;
  readonly position: number;
  readonly end: number;
}

/** Consecutive messages of one partition. */
export type Run = readonly Message[];

export interface Source {
  /** Ends when every partition has reached its end; rejects with 'ABORTED' by the signal. */
  runs(signal: AbortSignal): AsyncGenerator<Run, void, undefined>;
  close(): Promise<void>;
}

/** As fetched: whole batches of the partitions in turn, the fastest way. */
export function sourceInFetchOrder(
  client: ConsumerFactory,
  topic: string,
  ranges: readonly SourceRange[],
): Source {
  const consumer = client.consumer({ assign: assignments(topic, ranges), from: 'none', autoCommit: false });
  return {
    async *runs(signal) {
      for await (const batch of consumer.batches({ signal })) yield batch.messages;
    },
    close: () => consumer.close(),
  };
}

/** Bytes that each partition's own consumer may hold ready, so that many partitions stay bounded. */
const prefetchBytes = 1024 * 1024;

/**
 * In order of time over all partitions, as far as each partition is in order of time: the partition whose next message is
 * the oldest goes first. Every partition has a consumer of its own, as the slowest one must not be starved by the others.
 */
export function sourceInTimeOrder(
  client: ConsumerFactory,
  topic: string,
  ranges: readonly SourceRange[],
): Source {
  const consumers = ranges.map((range) =>
    client.consumer({
      assign: assignments(topic, [range]),
      from: 'none',
      autoCommit: false,
      prefetchBytes,
      partitionMaxBytes: prefetchBytes / 4,
    }),
  );
  return {
    async *runs(signal) {
      const opened = consumers.map((consumer) => new Lane(consumer.batches({ signal })));
      await Promise.all(opened.map((lane) => lane.refill()));
      let lanes = opened.filter((lane) => lane.ready);
      while (lanes.length > 0) {
        const [oldest, limit] = oldestLane(lanes);
        yield oldest.takeUntil(limit);
        if (oldest.ready) continue;
        await oldest.refill();
        if (!oldest.ready) lanes = lanes.filter((lane) => lane !== oldest);
      }
    },
    async close() {
      await Promise.all(consumers.map((consumer) => consumer.close()));
    },
  };
}

/** One partition's messages, fetched and not yet handed out. */
class Lane {
  readonly #batches: AsyncIterator<MessageBatch>;
  #messages: readonly Message[] = [];
  #next = 0;

  constructor(batches: AsyncIterable<MessageBatch>) {
    this.#batches = batches[Symbol.asyncIterator]();
  }

  get ready(): boolean {
    return this.#next < this.#messages.length;
  }

  /** The timestamp of the next message; only while `ready`. */
  get timestamp(): number {
    return this.#messages[this.#next]!.timestamp;
  }

  /** Takes the next message, and those after it that are not newer than `limit`. */
  takeUntil(limit: number): Run {
    const first = this.#next;
    let next = first + 1;
    while (next < this.#messages.length && this.#messages[next]!.timestamp <= limit) next += 1;
    this.#next = next;
    return this.#messages.slice(first, next);
  }

  /** Fetches the next batch; not `ready` afterwards means that the partition is done. */
  async refill(): Promise<void> {
    const result = await this.#batches.next();
    this.#messages = result.done === true ? [] : result.value.messages;
    this.#next = 0;
  }
}

/** The lane with the oldest next message, and the time of the next oldest one. */
function oldestLane(lanes: readonly Lane[]): [Lane, number] {
  let oldest = lanes[0]!;
  let limit = Number.POSITIVE_INFINITY;
  for (const lane of lanes.slice(1)) {
    if (lane.timestamp < oldest.timestamp) {
      limit = oldest.timestamp;
      oldest = lane;
    } else {
      limit = Math.min(limit, lane.timestamp);
    }
  }
  return [oldest, limit];
}

function assignments(topic: string, ranges: readonly SourceRange[]): Assignment[] {
  return ranges.map(({ partition, position, end }) => ({
    topic,
    partition,
    offset: position,
    endOffset: end,
  }));
}
