/**
 * Foreign clients against a real broker process.
 *
 *   node test/conformance/main.ts [--short] [--target kappalog|kafka] [--only TEXT] [--port NUMBER] [--keep] [--help]
 *
 * `--target kafka` runs the same checks against Apache Kafka, which shows that they ask for nothing but what Kafka does.
 * `--only` runs the checks whose names contain the text. A tool that is missing and cannot be installed skips its checks
 * with a line that says so. The last line holds the sums; the exit code is 1 when a check failed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installKafkaJars } from '../support/apache-kafka-jars.ts';
import { type BrokerKind, formatKafkaStorage, startBroker } from '../support/broker-process.ts';
import { ChildProcesses } from '../support/child-processes.ts';
import { Checks } from './checks.ts';
import { clusterSuite } from './cluster/cluster-suite.ts';
import { dumpLogSuite } from './dump-log.ts';
import { franzGoSuite } from './franz-go.ts';
import { groupsSuite } from './groups/groups-suite.ts';
import { groupToolsSuite } from './groups/tools/group-tools-suite.ts';
import { javaToolsSuite } from './java-tools.ts';
import { kafkaDirectorySuite } from './kafka-directory.ts';
import { kafkajsSuite } from './kafkajs.ts';
import { kcatSuite } from './kcat.ts';
import { segmentsSuite } from './segments.ts';

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    target: { type: 'string', default: 'kappalog' },
    only: { type: 'string' },
    port: { type: 'string', default: '23000' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const help = `npm run test:conformance -- [options]: foreign clients against a running broker, alone and in groups, and Kafka's tools against three nodes.
  --only TEXT        checks whose names contain this: kcat, kafkajs, java, franz-go, segments, cluster, rolling, groups or more of a name
  --short            fewer records and combinations
  --target KIND      kappalog, or kafka: the same checks against Apache Kafka
  --port NUMBER      the first of some fifty ports (23000)
  --keep             leave the data directories`;

async function main(kind: BrokerKind): Promise<boolean> {
  const children = new ChildProcesses();
  const checks = new Checks(values.only);
  const directory = mkdtempSync(join(tmpdir(), 'kappalog-conformance-'));
  // As real clusters do, the broker would wait 3 s for more members whenever a group begins.
  const spec = {
    port: Number(values.port),
    directory,
    settings: { 'group.initial.rebalance.delay.ms': '0' },
  };
  const jars = await kafkaJars(children);
  if (kind === 'kafka') {
    if (jars !== undefined) throw new Error(`Apache Kafka cannot be had: ${jars}`);
    await formatKafkaStorage(children, spec);
  }
  let broker = await startBroker(kind, children, spec);
  const restart = async (): Promise<typeof broker> => {
    await broker.stop();
    broker = await startBroker(kind, children, spec);
    return broker;
  };
  console.log(
    `${kind} answers on ${broker.address} after ${broker.readyMs.toFixed(0)} ms; data in ${directory}`,
  );
  const suite = { checks, children, broker, short: values.short, directory };
  await checks.suite('kcat', () => kcatSuite(suite));
  await checks.suite('kafkajs', () => kafkajsSuite(suite));
  await checks.suite('java', () => javaToolsSuite(suite, jars));
  await checks.suite('franz-go', () => franzGoSuite(suite));
  await checks.suite('segments', () => segmentsSuite(suite, jars));
  await checks.suite('kafka-directory', () => kafkaDirectorySuite(suite, jars));
  await checks.suite('dump-log', () => dumpLogSuite(suite, jars, restart));
  await broker.kill();
  await checks.suite('cluster', () => clusterSuite(suite, { kind, port: spec.port + 10, jarsMissing: jars }));
  await checks.suite('groups', () => groupsSuite(suite, { kind, port: spec.port + 20 }));
  const toolsPort = spec.port + 40;
  await checks.suite('groups: tools', () =>
    groupToolsSuite(suite, { kind, port: toolsPort, jarsMissing: jars }),
  );
  if (!values.keep) rmSync(directory, { recursive: true });
  console.log(checks.summary());
  return checks.failed === 0;
}

/** undefined when they are there, else why not. */
async function kafkaJars(children: ChildProcesses): Promise<string | undefined> {
  try {
    await installKafkaJars(children);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

if (values.target !== 'kappalog' && values.target !== 'kafka') {
  throw new Error(`--target is kappalog or kafka, not ${values.target}.`);
}
if (values.help) console.log(help);
else process.exitCode = (await main(values.target)) ? 0 : 1;
