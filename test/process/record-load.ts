/**
 * Idempotent producers that never stop: each sends numbered records to all partitions and notes every acknowledgement. A
 * broker that goes away is waited for by the client itself; a send that fails is a failure of the test.
 */
import type { Kappalog } from '../../client/index.ts';
import type { Random } from '../../platform/random.ts';
import type { Journal } from './journal.ts';
import { WriteGaps } from './write-gaps.ts';

export const loadTopic = 'kill-load';
export const loadPartitions = 6;

/** What is not answered for so long, over all restarts meanwhile, has failed. */
export const patienceMs = 120_000;

/** Unanswered records of one producer. */
const pendingMax = 1000;

/** How the producers differ: in batching, compression and requests under way. */
const producerOptions = [
  { lingerMs: 0, maxInFlight: 5 },
  { lingerMs: 5, maxInFlight: 5, compression: 'lz4' },
  { lingerMs: 2, maxInFlight: 1, compression: 'zstd' },
] as const;

export interface RecordLoad {
  /** Sends that were refused for good, with why. */
  readonly failures: string[];
  /** Stops adding and waits until all is acknowledged or has failed. */
  stop(): Promise<void>;
}

export function startRecordLoad(
  kappalog: Kappalog,
  journal: Journal,
  random: Random,
  life: number,
  gaps = new WriteGaps(),
): RecordLoad {
  const failures: string[] = [];
  const stopping = new AbortController();
  const running = producerOptions.map((options, number) => {
    const producer = kappalog.producer({ ...options, deliveryTimeoutMs: patienceMs });
    const name = `${life}.${number}`;
    const context = { producer, name, journal, gaps, failures, signal: stopping.signal };
    return sendForever(context, random.fork(`producer ${number}`));
  });
  return {
    failures,
    async stop() {
      stopping.abort();
      await Promise.all(running);
      journal.write();
    },
  };
}

interface SendContext {
  readonly producer: ReturnType<Kappalog['producer']>;
  readonly name: string;
  readonly journal: Journal;
  readonly gaps: WriteGaps;
  readonly failures: string[];
  readonly signal: AbortSignal;
}

async function sendForever(
  { producer, name, journal, gaps, failures, signal }: SendContext,
  random: Random,
): Promise<void> {
  const next = Array.from({ length: loadPartitions }, () => 0);
  const pending = new Set<Promise<void>>();
  while (!signal.aborted && failures.length === 0) {
    const burst = 1 + random.below(30);
    for (let i = 0; i < burst && pending.size < pendingMax; i += 1) {
      const partition = random.below(loadPartitions);
      const sequence = next[partition] ?? 0;
      next[partition] = sequence + 1;
      const stream = `${name}/${partition}`;
      const value = `${stream} ${sequence} ${'x'.repeat(random.below(400))}`;
      const sent = producer
        .send({ topic: loadTopic, partition, value })
        .then(
          ({ offset }) => {
            gaps.acknowledged(partition);
            journal.record(stream, sequence, offset);
          },
          (error: unknown) => void failures.push(`${stream} ${sequence}: ${String(error)}`),
        )
        .finally(() => pending.delete(sent));
      pending.add(sent);
    }
    await new Promise((resolve) => setTimeout(resolve, 2 + random.below(15)));
  }
  await Promise.all(pending);
  await producer.close();
}
