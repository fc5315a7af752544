/** One run of kbench against one broker or one cluster, with the CPU time that its processes spent on it. */
import type { ChildProcesses } from '../test/support/child-processes.ts';
import type { Kbench, KbenchResult } from '../test/support/kbench.ts';
import { cpuSeconds } from '../test/support/process-stats.ts';
import { type Mode, type Shape, consumeRounds, latencyRate, recordCount } from './rows.ts';

export interface Sample {
  readonly recordsPerSecond: number;
  readonly megabytesPerSecond: number;
  /** Records by the time until the operating system had all of it on disk, of produce runs. */
  readonly onDiskPerSecond: number;
  /** Of the broker, or all nodes of the cluster, user and system. */
  readonly cpuSeconds: number;
  readonly cpuSecondsPerMillion: number;
  readonly ackP50Ms?: number;
  readonly ackP99Ms?: number;
}

/** What is measured: a broker, or the nodes of a cluster. */
export interface Target {
  /** `host:port`, several with commas. */
  readonly address: string;
  readonly pids: readonly number[];
}

export interface Bench {
  readonly kbench: Kbench;
  readonly children: ChildProcesses;
  readonly quick: boolean;
}

/** Where the records of a produce or consume run go. */
export function topicOf(shape: Pick<Shape, 'sizeBytes' | 'partitions'>, label: string): string {
  return `bench-${shape.sizeBytes}-${shape.partitions}-${label}`;
}

/** Runs the modes of a shape on fresh topics, in order, and removes the topics. */
export async function measureShape(
  bench: Bench,
  target: Target,
  shape: Shape,
  label: string,
): Promise<Map<Mode, Sample>> {
  const samples = new Map<Mode, Sample>();
  const n = shape.records ?? recordCount(shape.sizeBytes, bench.quick);
  const topic = topicOf(shape, label);
  const common = {
    brokers: target.address,
    size: shape.sizeBytes,
    partitions: shape.partitions,
    rf: shape.replicationFactor ?? 1,
    'topic-configs': shape.topicConfigs ?? '',
  };
  const stored = { ...common, topic, n };
  if (shape.modes.includes('produce') || shape.modes.includes('consume')) {
    samples.set('produce', await measure(bench, target, { ...stored, mode: 'produce' }));
  }
  if (shape.modes.includes('consume')) {
    const flags = { ...stored, mode: 'consume', rounds: consumeRounds };
    samples.set('consume', await measure(bench, target, flags));
  }
  if (samples.size > 0) await bench.kbench.run({ ...common, topic, mode: 'delete' });
  if (shape.modes.includes('e2e')) {
    const seconds = bench.quick ? 1 : 3;
    const flags = {
      ...common,
      topic: `${topic}-e2e`,
      mode: 'e2e',
      rate: latencyRate,
      n: latencyRate * seconds,
    };
    samples.set('e2e', await measure(bench, target, flags));
    await bench.kbench.run({ ...common, topic: `${topic}-e2e`, mode: 'delete' });
  }
  return samples;
}

async function measure(
  bench: Bench,
  target: Target,
  flags: Readonly<Record<string, string | number>>,
): Promise<Sample> {
  // What an earlier run left in the page cache to be written would be charged to this one.
  await syncDisks(bench);
  const before = cpuSecondsOf(target);
  const result = await bench.kbench.run(flags);
  const spent = cpuSecondsOf(target) - before;
  verify(result, flags);
  // Deleting the topic later would spare a broker that acknowledges from memory the writing.
  const seconds = (result.seconds ?? 0) + (await syncDisks(bench));
  return {
    onDiskPerSecond: (result.n ?? 0) / seconds,
    recordsPerSecond: result.records_s ?? 0,
    megabytesPerSecond: result.mb_s ?? 0,
    cpuSeconds: spent,
    cpuSecondsPerMillion: (1e6 * spent) / (result.n ?? Number.NaN),
    ...(result.ack_ms === undefined ? {} : { ackP50Ms: result.ack_ms.p50, ackP99Ms: result.ack_ms.p99 }),
  };
}

function cpuSecondsOf({ pids }: Target): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

/** Seconds that it took. */
async function syncDisks({ children }: Bench): Promise<number> {
  const begin = performance.now();
  await children.mustRun('sync', [], { timeoutMs: 120_000 });
  return (performance.now() - begin) / 1000;
}

/** A run counts only when nothing failed and every record was there (kbench itself fails where contents fall short). */
function verify(result: KbenchResult, flags: Readonly<Record<string, string | number>>): void {
  const wanted = Number(flags['n']) * Number(flags['rounds'] ?? 1);
  if (result.n === wanted && (result.failed ?? 0) === 0) return;
  throw new Error(
    `${flags['mode']} of ${flags['topic']}: ${result.n} of ${wanted} records, ${result.failed} failed: ${result.first_error}`,
  );
}
