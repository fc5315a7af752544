/**
 * This project's client against kafkajs and @platformatic/kafka, on Kappalog and on Apache Kafka, in turn in one run.
 *
 *   npm run bench client -- [--rounds 5] [--rows TEXT] [--quick] [--port 23600]
 *
 * Rows: `produce`, `consume` and `consume batches` of 100 B, 1 KiB and 10 KiB over 6 partitions, with and without lz4; `round trip`, one
 * record at a time from a producer to a consumer; `import`. Every measurement is a process of its own. `--quick` is one round of a tenth of the size:
 * a check of the bench, not a measurement. Needs java and mvn. Prints Markdown tables and writes them to bench/results/.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kappalog } from '../client/index.ts';
import { installKafkaJars } from '../test/support/apache-kafka-jars.ts';
import { formatKafkaStorage, projectDirectory, startBroker } from '../test/support/broker-process.ts';
import type { BrokerKind, BrokerProcess } from '../test/support/broker-process.ts';
import { ChildProcesses } from '../test/support/child-processes.ts';
import { installPlatformaticKafka } from '../test/support/foreign-packages.ts';
import { scriptOptions } from '../test/support/script-options.ts';
import type { Sample, Task } from './client/driver.ts';
import { type ClientRow, clientsMarkdown } from './client/report.ts';

type Load = Pick<Task, 'mode' | 'sizeBytes' | 'count' | 'compression'>;

const usage = 'npm run bench client -- [--rounds 5] [--rows TEXT] [--quick] [--port 23600]';
const partitions = 6;
const taskMs = 120_000;
const script = join(import.meta.dirname, 'client/measure-client.ts');

export async function benchClient(args: readonly string[]): Promise<void> {
  const { values } = scriptOptions(usage, {
    args: [...args],
    options: {
      rounds: { type: 'string' },
      rows: { type: 'string', default: '' },
      quick: { type: 'boolean', default: false },
      port: { type: 'string', default: '23600' },
    },
  });
  const { quick } = values;
  const directory = mkdtempSync(join(tmpdir(), 'kappalog-bench-client-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const children = new ChildProcesses();
  await installKafkaJars(children);
  const clients = new Map([
    ['kappalog', ''],
    ['kafkajs', ''],
    ['platformatic', await installPlatformaticKafka(children)],
  ]);
  const port = Number(values.port);
  const brokers = [
    await contend('kappalog', children, { port, directory: join(directory, 'kappalog') }),
    await contend('kafka', children, { port: port + 10, directory: join(directory, 'kafka') }),
  ];
  const rounds = Number(values.rounds ?? (quick ? 1 : 5));
  const rows: ClientRow[] = [];
  for (const load of loads(quick).filter((load) => nameOf(load).includes(values.rows))) {
    const row: ClientRow = { name: nameOf(load), samples: [] };
    for (let round = 0; round < rounds; round += 1) {
      for (const broker of brokers) row.samples.push(...(await measureOnce(children, broker, clients, load)));
    }
    rows.push(row);
    console.error(`measured ${row.name}`);
  }
  for (const broker of brokers) await broker.stop();
  const command = ['npm run bench client --', ...args].join(' ');
  const date = new Date().toISOString().slice(0, 10);
  const text = clientsMarkdown({ command, date, rounds, rows });
  console.log(text);
  const results = join(projectDirectory, 'bench/results');
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, `${date}-client${quick ? '-quick' : ''}.md`), text);
}

function loads(quick: boolean): Load[] {
  const count = (full: number): number => (quick ? full / 10 : full);
  const moves = (['none', 'lz4'] as const).flatMap((compression) =>
    (
      [
        [100, 1_000_000],
        [1_024, 200_000],
        [10_240, 40_000],
      ] as const
    ).flatMap(([sizeBytes, full]) =>
      (['produce', 'consume', 'consume batches'] as const).map((mode) => ({
        mode,
        sizeBytes,
        compression,
        count: count(full),
      })),
    ),
  );
  return [
    ...moves,
    { mode: 'round trip', sizeBytes: 100, compression: 'none', count: count(2_000) },
    { mode: 'import', sizeBytes: 100, compression: 'none', count: 1 },
  ];
}

function nameOf({ mode, sizeBytes, compression }: Load): string {
  if (mode === 'import') return mode;
  const size = sizeBytes < 1024 ? `${sizeBytes} B` : `${sizeBytes / 1024} KiB`;
  return `${mode} ${size}${compression === 'none' ? '' : ` ${compression}`}`;
}

async function contend(
  kind: BrokerKind,
  children: ChildProcesses,
  base: { readonly port: number; readonly directory: string },
): Promise<BrokerProcess> {
  const spec = { ...base, settings: { 'group.initial.rebalance.delay.ms': '0' }, heap: '1g' };
  if (kind === 'kafka') await formatKafkaStorage(children, spec);
  return startBroker(kind, children, spec);
}

let topics = 0;

/** Each client once, on a topic of its own for producing, and on the same one for consuming; who begins changes. */
async function measureOnce(
  children: ChildProcesses,
  broker: BrokerProcess,
  clients: ReadonlyMap<string, string>,
  load: Load,
): Promise<ClientRow['samples']> {
  const base = { ...load, brokers: broker.address };
  await using client = new Kappalog({ brokers: broker.address });
  const admin = client.admin();
  const freshTopic = async (): Promise<string> => {
    const name = `bench-${(topics += 1)}`;
    await admin.createTopics([{ name, partitions, replicationFactor: 1 }]);
    return name;
  };
  const isReading = load.mode === 'consume' || load.mode === 'consume batches';
  const shared = isReading ? await freshTopic() : undefined;
  if (shared !== undefined)
    await run(children, { ...base, topic: shared, mode: 'produce', driver: 'kappalog', directory: '' });
  const samples = [];
  const order = topics % 2 === 0 ? [...clients] : [...clients].toReversed();
  for (const [driver, directory] of order) {
    const topic = shared ?? (await freshTopic());
    const sample = await run(children, { ...base, topic, driver, directory });
    samples.push({ client: driver, broker: broker.kind, sample });
    if (shared === undefined) await admin.deleteTopics([topic]);
  }
  if (shared !== undefined) await admin.deleteTopics([shared]);
  return samples;
}

async function run(children: ChildProcesses, task: Task): Promise<Sample> {
  const { stdout } = await children.mustRun(process.execPath, [script, JSON.stringify(task)], {
    timeoutMs: taskMs,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}
