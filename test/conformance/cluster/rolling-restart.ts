/**
 * Every node is stopped cleanly and started again, one after the other, under load from three clients at once: no application is
 * told of an error, and every record is there once and in order.
 */
import { Kappalog } from '../../../client/index.ts';
import type { BrokerCluster } from '../../support/broker-cluster.ts';
import { type SeenRecord, compareRecords, equal, pause } from '../suite.ts';
import type { ClusterSuite } from './cluster-suite.ts';
import {
  type ClientLoad,
  numberedRecord,
  startJavaLoad,
  startKafkaJsLoad,
  startOwnLoad,
} from './client-load.ts';

const partitions = 6;
/** Between starting a node and stopping the next one, beside waiting until all is in sync: time for clients to do something. */
const betweenMs = 1000;

export async function rollingRestart(suite: ClusterSuite): Promise<void> {
  const { checks, children, cluster, short } = suite;
  if (!checks.wants('rolling')) return;
  const kappalog = new Kappalog({ brokers: cluster.address });
  const topics = ['rolling-own', 'rolling-kafkajs', 'rolling-java'];
  const loads: ClientLoad[] = [];
  await checks.check('rolling: three clients begin', async () => {
    await using admin = kappalog.admin();
    const configs = { 'min.insync.replicas': '2' };
    await admin.createTopics(topics.map((name) => ({ name, partitions, replicationFactor: 3, configs })));
    for (const topic of topics) await cluster.untilInSync(topic, partitions);
    const { address } = cluster;
    loads.push(startOwnLoad({ address, topic: 'rolling-own' }));
    loads.push(await startKafkaJsLoad({ address, topic: 'rolling-kafkajs' }));
    loads.push(startJavaLoad(children, { address, topic: 'rolling-java' }));
    await pause(3000);
  });
  for (let round = 1; round <= (short ? 1 : 3); round++) {
    await checks.check(`rolling: every node is stopped and started, round ${round}`, () =>
      restartAll(cluster, topics),
    );
  }
  for (const load of loads) {
    await checks.check(
      `rolling: ${load.name} is told of no error, and all it sent is there once`,
      async () => {
        await checkLoad(kappalog, load);
      },
    );
  }
  await kappalog.close();
}

async function checkLoad(kappalog: Kappalog, load: ClientLoad): Promise<void> {
  const { sent, acknowledged, unread, longestGapMs, errors } = await load.stop();
  console.log(`      ${sent} records; longest time without an acknowledgement ${longestGapMs.toFixed(0)} ms`);
  equal(errors.slice(0, 3), [], `the errors (${errors.length}), of which the first`);
  equal(acknowledged, sent, 'the number of records that were acknowledged');
  equal(sent > 200, true, `that there was a load: ${sent} records`);
  const expected = Array.from({ length: sent }, (_, number) => numberedRecord(number));
  const seen = await readAll(kappalog, load.topic);
  compareRecords(expected, seen);
  const missed = seen.filter(({ value }) => unread.includes(Number(value)));
  equal(missed.slice(0, 10), [], `what its group has not read (${missed.length}), of which the first`);
}

async function restartAll(cluster: BrokerCluster, topics: readonly string[]): Promise<void> {
  for (const nodeId of cluster.nodeIds) {
    const code = await cluster.stopNode(nodeId);
    // A JVM says so that it was asked to end.
    equal(code, cluster.kind === 'kafka' ? 143 : 0, `the exit code of node ${nodeId}`);
    await cluster.startNode(nodeId);
    await cluster.untilComplete();
    for (const topic of topics) await cluster.untilInSync(topic, partitions);
    await pause(betweenMs);
  }
}

async function readAll(kappalog: Kappalog, topic: string): Promise<SeenRecord[]> {
  await using admin = kappalog.admin();
  const places = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
  const ends = await admin.listOffsets(places.map((place) => ({ ...place, at: 'latest' as const })));
  const assign = ends.map(({ partition, offset }) => ({
    topic,
    partition,
    offset: 'earliest' as const,
    endOffset: offset,
  }));
  await using consumer = kappalog.consumer({ assign });
  const seen: SeenRecord[] = [];
  for await (const { partition, offset, key, value } of consumer) {
    seen.push({ partition, offset, key: key?.toString() ?? '', value: value?.toString() ?? '' });
  }
  return seen;
}
