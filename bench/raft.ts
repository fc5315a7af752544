/**
 * What consensus makes of a machine: three nodes as three processes over loopback, every commit synced by a majority.
 *
 *   npm run bench raft -- [--quick] [--groups 1000] [--idle-groups 10000] [--seconds 10] [--row one|many|idle]
 *
 * Batches of one record of 1 KiB, appended in the process of the leader and waited for until a majority has them on disk. Beside
 * it, in the same run: 16 KiB appends with fdatasync one after the other, and messages there and back over loopback. All three
 * nodes share one disk and this machine's processors, where a cluster has three of each. Prints a Markdown table and writes it
 * to bench/results/.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BenchCluster, pause } from './raft/cluster.ts';
import { measureMachine, percentile } from './raft/machine-rates.ts';
import type { MachineRates } from './raft/machine-rates.ts';

const batchBytes = 1024;

interface Line {
  readonly name: string;
  readonly cells: readonly string[];
}

interface LoadShape {
  readonly name: string;
  readonly topic: string;
  readonly perGroup: number;
}

export async function benchRaft(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      groups: { type: 'string' },
      'idle-groups': { type: 'string' },
      seconds: { type: 'string' },
      row: { type: 'string' },
    },
  });
  const groups = Number(values.groups ?? (values.quick ? 100 : 1000));
  const idleGroups = Number(values['idle-groups'] ?? (values.quick ? 1000 : 10_000));
  const seconds = Number(values.seconds ?? (values.quick ? 2 : 10));
  const wants = (row: string): boolean => values.row === undefined || values.row === row;
  const directory = mkdtempSync(join(tmpdir(), 'kappalog-bench-raft-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const measured = (): Promise<MachineRates> => measureMachine(directory, values.quick ? 500 : 2000);
  const commits: Line[] = [];
  const idle: Line[] = [];
  if (wants('one')) {
    const shapes = [1, 16, 256].map((perGroup) => ({
      name: `1 group, ${perGroup} in flight`,
      topic: 'one',
      perGroup,
    }));
    commits.push(...(await loadRows(join(directory, 'one'), { groups: 1, shapes, seconds, measured })));
  }
  if (wants('many')) {
    const shapes = [1, 4].map((perGroup) => ({
      name: `${groups} groups, ${perGroup} in flight in each`,
      topic: 'many',
      perGroup,
    }));
    commits.push(...(await loadRows(join(directory, 'many'), { groups, shapes, seconds, measured })));
  }
  if (wants('idle')) idle.push(...(await idleRows(join(directory, 'idle'), idleGroups, seconds)));
  const text = report({ command: ['npm run bench raft --', ...args].join(' '), commits, idle });
  console.log(text);
  const results = join(import.meta.dirname, 'results');
  mkdirSync(results, { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(join(results, `${date}-raft${values.quick ? '-quick' : ''}.md`), text);
}

async function withCluster<T>(directory: string, use: (cluster: BenchCluster) => Promise<T>): Promise<T> {
  const cluster = await BenchCluster.start(directory);
  try {
    const result = await use(cluster);
    await cluster.stop();
    return result;
  } catch (error) {
    cluster.kill();
    throw error;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function loadRows(
  directory: string,
  options: {
    readonly groups: number;
    readonly shapes: readonly LoadShape[];
    readonly seconds: number;
    /** What the machine makes of it at that moment. */
    readonly measured: () => Promise<MachineRates>;
  },
): Promise<Line[]> {
  const { groups, shapes, seconds, measured } = options;
  return withCluster(directory, async (cluster) => {
    await cluster.open(shapes[0]!.topic, groups);
    const lines: Line[] = [];
    for (const { name, topic, perGroup } of shapes) {
      const machine = await measured();
      const cpuBefore = sum(cluster.cpuSeconds());
      const load = { topic, perGroup, batchBytes, warmUpMs: 2000, measureMs: seconds * 1000 };
      const results = await cluster.load(load);
      const cpu = (sum(cluster.cpuSeconds()) - cpuBefore) / (seconds + load.warmUpMs / 1000);
      const perSecond = sum(results.map(({ commits }) => commits)) / seconds;
      const latencies = results.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => a - b);
      const [p50, p99] = [percentile(latencies, 0.5), percentile(latencies, 0.99)];
      const floorMs = machine.syncMs.p50 + machine.roundTripMs.p50;
      lines.push({
        name,
        cells: [
          perSecond.toFixed(0),
          (perSecond / machine.syncsPerSecond).toFixed(2),
          p50.toFixed(2),
          p99.toFixed(2),
          (p50 / floorMs).toFixed(1),
          cpu.toFixed(2),
          String(sum(results.map(({ lost }) => lost))),
          machine.syncsPerSecond.toFixed(0),
          machine.syncMs.p50.toFixed(2),
          machine.roundTripMs.p50.toFixed(3),
        ],
      });
      console.error(`measured ${name}`);
    }
    return lines;
  });
}

/** Groups that nobody appends to, beside the same nodes without any. */
function idleRows(directory: string, groups: number, seconds: number): Promise<Line[]> {
  return withCluster(directory, async (cluster) => {
    await cluster.open('none', 1);
    const empty = await rest(cluster, 'none', seconds);
    const openedMs = await cluster.open('idle', groups);
    const full = await rest(cluster, 'idle', seconds);
    const grown = mean(full.liveBytes) - mean(empty.liveBytes);
    const row = (name: string, each: Rest, perGroup: string, took: string): Line => ({
      name,
      cells: [
        `${(100 * mean(each.cpuShares)).toFixed(2)} %`,
        mean(each.framesPerSecond).toFixed(1),
        String(sum(each.ticking)),
        `${(mean(each.bytes) / 2 ** 20).toFixed(0)} MiB`,
        `${(mean(each.liveBytes) / 2 ** 20).toFixed(0)} MiB`,
        perGroup,
        took,
      ],
    });
    return [
      row('1 group', empty, '', ''),
      row(
        `${groups} groups`,
        full,
        `${(grown / groups / 1024).toFixed(1)} KiB`,
        `${(openedMs / 1000).toFixed(1)} s`,
      ),
    ];
  });
}

interface Rest {
  /** Of one processor, by node. */
  readonly cpuShares: readonly number[];
  readonly framesPerSecond: readonly number[];
  readonly ticking: readonly number[];
  readonly bytes: readonly number[];
  /** Of those, what is left when all garbage is gone. */
  readonly liveBytes: readonly number[];
}

async function rest(cluster: BenchCluster, topic: string, seconds: number): Promise<Rest> {
  // What the opening has left to do comes first.
  await pause(10_000);
  const framesBefore = await cluster.figures(topic);
  const cpuBefore = cluster.cpuSeconds();
  const beginMs = performance.now();
  await pause(seconds * 1000);
  const cpuAfter = cluster.cpuSeconds();
  const tookSeconds = (performance.now() - beginMs) / 1000;
  const frames = await cluster.figures(topic);
  return {
    cpuShares: cpuAfter.map((cpu, place) => (cpu - cpuBefore[place]!) / tookSeconds),
    framesPerSecond: frames.map(
      ({ framesSent }, place) => (framesSent - framesBefore[place]!.framesSent) / tookSeconds,
    ),
    ticking: frames.map(({ ticking }) => ticking),
    bytes: cluster.residentBytes(),
    liveBytes: await cluster.liveBytes(),
  };
}

function report(result: {
  readonly command: string;
  readonly commits: readonly Line[];
  readonly idle: readonly Line[];
}): string {
  const lines = [
    `# What consensus makes of a machine, ${new Date().toISOString().slice(0, 10)}`,
    '',
    `\`${result.command}\` on ${cpus().length} cores (${cpus()[0]?.model ?? '?'}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()},`,
    `Node ${process.version}. Three nodes as three processes over loopback, on one disk and these cores together; batches of one record`,
    `of ${batchBytes} B, each on the disks of a majority before it counts. On the right, what the machine alone made of it just before each`,
    'row: appends of 16 KiB with fdatasync one after the other, and 100 B over loopback to another process and back.',
    '',
  ];
  if (result.commits.length > 0) {
    lines.push(
      '| load | commits/s | of the fdatasync rate | p50 ms | p99 ms | p50 of (fdatasync + round trip) | CPU, of one core, all nodes | stopped by a lost leadership | fdatasync/s | p50 ms | round trip p50 ms |',
      '|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
      ...result.commits.map(({ name, cells }) => `| ${[name, ...cells].join(' | ')} |`),
      '',
    );
  }
  if (result.idle.length > 0) {
    lines.push(
      '| at rest, by node | CPU, of one core | frames sent/s | groups that want ticks, all nodes | resident | live | live, by replica | opened in |',
      '|---|---:|---:|---:|---:|---:|---:|---:|',
      ...result.idle.map(({ name, cells }) => `| ${[name, ...cells].join(' | ')} |`),
      '',
    );
  }
  return lines.join('\n');
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
