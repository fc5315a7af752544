/**
 * Who reads while all goes on: two members of a group, and one that begins again and again at the start. What a partition holds at an
 * offset is the same for all and for ever; offsets come without a gap; a group passes over nothing; a producer's records come once,
 * in order.
 */
import type { Consumer, Kappalog, Message } from '../../client/index.ts';
import { loadPartitions, loadTopic } from '../process/record-load.ts';

const groupId = 'chaos-readers';
/** One that reads from the start lives for so long. */
const rereadMs = 60_000;

export interface Readers {
  readonly failures: string[];
  readonly counts: { records: number; fromStart: number; ofGroup: number };
  stop(): Promise<void>;
}

export function startReaders(kappalog: Kappalog): Readers {
  const contents = new Contents();
  const { failures } = contents;
  const counts = { records: 0, fromStart: 0, ofGroup: 0 };
  const stopping = new AbortController();
  const open = new Set<Consumer>();
  const read = async (consumer: Consumer, take: (message: Message) => void): Promise<void> => {
    open.add(consumer);
    try {
      for await (const message of consumer) {
        counts.records++;
        take(message);
        if (stopping.signal.aborted || failures.length > 0) break;
      }
    } catch (error) {
      if (!stopping.signal.aborted) failures.push(`a reader was given ${String(error)}`);
    } finally {
      open.delete(consumer);
      await consumer.close();
    }
  };
  const fromStart = async (): Promise<void> => {
    while (!stopping.signal.aborted && failures.length === 0) {
      const assign = Array.from({ length: loadPartitions }, (_, partition) => ({
        topic: loadTopic,
        partition,
        offset: 'earliest' as const,
      }));
      const consumer = kappalog.consumer({ assign });
      const timer = setTimeout(() => void consumer.close(), rereadMs);
      const next = assign.map(() => 0);
      await read(consumer, (message) => {
        contents.take(message);
        const { partition, offset } = message;
        if (offset !== next[partition])
          failures.push(`from the start, partition ${partition}: ${offset} follows ${next[partition]! - 1}`);
        next[partition] = offset + 1;
      });
      clearTimeout(timer);
      counts.fromStart++;
    }
  };
  // Of the group as a whole: a new owner of a partition may repeat, and may not pass over.
  const reached = Array.from({ length: loadPartitions }, () => 0);
  const member = (): Promise<void> =>
    read(kappalog.consumer({ groupId, topics: [loadTopic] }), (message) => {
      contents.take(message);
      const { partition, offset } = message;
      counts.ofGroup++;
      if (offset > reached[partition]!)
        failures.push(`the group passed over partition ${partition} from ${reached[partition]} to ${offset}`);
      reached[partition] = Math.max(reached[partition]!, offset + 1);
    });
  const running = [fromStart(), member(), member()];
  return {
    failures,
    counts,
    async stop() {
      stopping.abort();
      await Promise.all([...open].map((consumer) => consumer.close()));
      await Promise.all(running);
    },
  };
}

/** What was seen, by partition and offset: the producer's stream and its number in one number. */
class Contents {
  readonly failures: string[] = [];
  readonly #streams = new Map<string, number>();
  readonly #seen: number[][] = Array.from({ length: loadPartitions }, () => []);

  take({ partition, offset, value }: Message): void {
    const [stream = '', sequence] = value?.toString('latin1').split(' ', 2) ?? [];
    const streamNumber = this.#streams.get(stream) ?? this.#streams.size;
    this.#streams.set(stream, streamNumber);
    const content = streamNumber * 2 ** 32 + Number(sequence);
    const before = this.#seen[partition]![offset];
    if (before !== undefined && before !== content) {
      this.failures.push(
        `partition ${partition}, offset ${offset}: ${stream} ${sequence}, and it was another record`,
      );
    }
    this.#seen[partition]![offset] = content;
  }
}
