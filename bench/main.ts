/**
 * Kappalog and Apache Kafka on the same work, in turn in one run.
 *
 *   npm run bench log -- ...   the commit log alone: bench/log.ts
 *   npm run bench raft -- ...  consensus between three nodes: bench/raft.ts
 *   npm run bench groups -- ...  coordinators of groups: bench/groups.ts
 *   npm run bench client -- ...  this project's client against others for Node: bench/client.ts
 *   npm run bench cluster -- ...  three nodes against three of Apache Kafka: bench/cluster.ts
 *   npm run bench -- [--pairs 5] [--rows TEXT] [--quick] [--subject kappalog|kafka]
 *
 * `--rows 'produce 100 B'` keeps the rows whose names contain the text. `--quick` runs one pair of a tenth of the size:
 * a check of the bench, not a measurement. `--subject kafka` sets Kafka against itself: how far its ratios are from 1 is
 * how far any ratio of this machine can be trusted. Needs java, mvn and go. Prints a Markdown table and writes it to
 * bench/results/.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installKafkaJars, kafkaVersion } from '../test/support/apache-kafka-jars.ts';
import { type BrokerKind, type BrokerProcess, type BrokerSpec } from '../test/support/broker-process.ts';
import { formatKafkaStorage, projectDirectory, startBroker } from '../test/support/broker-process.ts';
import { ChildProcesses } from '../test/support/child-processes.ts';
import { Kbench } from '../test/support/kbench.ts';
import { residentBytes } from '../test/support/process-stats.ts';
import { benchClient } from './client.ts';
import { benchCluster } from './cluster.ts';
import { benchGroups } from './groups.ts';
import { benchLog } from './log.ts';
import { type Bench, type Sample, type Target, measureShape } from './measure.ts';
import { benchRaft } from './raft.ts';
import { type Mode, rowName, shapes } from './rows.ts';
import { type Row, markdown } from './table.ts';

/** Benches of parts, by the word after the command. */
const parts: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  client: benchClient,
  cluster: benchCluster,
  groups: benchGroups,
  log: benchLog,
  raft: benchRaft,
};
const benchPart = parts[process.argv[2] ?? ''];
const { values } = parseArgs({
  args: benchPart === undefined ? process.argv.slice(2) : [],
  options: {
    pairs: { type: 'string' },
    rows: { type: 'string' },
    quick: { type: 'boolean', default: false },
    subject: { type: 'string', default: 'kappalog' },
    port: { type: 'string', default: '23100' },
  },
});

/** One of the two brokers, with what has been measured of it so far. */
interface Contender {
  readonly broker: BrokerProcess;
  readonly target: Target;
  readonly readyMs: readonly number[];
  readonly startedBytes: number;
}

/** Starts it on fresh directories as often as asked; the last one stays. */
async function contend(
  kind: BrokerKind,
  children: ChildProcesses,
  base: BrokerSpec,
  starts: number,
): Promise<Contender> {
  const readyMs: number[] = [];
  for (let i = 1; ; i += 1) {
    const spec = { ...base, directory: join(base.directory, String(i)) };
    if (kind === 'kafka') await formatKafkaStorage(children, spec);
    const broker = await startBroker(kind, children, spec);
    readyMs.push(broker.readyMs);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    if (i === starts) {
      const target = { address: broker.address, pids: [broker.pid] };
      return { broker, target, readyMs, startedBytes: residentBytes(broker.pid) };
    }
    await broker.stop();
    rmSync(spec.directory, { recursive: true });
  }
}

/** A JVM is slow until its code is compiled; both brokers get the same loads before anything counts. */
async function warmUp(bench: Bench, contenders: readonly Contender[]): Promise<void> {
  const rounds = bench.quick ? 1 : 3;
  for (let round = 0; round < rounds; round += 1) {
    for (const sizeBytes of [100, 1024, 10_240]) {
      const shape = { sizeBytes, partitions: 6, modes: ['produce', 'consume'] as const };
      for (const { target } of contenders) await measureShape(bench, target, shape, `warm-${round}`);
    }
  }
}

async function main(kind: BrokerKind, directory: string): Promise<void> {
  const children = new ChildProcesses();
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  await installKafkaJars(children);
  const bench = { kbench: await Kbench.build(children), children, quick: values.quick };
  const port = Number(values.port);
  const starts = values.quick ? 1 : 5;
  const kafka = { heap: '1g', settings: { 'log.segment.delete.delay.ms': '1000' } };
  const subjectSpec = { port, directory: join(directory, 'subject'), ...(kind === 'kafka' ? kafka : {}) };
  const subject = await contend(kind, children, subjectSpec, starts);
  const peer = await contend(
    'kafka',
    children,
    { port: port + 10, directory: join(directory, 'peer'), ...kafka },
    starts,
  );
  console.error(
    `${kind} ready in ${subject.readyMs.at(-1)?.toFixed(0)} ms, kafka in ${peer.readyMs.at(-1)?.toFixed(0)} ms`,
  );
  await warmUp(bench, [subject, peer]);
  const rows = await measureRows(bench, subject, peer);
  const report = {
    subject: kind === 'kappalog' ? 'Kappalog' : `Apache Kafka ${kafkaVersion()} (A)`,
    peer: `Apache Kafka ${kafkaVersion()}`,
    command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
    date: new Date().toISOString().slice(0, 10),
    rows,
    subjectFootprint: { ...subject, loadedBytes: residentBytes(subject.broker.pid) },
    peerFootprint: { ...peer, loadedBytes: residentBytes(peer.broker.pid) },
  };
  await subject.broker.stop();
  await peer.broker.stop();
  const text = markdown(report);
  console.log(text);
  const results = join(projectDirectory, 'bench/results');
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, `${report.date}${values.quick ? '-quick' : ''}.md`), text);
}

async function measureRows(bench: Bench, subject: Contender, peer: Contender): Promise<Row[]> {
  const pairs = Number(values.pairs ?? (values.quick ? 1 : 5));
  const rows: Row[] = [];
  for (const shape of shapes(values.rows)) {
    const measured: { subject: Map<Mode, Sample>; peer: Map<Mode, Sample> }[] = [];
    for (let pair = 0; pair < pairs; pair += 1) {
      const first = await measureShape(bench, subject.target, shape, String(pair));
      const second = await measureShape(bench, peer.target, shape, String(pair));
      measured.push({ subject: first, peer: second });
    }
    for (const mode of shape.modes) {
      const name = rowName(mode, shape);
      rows.push({
        name,
        mode,
        pairs: measured.map(({ subject, peer }) => ({
          subject: sampleOf(subject, mode),
          peer: sampleOf(peer, mode),
        })),
      });
      console.error(`measured ${name}`);
    }
  }
  return rows;
}

function sampleOf(samples: ReadonlyMap<Mode, Sample>, mode: Mode): Sample {
  const sample = samples.get(mode);
  if (sample === undefined) throw new Error(`The mode ${mode} was not run.`);
  return sample;
}

if (values.subject !== 'kappalog' && values.subject !== 'kafka') {
  throw new Error(`--subject is kappalog or kafka, not ${values.subject}.`);
}
if (benchPart !== undefined) await benchPart(process.argv.slice(3));
else await main(values.subject, mkdtempSync(join(tmpdir(), 'kappalog-bench-')));
