/**
 * Simulated histories, as many as one likes.
 *
 *   npm run test:simulation -- [--seeds 100000] [--from 0] [--workers 2] [--simulator log] [--keep-going]
 *   npm run test:simulation -- --seed S [--trace] [--focus clean]   one seed, with its history; --trace: with every event;
 *                                                                  --focus: as the mutation check found it
 *
 * Ends with code 1 when a seed fails, and says how to repeat it.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { addCounts, runSeed, simulators } from './simulator.ts';
import type { Counts } from './simulator.ts';
import type { FailedSeed, Task, TaskResult } from './worker.ts';

/** Lines of a failed seed's history that are worth showing. */
const historyLinesMax = 40;
const seedsPerTask = 50;
const reportEveryMs = 10_000;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100000' },
    from: { type: 'string', default: '0' },
    workers: { type: 'string', default: String(availableParallelism()) },
    simulator: { type: 'string', default: 'log' },
    seed: { type: 'string' },
    focus: { type: 'string' },
    trace: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
  },
});
if (simulators[values.simulator] === undefined) throw new Error(`There is no simulator ${values.simulator}.`);

if (values.seed === undefined) await runMany();
else await runOne(Number(values.seed));

async function runOne(seed: number): Promise<void> {
  const run = { seed, keepsTrace: values.trace, focus: values.focus };
  const result = await runSeed(simulators[values.simulator]!, run);
  for (const line of values.trace ? result.traceLines : result.history) console.log(line);
  console.log(result.failure === undefined ? 'ok' : `FAILED: ${result.failure.message}`);
  console.log(`trace ${result.traceHash}`);
  process.exitCode = result.failure === undefined ? 0 : 1;
}

async function runMany(): Promise<void> {
  const from = Number(values.from);
  const end = from + Number(values.seeds);
  const begin = performance.now();
  const counts: Counts = {};
  const failed: FailedSeed[] = [];
  let next = from;
  let done = 0;
  let reported = begin;
  const nextTask = (): Task | undefined => {
    if (next >= end || (failed.length > 0 && !values['keep-going'])) return undefined;
    const seeds = Math.min(seedsPerTask, end - next);
    next += seeds;
    return { simulator: values.simulator, from: next - seeds, seeds };
  };
  const take = (result: TaskResult): void => {
    done += result.seeds;
    addCounts(counts, result.counts);
    failed.push(...result.failed);
    for (const seed of result.failed) report(seed);
    if (performance.now() - reported < reportEveryMs) return;
    reported = performance.now();
    console.log(`${done} histories in ${seconds(begin)} s; the next seed is ${next}`);
  };
  const workers = Array.from({ length: Number(values.workers) }, () => runWorker(nextTask, take));
  await Promise.all(workers);
  printCounts(counts);
  const rate = done / ((performance.now() - begin) / 1000);
  console.log(
    `\n${done} histories (seeds ${from} to ${from + done - 1}) in ${seconds(begin)} s, ${rate.toFixed(0)} a second: ` +
      `${failed.length} failed`,
  );
  if (done < end - from)
    console.log(`go on with: npm run test:simulation -- --from ${next} --seeds ${end - next}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

/** One process that works until there is no task left. */
function runWorker(nextTask: () => Task | undefined, take: (result: TaskResult) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker: ChildProcess = fork(join(import.meta.dirname, 'worker.ts'));
    const giveTask = (): void => {
      const task = nextTask();
      if (task === undefined) worker.disconnect();
      else worker.send(task);
    };
    worker.on('message', (result) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the worker sends nothing else
      take(result as TaskResult);
      giveTask();
    });
    worker.on('error', reject);
    worker.on('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`A worker ended with ${code ?? 'a signal'}.`));
    });
    giveTask();
  });
}

function report({ seed, message, history }: FailedSeed): void {
  console.log(`\nseed ${seed} failed: ${message}`);
  for (const line of history.slice(-historyLinesMax)) console.log(`  ${line}`);
  const simulator = values.simulator === 'log' ? '' : ` --simulator ${values.simulator}`;
  console.log(`repeat it with: npm run test:simulation --${simulator} --seed ${seed}\n`);
}

function printCounts(counts: Counts): void {
  for (const [group, names] of Object.entries(counts)) {
    const sorted = Object.entries(names).sort((a, b) => b[1] - a[1]);
    console.log(`\n${group}: ${sorted.map(([name, count]) => `${name} ${count}`).join(', ')}`);
  }
}

function seconds(begin: number): string {
  return ((performance.now() - begin) / 1000).toFixed(0);
}
