/**
 * `npm run demo`: Kappalog's main job on real input. Three million flights go through a broker, are aggregated, survive a
 * kill -9 in the middle of a second load, and one month of them is replayed with a corrected rule. In the end everything
 * read is compared, by content, with what the file holds; any difference makes the exit code 1.
 *
 *     npm run demo                             a broker of its own in a temporary directory
 *     npm run demo -- --brokers HOST:PORT      a broker that runs already (which is then not killed)
 *     npm run demo -- --rows 200000            only the first rows of the file
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Kappalog } from '../client/index.ts';
import { BrokerProcess } from './broker-process.ts';
import { readFlights, type Flights } from './flights.ts';
import { differs, Ledger, type Verdict } from './ledger.ts';
import { comparison, rate, step } from './report.ts';
import { backfill, createTopic, deleteTopics, isPlausible, load, read, type Month } from './steps.ts';

const march: Month = { from: Date.UTC(2001, 2, 1), until: Date.UTC(2001, 3, 1) };
/** Where in the second load the broker is killed, and for how long it stays away. */
const killAt = 0.5;
const awayMs = 1_000;

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { brokers: { type: 'string' }, rows: { type: 'string' } } });
  const began = performance.now();
  const flights = await step(
    'read the file',
    0,
    () => readFlights(values.rows === undefined ? {} : { count: Number(values.rows) }),
    ({ count, airports }) => `${count.toLocaleString('en-US')} flights, ${airports.length} airports`,
  );
  const directory = await mkdtemp(join(tmpdir(), 'kappalog-demo-'));
  const broker = values.brokers === undefined ? new BrokerProcess(directory) : undefined;
  try {
    if (broker !== undefined)
      await step(
        'start a broker',
        0,
        () => broker.start(),
        (readyMs) => `ready in ${Math.round(readyMs)} ms`,
      );
    await using client = new Kappalog({
      brokers: values.brokers ?? broker!.address,
      clientId: 'kappalog-demo',
    });
    const verdicts = await run(client, { flights, broker });
    process.stdout.write(`\n${comparison(verdicts)}\n\n`);
    const different = verdicts.some(differs);
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    process.stdout.write(
      `${different ? 'There are differences.' : 'No difference.'} ${seconds} s on ${machine()}.\n`,
    );
    return different ? 1 : 0;
  } finally {
    await broker?.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function run(
  client: Kappalog,
  { flights, broker }: { flights: Flights; broker: BrokerProcess | undefined },
): Promise<Verdict[]> {
  const suffix = broker === undefined ? `-${Date.now().toString(36)}` : '';
  const topics = {
    first: `flights${suffix}`,
    second: `flights-again${suffix}`,
    corrected: `flights-march-corrected${suffix}`,
  };
  const verdicts: Verdict[] = [];
  const readAndCompare = async (topic: string, ledger: Ledger, total: number): Promise<void> => {
    await step(
      `read ${topic}`,
      total,
      (progress) => read(client, { topic, ledger, progress }),
      (_, seconds) => rate(ledger.records, seconds),
    );
    verdicts.push(ledger.verdict());
  };

  await createTopic(client, topics.first);
  await step(
    `load ${topics.first}`,
    flights.count,
    (progress) => load(client, { topic: topics.first, flights, progress }),
    rate,
  );
  const averages = new Ledger('load', flights);
  await readAndCompare(topics.first, averages, flights.count);
  const { airport, day, averageDelay } = averages.worst();
  process.stdout.write(
    `  the worst day: ${airport} on ${day}, ${averageDelay.toFixed(1)} minutes late on average\n`,
  );

  await createTopic(client, topics.second);
  const name = broker === undefined ? 'second load' : 'load with kill -9';
  await step(
    `load ${topics.second}${broker === undefined ? '' : ', kill -9 half way'}`,
    flights.count,
    (progress) => loadThroughCrash(client, { topic: topics.second, flights, progress, broker }),
    rate,
  );
  await readAndCompare(topics.second, new Ledger(name, flights), flights.count);

  const inMarch = (row: number): boolean =>
    flights.times[row]! >= march.from && flights.times[row]! < march.until;
  await step(
    `replay March into ${topics.corrected}`,
    0,
    (progress) =>
      backfill(client, { source: topics.first, target: topics.corrected, month: march, progress }),
    ({ counts }, seconds) =>
      `${counts.written.toLocaleString('en-US')} of ${counts.read.toLocaleString('en-US')} kept, ${rate(counts.read, seconds)}`,
  );
  await readAndCompare(
    topics.corrected,
    new Ledger('replay of March', flights, (row) => inMarch(row) && isPlausible(flights.delays[row]!)),
    0,
  );

  if (broker === undefined) await deleteTopics(client, Object.values(topics));
  return verdicts;
}

/** Half way the broker is killed and started again; the producer is told nothing. */
async function loadThroughCrash(
  client: Kappalog,
  {
    topic,
    flights,
    progress,
    broker,
  }: { topic: string; flights: Flights; progress: (done: number) => void; broker: BrokerProcess | undefined },
): Promise<number> {
  let crash: Promise<void> | undefined;
  const loaded = await load(client, {
    topic,
    flights,
    progress: (done) => {
      progress(done);
      if (broker !== undefined && done >= flights.count * killAt) crash ??= killAndRestart(broker);
    },
  });
  await crash;
  return loaded;
}

async function killAndRestart(broker: BrokerProcess): Promise<void> {
  await broker.kill();
  await new Promise((resolve) => setTimeout(resolve, awayMs));
  await broker.start();
}

function machine(): string {
  const [first] = cpus();
  const model = first?.model.replace(/\s+/g, ' ').trim() ?? 'unknown';
  return `${cpus().length} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
}

process.exitCode = await main();
