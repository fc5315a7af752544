/** What the demo does with a topic, each step through the public client alone. */
import type { Kappalog, ReplayResult } from '../client/index.ts';
import { flightValue, type Flights, type FlightValue } from './flights.ts';
import type { Ledger } from './ledger.ts';

export const partitions = 6;
/** A delay of more than ten hours either way is an error of the source. */
export const delayMax = 600;

/** How far a step is, from 0 to `total`. */
export type Progress = (done: number) => void;

/** `retention.ms=-1`: the events are older than any default retention. */
export async function createTopic(client: Kappalog, topic: string): Promise<void> {
  await using admin = client.admin();
  await admin.createTopics([{ name: topic, partitions, configs: { 'retention.ms': '-1' } }]);
}

export async function deleteTopics(client: Kappalog, topics: readonly string[]): Promise<void> {
  await using admin = client.admin();
  await admin.deleteTopics(topics);
}

/** Writes every flight, keyed by origin, at its own time; resolves when all are acknowledged, with their number. */
export async function load(
  client: Kappalog,
  { topic, flights, progress }: { topic: string; flights: Flights; progress: Progress },
): Promise<number> {
  await using producer = client.producer();
  const keys = flights.airports.map((airport) => Buffer.from(airport));
  for (let row = 0; row < flights.count; row++) {
    await producer.ready();
    // Nobody waits for the single record: `flush` rejects where one could not be delivered.
    void producer.add({
      topic,
      key: keys[flights.origins[row]!]!,
      value: flightValue(flights, row),
      timestamp: flights.times[row]!,
    });
    if (row % 10_000 === 0) progress(row);
  }
  await producer.flush();
  return flights.count;
}

/** Reads what the topic holds, as the only member of a group, into the ledger. */
export async function read(
  client: Kappalog,
  { topic, ledger, progress }: { topic: string; ledger: Ledger; progress: Progress },
): Promise<void> {
  await using admin = client.admin();
  const ends = await admin.listOffsets(
    Array.from({ length: partitions }, (_, partition) => ({ topic, partition, at: 'latest' as const })),
  );
  const total = ends.reduce((sum, end) => sum + end.offset, 0);
  if (total === 0) return;
  await using consumer = client.consumer({ groupId: `${topic}-averages`, topics: [topic] });
  for await (const batch of consumer.batches()) {
    for (const message of batch.messages) ledger.add(message);
    progress(ledger.records);
    if (ledger.records >= total) break;
  }
}

/** Replays one month with the corrected rule into a new topic. */
export async function backfill(
  client: Kappalog,
  { source, target, month, progress }: { source: string; target: string; month: Month; progress: Progress },
): Promise<ReplayResult> {
  const replay = client.replay({
    id: target,
    topic: source,
    from: { timestamp: month.from },
    until: { timestamp: month.until },
    filter: (message) => isPlausible(parseDelay(message.value!)),
    destination: { topic: target, create: true },
  });
  const shown = (async () => {
    for await (const { counts } of replay.updates({ intervalMs: 200 })) progress(counts.read);
  })();
  const result = await replay.run();
  await shown;
  await replay.forget();
  return result;
}

export interface Month {
  readonly from: number;
  readonly until: number;
}

/** The corrected rule. */
export function isPlausible(delay: number): boolean {
  return Math.abs(delay) <= delayMax;
}

function parseDelay(value: Buffer): number {
  const flight: FlightValue = JSON.parse(value.toString('latin1'));
  return flight.delay;
}
