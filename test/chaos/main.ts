/**
 * Processes that are killed and frozen, networks that are cut in one direction or both, slow or late, disks that are full or lost, and
 * clocks that jump, under load; then everything acknowledged is compared with everything there.
 *
 *   npm run test:chaos -- [--minutes 20] [--seed S] [--only KIND,KIND] [--directory D] [--list]
 *   npm run test:chaos -- --coordinators [--minutes 5] [--seed S] [--port 25000] [--directory D]
 *
 * The first needs root and iproute2, for networks of its own, a loop device for a disk, and says so where it cannot have them; clocks need libfaketime. The second is of groups whose coordinators go away. At most
 * 50 minutes. A run is repeated, as
 * far as the operating system allows, by its seed; with `--directory` the nodes' data and logs stay.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ChildProcesses } from '../support/child-processes.ts';
import { runChaos } from './chaos-run.ts';
import { runCoordinatorChaos } from './coordinators.ts';
import { faults } from './faults.ts';
import { NetworkLab } from './network-lab.ts';
import { WallClocks } from './wall-clocks.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    coordinators: { type: 'boolean', default: false },
    port: { type: 'string', default: '25000' },
    seed: { type: 'string' },
    only: { type: 'string' },
    directory: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});
if (values.list) {
  for (const kind of Object.keys(faults)) console.log(kind);
  process.exit(0);
}
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const directory = values.directory ?? mkdtempSync(join(tmpdir(), 'kappalog-chaos-'));
const children = new ChildProcesses();
if (values.coordinators) process.exit((await coordinatorsGoAway()) ? 0 : 1);
const asked = values.only?.split(',') ?? Object.keys(faults);
for (const kind of asked)
  if (faults[kind] === undefined) throw new Error(`There is no fault '${kind}'; see --list.`);
const clockObstacle = WallClocks.obstacle();
const kinds = asked.filter((kind) => clockObstacle === undefined || kind !== 'a clock jumps');
if (kinds.length < asked.length) console.log(`SKIPPED: a clock jumps: ${clockObstacle}`);
const minutes = minutesOf('20');
const obstacle = NetworkLab.obstacle();
if (obstacle !== undefined) {
  console.log(`SKIPPED: ${obstacle}`);
  process.exit(0);
}
console.log(`seed ${seed}, ${minutes} min, in ${directory}`);
const result = await runChaos({ minutes, seed, kinds, directory, children, log: console.log });
let count = 0;
console.log(
  '\nfault | times | longest time without a write, median | longest | until all in sync, median | longest',
);
console.log('---|---:|---:|---:|---:|---:');
for (const [kind, effects] of [...result.effects].sort(([a], [b]) => a.localeCompare(b))) {
  count += effects.length;
  const gaps = quantiles(effects.map(({ writeGapMs }) => writeGapMs));
  const recoveries = quantiles(effects.map(({ recoveryMs }) => recoveryMs));
  console.log(`${kind} | ${effects.length} | ${gaps} | ${recoveries}`);
}
console.log(
  `\n${count} faults, ${result.acknowledged} records acknowledged, ${result.recordsRead} there in the end, ` +
    `${result.readWhileItWent} read meanwhile, ${result.commits} commits, ${result.changes} changes of topics`,
);
for (const difference of result.differences) console.log(`DIFFERENCE ${difference}`);
const isSame = result.differences.length === 0;
console.log(isSame ? 'no difference' : `FAILED; the data are in ${directory}`);
if (isSame && values.directory === undefined) rmSync(directory, { recursive: true });
process.exit(isSame ? 0 : 1);

function minutesOf(usual: string): number {
  return Math.min(Number(values.minutes ?? usual), 50);
}

/** Whether nothing was wrong. */
async function coordinatorsGoAway(): Promise<boolean> {
  console.log(`seed ${seed}, ${minutesOf('5')} min, in ${directory}`);
  try {
    const { effects: byKind, ...sums } = await runCoordinatorChaos({
      minutes: minutesOf('5'),
      seed,
      port: Number(values.port),
      directory,
      children,
      log: console.log,
    });
    console.log(
      '\nthe coordinator was | times | until all commit again, median | longest | until stable, median | longest',
    );
    console.log('---|---:|---:|---:|---:|---:');
    for (const [kind, each] of byKind) {
      const committed = quantiles(each.map(({ committedMs }) => committedMs));
      const stable = quantiles(each.map(({ stableMs }) => stableMs));
      console.log(`${kind} | ${each.length} | ${committed} | ${stable}`);
    }
    console.log(
      `\n${sums.records} records read, of which ${sums.repeated} again after they were not committed; ${sums.commits} commits; ` +
        `${sums.reassignments} changes of what members own\nno difference`,
    );
    if (values.directory === undefined) rmSync(directory, { recursive: true });
    return true;
  } catch (error) {
    console.log(
      `FAILED: ${error instanceof Error ? error.message : String(error)}; the data are in ${directory}`,
    );
    return false;
  } finally {
    children.killAll();
  }
}

function quantiles(unsorted: readonly number[]): string {
  const sorted = unsorted.toSorted((a, b) => a - b);
  return `${ms(sorted[Math.floor(sorted.length / 2)]!)} | ${ms(sorted.at(-1)!)}`;
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}
