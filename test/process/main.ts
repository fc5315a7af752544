/**
 * kill -9 at random moments under load, and a comparison of all that was acknowledged with all that is there.
 *
 *   npm run test:process -- [--kills 100] [--seed S] [--directory D] [--target kappalog|kafka]
 *   npm run test:process -- --nodes 3 [--minutes 10] [--seed S] [--gentle]
 *
 * With `--directory` the data stay, and a run of one node that was interrupted goes on where it was.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installKafkaJars } from '../support/apache-kafka-jars.ts';
import { ChildProcesses } from '../support/child-processes.ts';
import { runClusterKillTest } from './cluster-kill-test.ts';
import { runKillTest } from './kill-test.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string' },
    directory: { type: 'string' },
    target: { type: 'string', default: 'kappalog' },
    nodes: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '10' },
    gentle: { type: 'boolean', default: false },
    port: { type: 'string', default: '23200' },
  },
});
if (values.target !== 'kappalog' && values.target !== 'kafka') {
  throw new Error(`--target is kappalog or kafka, not ${values.target}.`);
}
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const directory = values.directory ?? mkdtempSync(join(tmpdir(), 'kappalog-process-'));
console.log(`seed ${seed}, in ${directory}`);
const children = new ChildProcesses();
if (values.nodes !== '1') await killClusterNodes();
if (values.target === 'kafka') await installKafkaJars(children);
const begin = performance.now();
const result = await runKillTest({
  kind: values.target,
  kills: Number(values.kills),
  seed,
  directory,
  port: Number(values.port),
  children,
  log: console.log,
});
const { load, creation, 'start-up': startUp } = result.kills;
console.log(
  `${load + creation + startUp} kills (${load} under load, ${startUp} during start-up, ${creation} during creation of ` +
    `topics) in ${((performance.now() - begin) / 1000).toFixed(0)} s`,
);
console.log(
  `${result.acknowledged} records acknowledged, ${result.recordsRead} read, ${result.commits} commits, ` +
    `${result.changes} changes of topics`,
);
for (const difference of result.differences) console.log(`DIFFERENCE ${difference}`);
const failed = result.differences.length > 0;
console.log(
  failed ? `FAILED: ${result.differences.length} differences; the data are in ${directory}` : 'no difference',
);
if (!failed && values.directory === undefined) rmSync(directory, { recursive: true });
process.exit(failed ? 1 : 0);

async function killClusterNodes(): Promise<never> {
  if (values.nodes !== '3') throw new Error(`--nodes is 1 or 3, not ${values.nodes}.`);
  const minutes = Number(values.minutes);
  const port = Number(values.port);
  const isGentle = values.gentle;
  const shared = { seed, directory, port, children, log: console.log };
  const cluster = await runClusterKillTest({ ...shared, minutes, isGentle });
  console.log(
    `${cluster.kills} ${isGentle ? 'stops' : 'kills'} in ${minutes} min (${cluster.majorityLosses} of a second node), ` +
      `${cluster.acknowledged} records acknowledged, ${cluster.recordsRead} read, ${cluster.commits} commits, ` +
      `${cluster.changes} changes of topics`,
  );
  console.log(`without a leader after its kill: ${quantiles(cluster.leaderlessMs)}`);
  console.log(`longest time without an acknowledgement round a kill: ${quantiles(cluster.writeGapsMs)}`);
  for (const difference of cluster.differences) console.log(`DIFFERENCE ${difference}`);
  const isSame = cluster.differences.length === 0;
  console.log(isSame ? 'no difference' : `FAILED; the data are in ${directory}`);
  if (isSame && values.directory === undefined) rmSync(directory, { recursive: true });
  process.exit(isSame ? 0 : 1);
}

function quantiles(values: readonly number[]): string {
  if (values.length === 0) return 'none';
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): string => `${Math.round(sorted[Math.floor(share * (sorted.length - 1))]!)} ms`;
  return `median ${at(0.5)}, p90 ${at(0.9)}, longest ${at(1)} (${sorted.length})`;
}
