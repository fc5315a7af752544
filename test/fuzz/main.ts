/**
 * Mutated requests against a running broker.
 *
 *   npm run test:fuzz -- [--requests 1000000] [--seed S] [--target kappalog|kafka]
 *
 * The same seed sends the same frames; their interleaving over the connections differs from run to run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installKafkaJars } from '../support/apache-kafka-jars.ts';
import { formatKafkaStorage, startBroker } from '../support/broker-process.ts';
import { ChildProcesses } from '../support/child-processes.ts';
import { runFuzz } from './fuzz-run.ts';
import { brokerSettings } from './broker-settings.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000000' },
    seed: { type: 'string' },
    target: { type: 'string', default: 'kappalog' },
    port: { type: 'string', default: '23300' },
  },
});
if (values.target !== 'kappalog' && values.target !== 'kafka') {
  throw new Error(`--target is kappalog or kafka, not ${values.target}.`);
}
const kind = values.target;
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const directory = mkdtempSync(join(tmpdir(), 'kappalog-fuzz-'));
const children = new ChildProcesses();
const spec = {
  port: Number(values.port),
  directory,
  settings: brokerSettings,
  // The broker says why it closes a connection; here that would be a log of gigabytes.
  ...(kind === 'kappalog' ? { arguments: ['--log-level', 'warn'] } : {}),
};
if (kind === 'kafka') {
  await installKafkaJars(children);
  await formatKafkaStorage(children, spec);
}
const broker = await startBroker(kind, children, spec);
console.log(`seed ${seed}, process ${broker.pid}, log ${broker.logFile}`);
const begin = performance.now();
const requests = Number(values.requests);
const rounds = Math.max(3, Math.min(30, Math.ceil(requests / 20_000)));
const died = broker.ended.then((code) => {
  throw new Error(`The broker ended with ${code ?? 'a signal'}; its log is ${broker.logFile}.`);
});
const run = runFuzz({ broker, requests, rounds, seed, connections: 16, fillBytes: 400e6, log: console.log });
const result = await Promise.race([run, died]);
died.catch(() => undefined);
console.log(`in ${((performance.now() - begin) / 1000).toFixed(0)} s:`, result.mutations);
console.log(
  `${result.requests} requests: ${result.answered} answered, ${result.closed} ended their connection, ` +
    `${result.waiting} left the broker waiting; ${result.canaries} canaries came back`,
);
console.log(
  `resident MiB after each round: ${result.residentBytes.map((bytes) => (bytes / 2 ** 20).toFixed(0)).join(' ')}`,
);
await broker.stop();
rmSync(directory, { recursive: true });
process.exit(0);
