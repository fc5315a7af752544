/**
 * Simulated histories, as many as one likes.
 *
 *   npm run test:simulation -- [--seeds 10000] [--from 0] [--workers 2] [--simulator log] [--keep-going]
 *   npm run test:simulation -- --simulator cluster --seed S [--trace] [--without rot,drift] [--steps 3-5,9] [--shrink]
 *
 * Without `--simulator` all of them run, one after the other. With `--seed` one history is printed; `--trace`: with every event,
 * `--without` and `--steps`: with parts of it left out, `--shrink`: with as much left out as can be, `--focus`: as the mutation check
 * found it. A run that was ended goes on with the seed that it said last, `--from`.
 *
 * Ends with code 1 when a seed fails, and says how to repeat it.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { scriptOptions } from '../support/script-options.ts';
import { describeSteps, parseSteps, shrinkRun } from './shrink.ts';
import { addCounts, runSeed, simulators } from './simulator.ts';
import type { Counts, SimulationRun } from './simulator.ts';
import type { FailedSeed, Task, TaskResult } from './worker.ts';

/** Lines of a failed seed's history that are worth showing. */
const historyLinesMax = 40;
const seedsPerTask = 20;
/** Histories that the cutting down of one may take. */
const shrinkRunsMax = 400;
const reportEveryMs = 10_000;

const usage = `npm run test:simulation -- [--seeds 10000] [--from 0] [--workers 2] [--simulator ${Object.keys(simulators).join('|')}] [--keep-going]
npm run test:simulation -- --simulator cluster --seed S [--trace] [--focus WHAT] [--without rot,drift] [--steps 3-5,9] [--shrink]`;

const { values } = scriptOptions(usage, {
  options: {
    seeds: { type: 'string', default: '10000' },
    from: { type: 'string', default: '0' },
    workers: { type: 'string', default: String(availableParallelism()) },
    simulator: { type: 'string' },
    seed: { type: 'string' },
    focus: { type: 'string' },
    without: { type: 'string' },
    steps: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
  },
});
const chosen = values.simulator === undefined ? Object.keys(simulators) : [values.simulator];
for (const name of chosen)
  if (simulators[name] === undefined) throw new Error(`There is no simulator ${name}.`);

if (values.seed === undefined) {
  for (const name of chosen) if (process.exitCode !== 1) await runMany(name);
} else {
  await runOne(values.simulator ?? 'log', {
    seed: Number(values.seed),
    focus: values.focus,
    without: values.without?.split(','),
    steps: values.steps === undefined ? undefined : parseSteps(values.steps),
  });
}

async function runOne(name: string, run: SimulationRun): Promise<void> {
  const simulator = simulators[name]!;
  const result = await runSeed(simulator, { ...run, keepsTrace: values.trace });
  if (result.failure !== undefined && values.shrink) {
    await reportShrunk(name, run);
  } else {
    for (const line of values.trace ? result.traceLines : result.history) console.log(line);
    console.log(result.failure === undefined ? 'ok' : `FAILED: ${result.failure.message}`);
  }
  console.log(`trace ${result.traceHash}`);
  process.exitCode = result.failure === undefined ? 0 : 1;
}

async function runMany(name: string): Promise<void> {
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
    return {
      simulator: name,
      from: next - seeds,
      seeds,
      without: values.without?.split(','),
      focus: values.focus,
    };
  };
  const take = (result: TaskResult): void => {
    done += result.seeds;
    addCounts(counts, result.counts);
    failed.push(...result.failed);
    for (const { seed, message } of result.failed) console.log(`\n${name}: seed ${seed} failed: ${message}`);
    if (performance.now() - reported < reportEveryMs) return;
    reported = performance.now();
    const rest = `--simulator ${name} --from ${next} --seeds ${end - next}`;
    console.log(
      `${name}: ${done} histories in ${seconds(begin)} s; the rest, but for some under way: ${rest}`,
    );
  };
  const workers = Array.from({ length: Number(values.workers) }, () => runWorker(nextTask, take));
  await Promise.all(workers);
  const elapsedMs = performance.now() - begin;
  printCounts(counts);
  printRates(name, counts, { done, failed: failed.length, elapsedMs });
  if (done < end - from)
    console.log(
      `go on with: npm run test:simulation -- --simulator ${name} --from ${next} --seeds ${end - next}`,
    );
  if (failed.length === 0) return;
  process.exitCode = 1;
  const [first] = failed.toSorted((a, b) => a.history.length - b.history.length);
  await reportShrunk(name, { seed: first!.seed, without: values.without?.split(','), focus: values.focus });
}

/** One process that works until there is no task left. */
function runWorker(nextTask: () => Task | undefined, take: (result: TaskResult) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    // Most of what a history makes is gone again soon.
    const execArgv = ['--max-semi-space-size=64'];
    const worker: ChildProcess = fork(join(import.meta.dirname, 'worker.ts'), { execArgv });
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

/** What is left of a failing history, and the command that repeats it. */
async function reportShrunk(name: string, run: SimulationRun): Promise<void> {
  const simulator = simulators[name]!;
  console.log(`\nThe history of seed ${run.seed}, cut down as far as it goes:`);
  const shrunk = await shrinkRun(simulator, run, shrinkRunsMax);
  const { failure, history } = shrunk?.result ?? (await runSeed(simulator, run));
  for (const line of history.slice(-historyLinesMax)) console.log(`  ${line}`);
  console.log(`FAILED: ${failure?.message}`);
  const { without = [], steps } = shrunk?.run ?? run;
  const options = [
    `--simulator ${name} --seed ${run.seed}`,
    ...(run.focus === undefined ? [] : [`--focus ${run.focus}`]),
    ...(without.length === 0 ? [] : [`--without ${without.join(',')}`]),
    ...(steps === undefined ? [] : [`--steps ${describeSteps(steps)}`]),
  ];
  console.log(`repeat it with: npm run test:simulation -- ${options.join(' ')}`);
}

function printRates(
  name: string,
  counts: Counts,
  { done, failed, elapsedMs }: { readonly done: number; readonly failed: number; readonly elapsedMs: number },
): void {
  const simulatedHours = (counts['simulated time']?.['seconds'] ?? 0) / 3600;
  const rates = [`${(done / (elapsedMs / 1000)).toFixed(1)} a second`];
  if (simulatedHours > 0) {
    rates.push(`${(simulatedHours / (elapsedMs / 60_000)).toFixed(2)} simulated hours in a minute`);
  }
  console.log(
    `\n${name}: ${done} histories in ${(elapsedMs / 1000).toFixed(0)} s, ${rates.join(', ')}: ${failed} failed`,
  );
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
