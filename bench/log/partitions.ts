/** A node of many partitions, in a process of its own: starting, resting, and starting after it was killed. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Kappalog } from '../../client/index.ts';
import { startBroker } from '../../test/support/broker-process.ts';
import type { BrokerProcess } from '../../test/support/broker-process.ts';
import { ChildProcesses } from '../../test/support/child-processes.ts';
import { cpuSeconds, residentBytes } from '../../test/support/process-stats.ts';
import { median } from '../table.ts';
import type { LogBenchLine, LogBenchOptions } from './bench-log.ts';

const topics = 10;
const idleSeconds = 10;

export async function partitionsRow(options: LogBenchOptions): Promise<LogBenchLine[]> {
  const count = options.quick ? 1000 : 10_000;
  const children = new ChildProcesses();
  const spec = { port: options.port, directory: join(options.directory, 'partitions') };
  const first = await startBroker('kappalog', children, spec);
  const emptyBytes = residentBytes(first.pid);
  const makingMs = await makeTopics(first, count);
  await first.stop();
  const cleanMs: number[] = [];
  const killedMs: number[] = [];
  let rest: Rest | undefined;
  for (let run = 0; run < options.runs; run++) {
    const afterStop = await startBroker('kappalog', children, spec);
    cleanMs.push(afterStop.readyMs);
    rest ??= await restOf(afterStop, options.quick ? 2 : idleSeconds);
    await afterStop.kill();
    const afterKill = await startBroker('kappalog', children, spec);
    killedMs.push(afterKill.readyMs);
    await afterKill.stop();
  }
  if (rest === undefined) return [];
  const perPartition = (rest.bytes - emptyBytes) / count / 1024;
  return [
    { name: `make ${count} partitions`, figure: `${makingMs.toFixed(0)} ms`, detail: `${topics} topics` },
    {
      name: `start of ${count} partitions, stopped before`,
      figure: `${median(cleanMs).toFixed(0)} ms`,
      detail: '',
    },
    {
      name: `start of ${count} partitions, killed before`,
      figure: `${median(killedMs).toFixed(0)} ms`,
      detail: '',
    },
    {
      name: 'processor at rest',
      figure: `${(100 * rest.processorShare).toFixed(1)} %`,
      detail: 'of one core',
    },
    {
      name: 'resident memory at rest',
      figure: `${(rest.bytes / 2 ** 20).toFixed(0)} MiB`,
      detail: `${perPartition.toFixed(1)} KiB for each partition`,
    },
    { name: 'open descriptors at rest', figure: String(rest.descriptors), detail: '' },
  ];
}

interface Rest {
  readonly processorShare: number;
  readonly bytes: number;
  readonly descriptors: number;
}

async function makeTopics(broker: BrokerProcess, count: number): Promise<number> {
  const client = new Kappalog({ brokers: broker.address });
  const begin = performance.now();
  try {
    for (let topic = 0; topic < topics; topic++) {
      await client.admin().createTopics([{ name: `many-${topic}`, partitions: count / topics }]);
    }
    return performance.now() - begin;
  } finally {
    await client.close();
  }
}

async function restOf(broker: BrokerProcess, forSeconds: number): Promise<Rest> {
  // What the start has left to do comes first.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const before = cpuSeconds(broker.pid);
  await new Promise((resolve) => setTimeout(resolve, forSeconds * 1000));
  return {
    processorShare: (cpuSeconds(broker.pid) - before) / forSeconds,
    bytes: residentBytes(broker.pid),
    descriptors: readdirSync(`/proc/${broker.pid}/fd`).length,
  };
}
