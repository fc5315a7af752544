/**
 * Three nodes of Kappalog against three nodes of Apache Kafka on this machine, replication factor 3, acks=all, in turn.
 *
 *   npm run bench cluster -- [--pairs 5] [--rows TEXT] [--quick] [--partitions 1000] [--port 23300]
 *
 * Rows: `produce SIZE x 6`, `e2e SIZE x 6` (the time to an ack at a fixed rate), `catch-up`, a node that has lost its disk, and `many`, a topic
 * of 1,000 partitions. Kappalog takes
 * part twice, as it is and with `write.caching`. `--quick` is a check of the bench, not a measurement. Needs java, mvn and go.
 * Prints Markdown tables and writes them to bench/results/.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installKafkaJars } from '../test/support/apache-kafka-jars.ts';
import { projectDirectory } from '../test/support/broker-process.ts';
import { ChildProcesses } from '../test/support/child-processes.ts';
import { Kbench } from '../test/support/kbench.ts';
import { scriptOptions } from '../test/support/script-options.ts';
import { type CatchUpSample, measureCatchUp } from './cluster/catch-up.ts';
import { type Contender, residentBytesOf, startContenders } from './cluster/contenders.ts';
import { sequentialRate } from './cluster/disk-rate.ts';
import { type ManyPartitionsSample, measureManyPartitions } from './cluster/many-partitions.ts';
import { type Measured, clusterMarkdown } from './cluster/report.ts';
import { Turns } from './cluster/turns.ts';
import { type Bench, type Sample, measureShape } from './measure.ts';
import { type Mode, type Shape, recordCount, rowName } from './rows.ts';

const sizesBytes = [100, 1024, 10_240];
const partitions = 6;

interface Options {
  readonly pairs: number;
  readonly rows: string | undefined;
  readonly manyPartitions: number;
  readonly directory: string;
  readonly onRow: (measured: Everything) => void;
}

interface ClusterBench extends Bench {
  readonly turns: Turns;
}

interface Everything {
  readonly diskRates: number[];
  readonly produce: Measured<Sample>[];
  readonly latency: Measured<Sample>[];
  readonly many: Measured<ManyPartitionsSample>[];
  readonly catchUp: Measured<CatchUpSample>[];
}

const usage =
  'npm run bench cluster -- [--pairs 5] [--rows TEXT] [--quick] [--partitions 1000] [--port 23300]';

export async function benchCluster(args: readonly string[]): Promise<void> {
  const { values } = scriptOptions(usage, {
    args: [...args],
    options: {
      pairs: { type: 'string' },
      rows: { type: 'string' },
      quick: { type: 'boolean', default: false },
      partitions: { type: 'string' },
      port: { type: 'string', default: '23300' },
    },
  });
  const { quick, rows } = values;
  const directory = mkdtempSync(join(tmpdir(), 'kappalog-bench-cluster-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const children = new ChildProcesses();
  await installKafkaJars(children);
  const kbench = await Kbench.build(children);
  const contenders = await startContenders(children, { directory, port: Number(values.port), heap: '1g' });
  const bench = { kbench, children, quick, turns: new Turns(contenders) };
  const clusters = [contenders[0]!, contenders.at(-1)!];
  const startedBytes = clusters.map(residentBytesOf);
  await warmUp(bench, contenders);
  const date = new Date().toISOString().slice(0, 10);
  const results = join(projectDirectory, 'bench/results');
  mkdirSync(results, { recursive: true });
  // After each row: a run that is ended has measured something.
  const write = (measured: Everything): string => {
    const text = clusterMarkdown({
      command: ['npm run bench cluster --', ...args].join(' '),
      date,
      contenders: contenders.map(({ name }) => name),
      ...measured,
      footprints: clusters.map((contender, place) => ({
        name: contender.name,
        startedBytes: startedBytes[place]!,
        loadedBytes: residentBytesOf(contender),
      })),
    });
    writeFileSync(join(results, `${date}-cluster${quick ? '-quick' : ''}.md`), text);
    return text;
  };
  const measured = await measureAll(bench, contenders, {
    pairs: Number(values.pairs ?? (quick ? 1 : 5)),
    rows,
    manyPartitions: Number(values.partitions ?? (quick ? 100 : 1000)),
    directory,
    onRow: write,
  });
  console.log(write(measured));
  bench.turns.end();
  for (const { cluster } of clusters) await cluster.stop();
}

/** A JVM is slow until its code is compiled, and so is Node; all get the same loads before anything counts. */
async function warmUp(bench: ClusterBench, contenders: readonly Contender[]): Promise<void> {
  for (let round = 0; round < (bench.quick ? 1 : 3); round++) {
    for (const sizeBytes of sizesBytes)
      await measureTurn(bench, contenders, { sizeBytes, modes: ['produce'] }, `warm-${round}`);
  }
}

async function measureAll(
  bench: ClusterBench,
  contenders: readonly Contender[],
  options: Options,
): Promise<Everything> {
  const { pairs, rows, directory, onRow } = options;
  const wants = (name: string): boolean => rows === undefined || name.includes(rows);
  const everything: Everything = { diskRates: [], produce: [], latency: [], many: [], catchUp: [] };
  const measureDisk = (): void => {
    everything.diskRates.push(sequentialRate(directory, (bench.quick ? 128 : 512) * 2 ** 20));
  };
  for (const [mode, measured] of [
    ['produce', everything.produce],
    ['e2e', everything.latency],
  ] as const) {
    for (const sizeBytes of sizesBytes) {
      const name = rowName(mode, { sizeBytes, partitions });
      if (!wants(name)) continue;
      const runs: Sample[][] = [];
      for (let pair = 0; pair < pairs; pair++) {
        measureDisk();
        const samples = await measureTurn(bench, contenders, { sizeBytes, modes: [mode] }, `${pair}`);
        runs.push(samples.map((each) => each.get(mode)!));
      }
      measured.push({ name, runs });
      onRow(everything);
      console.error(`measured ${name}`);
    }
  }
  if (wants('catch-up')) {
    everything.catchUp.push({ name: 'catch-up', runs: await measureCatchUps(bench, contenders, pairs) });
    onRow(everything);
    console.error('measured catch-up');
  }
  if (!wants('many')) return everything;
  const runs: ManyPartitionsSample[][] = [];
  // Each takes a minute, and creation and rest vary little.
  for (let pair = 0; pair < Math.min(pairs, 3); pair++) {
    measureDisk();
    runs.push(await measureManyTurn(bench, contenders, options.manyPartitions, `many-${pair}`));
  }
  everything.many.push({ name: `${options.manyPartitions} partitions`, runs });
  return everything;
}

async function measureCatchUps(
  bench: ClusterBench,
  contenders: readonly Contender[],
  pairs: number,
): Promise<CatchUpSample[][]> {
  const shape = { megabytes: bench.quick ? 100 : 1000, liveSeconds: bench.quick ? 3 : 10 };
  const runs: CatchUpSample[][] = [];
  for (let pair = 0; pair < Math.min(pairs, 3); pair++) {
    const samples: CatchUpSample[] = [];
    for (const [place, contender] of contenders.entries()) {
      await bench.turns.begin(contender);
      samples.push(await measureCatchUp(bench, contender, { ...shape, label: `${pair}-${place}` }));
    }
    runs.push(samples);
  }
  return runs;
}

async function measureManyTurn(
  bench: ClusterBench,
  contenders: readonly Contender[],
  count: number,
  label: string,
): Promise<ManyPartitionsSample[]> {
  const samples: ManyPartitionsSample[] = [];
  const shape = { partitions: count, sizeBytes: 1024, restSeconds: bench.quick ? 4 : 20 };
  const records = recordCount(1024, bench.quick) / 2;
  for (const [place, contender] of contenders.entries()) {
    const run = { ...shape, records, label: `${label}-${place}` };
    await bench.turns.begin(contender);
    samples.push(await measureManyPartitions(bench, contender, run));
  }
  return samples;
}

/** Every contender once; they take topics of their own. */
async function measureTurn(
  bench: ClusterBench,
  contenders: readonly Contender[],
  shape: Pick<Shape, 'sizeBytes' | 'modes'>,
  label: string,
): Promise<Map<Mode, Sample>[]> {
  const samples: Map<Mode, Sample>[] = [];
  for (const [place, contender] of contenders.entries()) {
    const { target, topicConfigs } = contender;
    await bench.turns.begin(contender);
    const full = { ...shape, partitions, replicationFactor: 3, topicConfigs };
    // Three copies go to one disk: half of what a single broker gets.
    const records = recordCount(shape.sizeBytes, bench.quick) / 2;
    // The first run after a cluster has been stopped is slower, that of Apache Kafka by up to two fifths, and counts for nobody.
    const first = { ...full, modes: ['produce'] as const, records: records / 2 };
    await measureShape(bench, target, first, `${label}-${place}-first`);
    samples.push(await measureShape(bench, target, { ...full, records }, `${label}-${place}`));
  }
  return samples;
}
