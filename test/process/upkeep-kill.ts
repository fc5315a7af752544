/**
 * kill -9 at random moments while compaction, retention, deletions of records and of whole topics are at work on many
 * partitions with tiny segments, so that the sync journal is in use too. Afterwards every record that can be read is
 * compared with the one that was acknowledged at its offset, and the latest record of every key has to be there.
 *
 *   node test/process/upkeep-kill.ts [--kills 30] [--seed S] [--port 21700] [--directory D]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { KafkaError, Kappalog } from '../../client/index.ts';
import type { Random } from '../../platform/random.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { ChildProcesses } from '../support/child-processes.ts';
import { startBroker } from '../support/broker-process.ts';

const compacted = 'upkeep-compacted';
const retained = 'upkeep-retained';
const fleeting = 'upkeep-fleeting';
const partitions = 32;
const keys = 40;
const small = { 'internal.segment.bytes': '6000', 'file.delete.delay.ms': '300' };
const topics = [
  {
    name: compacted,
    partitions,
    configs: {
      ...small,
      'cleanup.policy': 'compact',
      'min.cleanable.dirty.ratio': '0.01',
      'delete.retention.ms': '1000',
    },
  },
  { name: retained, partitions, configs: { ...small, 'retention.bytes': '18000' } },
];
const settings = {
  'log.initial.task.delay.ms': '50',
  'log.retention.check.interval.ms': '150',
  'log.cleaner.backoff.ms': '50',
  'log.cleaner.dedupe.buffer.size': '2000',
  'kappalog.scrub.bytes.per.second': '2000000',
};

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '30' },
    seed: { type: 'string' },
    port: { type: 'string', default: '21700' },
    directory: { type: 'string' },
  },
});
const seed = Number(flags.seed ?? Date.now() % 1_000_000);
const directory = flags.directory ?? mkdtempSync(join(tmpdir(), 'kappalog-upkeep-'));
console.log(`seed ${seed}, in ${directory}`);
const random = new SeededRandom(seed);
const children = new ChildProcesses();
const port = Number(flags.port);
const kappalog = new Kappalog({
  brokers: `127.0.0.1:${port}`,
  retry: { timeoutMs: 120_000, backoffMs: 10, backoffMaxMs: 100 },
});
const admin = kappalog.admin();

interface Place {
  readonly topic: string;
  readonly partition: number;
  /** What was acknowledged, by offset. */
  readonly acknowledged: Map<number, string>;
  startOffset: number;
}
const places = [compacted, retained].flatMap((topic) =>
  Array.from({ length: partitions }, (_, partition): Place => {
    return { topic, partition, acknowledged: new Map(), startOffset: 0 };
  }),
);
const differences: string[] = [];
const stopping = new AbortController();

function complain(line: string): void {
  differences.push(line);
  console.log(`DIFFERENCE ${line}`);
}

async function produce(draw: Random): Promise<void> {
  await using producer = kappalog.producer({ lingerMs: 2, deliveryTimeoutMs: 120_000 });
  const pending = new Set<Promise<void>>();
  for (let sequence = 0; !stopping.signal.aborted; sequence++) {
    const place = places[draw.below(places.length)]!;
    const { topic, partition } = place;
    const key = `k${draw.below(keys)}`;
    const value = draw.below(8) === 0 ? null : `${sequence} ${'x'.repeat(draw.below(300))}`;
    const sent = producer.send({ topic, partition, key, value }).then(
      ({ offset }) => {
        if (place.acknowledged.has(offset))
          complain(`${topic}-${partition}: ${offset} was acknowledged twice`);
        place.acknowledged.set(offset, `${key}=${value}`);
      },
      (error: unknown) => complain(`send: ${String(error)}`),
    );
    pending.add(sent);
    void sent.finally(() => pending.delete(sent));
    if (pending.size >= 300 || draw.below(20) === 0) await pause(20);
    while (pending.size >= 300) await Promise.race(pending);
  }
  await Promise.all(pending);
}

async function deleteRecords(draw: Random): Promise<void> {
  while (!stopping.signal.aborted) {
    await pause(100);
    const place = places[draw.below(places.length)]!;
    const end = Math.max(0, ...place.acknowledged.keys());
    const offset = place.startOffset + draw.below(Math.max(1, end - place.startOffset));
    // A topic that is compacted only refuses it.
    if (place.topic === compacted) continue;
    try {
      await admin.deleteRecords([{ topic: place.topic, partition: place.partition, offset }]);
      place.startOffset = Math.max(place.startOffset, offset);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      if (!error.retriable && error.code !== 'OFFSET_OUT_OF_RANGE')
        complain(`deleteRecords: ${String(error)}`);
    }
  }
}

/** One topic, made and removed again and again under one name; what it holds must be what was written since. */
async function makeAndRemove(draw: Random): Promise<void> {
  for (let life = 0; !stopping.signal.aborted; life++) {
    try {
      await admin.createTopics([{ name: fleeting, partitions: 16, configs: small }]);
    } catch (error) {
      if (!(error instanceof KafkaError && error.code === 'TOPIC_ALREADY_EXISTS')) throw error;
    }
    await using producer = kappalog.producer({ lingerMs: 0, deliveryTimeoutMs: 120_000 });
    for (let round = draw.below(6); round >= 0; round--) {
      const sends = Array.from({ length: 16 }, (_, partition) =>
        producer.send({ topic: fleeting, partition, value: `life ${life} ${'y'.repeat(draw.below(200))}` }),
      );
      for (const sent of await Promise.allSettled(sends))
        if (sent.status === 'rejected') complain(`${fleeting}: ${String(sent.reason)}`);
    }
    await pause(draw.below(1500));
    for (const value of await readTopic(fleeting)) {
      if (!value.startsWith(`life ${life} `))
        complain(`${fleeting} in its life ${life} holds ${value.slice(0, 20)}`);
    }
    try {
      await admin.deleteTopics([fleeting]);
    } catch (error) {
      if (!(error instanceof KafkaError && error.code === 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
    }
  }
}

async function readTopic(topic: string): Promise<string[]> {
  const wanted = Array.from({ length: 16 }, (_, partition) => ({ topic, partition, at: 'latest' as const }));
  const ends = await admin.listOffsets(wanted);
  await using consumer = kappalog.consumer({
    assign: ends.map((end) => ({ ...end, offset: 'earliest' as const, endOffset: end.offset })),
  });
  const values: string[] = [];
  for await (const { value } of consumer) values.push(value?.toString() ?? '');
  return values;
}

/** Reads everything; `isFinal`: nothing is written any more, and what has to be there is looked for. */
async function check(isFinal: boolean): Promise<number> {
  let records = 0;
  const wanted = places.map(({ topic, partition }) => ({ topic, partition }));
  const starts = await admin.listOffsets(wanted.map((place) => ({ ...place, at: 'earliest' as const })));
  const ends = await admin.listOffsets(wanted.map((place) => ({ ...place, at: 'latest' as const })));
  const seen = new Map(
    places.map((place) => [`${place.topic}-${place.partition}`, new Map<number, string>()]),
  );
  await using consumer = kappalog.consumer({
    assign: ends.map(({ topic, partition, offset }) => ({
      topic,
      partition,
      offset: 'earliest' as const,
      endOffset: offset,
    })),
  });
  for await (const { topic, partition, offset, key, value } of consumer) {
    records++;
    seen.get(`${topic}-${partition}`)!.set(offset, `${key?.toString()}=${value?.toString() ?? 'null'}`);
  }
  for (const [at, place] of places.entries()) {
    const name = `${place.topic}-${place.partition}`;
    const found = seen.get(name)!;
    for (const [offset, text] of found) {
      const promised = place.acknowledged.get(offset);
      if (promised !== undefined && promised !== text)
        complain(`${name} at ${offset} holds ${text.slice(0, 20)}, not ${promised.slice(0, 20)}`);
      if (promised === undefined && isFinal)
        complain(`${name} at ${offset} holds ${text.slice(0, 20)}, unacknowledged`);
    }
    if (isFinal) compareWhole(place, found, { start: starts[at]!.offset, end: ends[at]!.offset });
  }
  return records;
}

function compareWhole(
  place: Place,
  found: ReadonlyMap<number, string>,
  { start, end }: { readonly start: number; readonly end: number },
): void {
  const name = `${place.topic}-${place.partition}`;
  const { acknowledged } = place;
  if (start < place.startOffset) complain(`${name} starts at ${start}, below ${place.startOffset}`);
  if (end !== Math.max(-1, ...acknowledged.keys()) + 1) complain(`${name} ends at ${end}`);
  const latest = new Map<string, number>();
  for (let offset = start; offset < end; offset++) {
    const text = acknowledged.get(offset);
    if (text === undefined) complain(`${name}: nothing was acknowledged at ${offset}`);
    else latest.set(text.slice(0, text.indexOf('=')), offset);
    if (place.topic === retained && !found.has(offset)) complain(`${name} lacks ${offset}`);
  }
  if (place.topic === retained) return;
  for (const [key, offset] of latest) {
    const isTombstone = acknowledged.get(offset)!.endsWith('=null');
    if (!isTombstone && !found.has(offset)) complain(`${name} lacks ${offset}, the latest of ${key}`);
    for (const [other, text] of found)
      if (isTombstone && !found.has(offset) && text.startsWith(`${key}=`))
        complain(`${name} still has ${key} at ${other}, deleted at ${offset}`);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const spec = { port, directory: join(directory, 'broker'), settings };
let broker = await startBroker('kappalog', children, spec);
await admin.createTopics(topics);
const loads = [
  ...Array.from({ length: 3 }, (_, number) => produce(random.fork(`producer ${number}`))),
  deleteRecords(random.fork('deletions')),
  makeAndRemove(random.fork('fleeting')),
];
const moments = random.fork('moments');
const kills = Number(flags.kills);
for (let kill = 0; kill < kills && differences.length === 0; kill++) {
  await pause(300 + moments.below(4000));
  if (moments.below(5) === 0) {
    const code = await broker.stop();
    if (code !== 0) complain(`a stop ended with ${code}`);
  } else await broker.kill();
  broker = await startBroker('kappalog', children, spec);
  if (kill % 5 === 4) console.log(`${kill + 1} kills, ${await check(false)} records read`);
}
stopping.abort();
await Promise.all(loads);
await pause(2000);
const records = await check(true);
console.log(`${kills} kills, ${records} records at the end`);
await admin.close();
const code = await broker.stop();
if (code !== 0) complain(`the last stop ended with ${code}`);
console.log(differences.length === 0 ? 'no difference' : `FAILED, the data are in ${directory}`);
if (differences.length === 0 && flags.directory === undefined) rmSync(directory, { recursive: true });
process.exit(differences.length === 0 ? 0 : 1);
