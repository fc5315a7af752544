/**
 * kill -9 at random moments under load, and a comparison of all that was acknowledged with all that is there.
 *
 *   npm run test:process -- [--kills 100] [--seed S] [--directory D] [--target kappalog|kafka]
 *
 * With `--directory` the data stay, and a run that was interrupted goes on where it was.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installKafkaJars } from '../support/apache-kafka-jars.ts';
import { ChildProcesses } from '../support/child-processes.ts';
import { runKillTest } from './kill-test.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string' },
    directory: { type: 'string' },
    target: { type: 'string', default: 'kappalog' },
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
