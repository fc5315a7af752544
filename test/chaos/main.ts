/**
 * Processes that are killed and frozen, networks that are cut in one direction or both, slow or late, disks that are full or lost, and
 * clocks that jump, under load; then everything acknowledged is compared with everything there.
 *
 *   npm run test:chaos -- [--minutes 20] [--seed S] [--only KIND,KIND] [--directory D] [--list]
 *
 * Needs root and iproute2, for networks of its own, a loop device for a disk, and says so where it cannot have them; clocks need libfaketime. At most 50 minutes. A run is repeated, as
 * far as the operating system allows, by its seed; with `--directory` the nodes' data and logs stay.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ChildProcesses } from '../support/child-processes.ts';
import { runChaos } from './chaos-run.ts';
import type { FaultEffect } from './chaos-run.ts';
import { faults } from './faults.ts';
import { NetworkLab } from './network-lab.ts';
import { WallClocks } from './wall-clocks.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
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
const asked = values.only?.split(',') ?? Object.keys(faults);
for (const kind of asked)
  if (faults[kind] === undefined) throw new Error(`There is no fault '${kind}'; see --list.`);
const clockObstacle = WallClocks.obstacle();
const kinds = asked.filter((kind) => clockObstacle === undefined || kind !== 'a clock jumps');
if (kinds.length < asked.length) console.log(`SKIPPED: a clock jumps: ${clockObstacle}`);
const minutes = Math.min(Number(values.minutes), 50);
const obstacle = NetworkLab.obstacle();
if (obstacle !== undefined) {
  console.log(`SKIPPED: ${obstacle}`);
  process.exit(0);
}
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const directory = values.directory ?? mkdtempSync(join(tmpdir(), 'kappalog-chaos-'));
console.log(`seed ${seed}, ${minutes} min, in ${directory}`);
const children = new ChildProcesses();
const result = await runChaos({ minutes, seed, kinds, directory, children, log: console.log });
let count = 0;
console.log(
  '\nfault | times | longest time without a write, median | longest | until all in sync, median | longest',
);
console.log('---|---:|---:|---:|---:|---:');
for (const [kind, effects] of [...result.effects].sort(([a], [b]) => a.localeCompare(b))) {
  count += effects.length;
  const gaps = quantiles(effects, ({ writeGapMs }) => writeGapMs);
  const recoveries = quantiles(effects, ({ recoveryMs }) => recoveryMs);
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

function quantiles(effects: readonly FaultEffect[], of: (effect: FaultEffect) => number): string {
  const sorted = effects.map(of).sort((a, b) => a - b);
  return `${ms(sorted[Math.floor(sorted.length / 2)]!)} | ${ms(sorted.at(-1)!)}`;
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}
