import { expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { produceOf, produceVersion } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

const batches = 20;
const batchBytes = 100_000;
const bytesPerSecond = 1_000_000;
const brokerType = 4;
const topicType = 2;

/** A topic on nodes 1 and 2, led by node 1, with 2 MB in it. */
async function fill(connection: WireConnection, name: string): Promise<void> {
  const assignments = [{ partitionIndex: 0, brokerIds: [1, 2] }];
  const made = await connection.call('CreateTopics', 7, {
    topics: [{ name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]?.errorCode).toBe(ErrorCode.NONE);
  for (let batch = 0; batch < batches; batch++) await produce(connection, name, 'x'.repeat(batchBytes));
}

async function produce(connection: WireConnection, name: string, value: string): Promise<void> {
  const answer = await connection.call('Produce', produceVersion, produceOf(name, [value]));
  expect(answer.responses[0]?.partitionResponses[0]?.errorCode).toBe(ErrorCode.NONE);
}

async function set(connection: WireConnection, resourceType: number, resourceName: string, settings: object) {
  const configs = Object.entries(settings).map(([name, value]) => ({
    name,
    configOperation: 0,
    value: String(value),
  }));
  const answer = await connection.call('IncrementalAlterConfigs', 1, {
    resources: [{ resourceType, resourceName, configs }],
    validateOnly: false,
  });
  expect(answer.responses[0]).toMatchObject({ errorCode: ErrorCode.NONE });
}

/** Gives the topic a replica on node 3; resolves with the milliseconds until it has it. */
async function addReplica(
  connection: WireConnection,
  name: string,
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<number> {
  const beganMs = performance.now();
  const begun = await connection.call('AlterPartitionReassignments', 0, {
    timeoutMs: 10_000,
    topics: [{ name, partitions: [{ partitionIndex: 0, replicas: [1, 2, 3] }] }],
  });
  expect(begun.responses[0]?.partitions[0]?.errorCode).toBe(ErrorCode.NONE);
  await vi.waitFor(
    async () => {
      await meanwhile();
      const under = await connection.call('ListPartitionReassignments', 0, {
        timeoutMs: 10_000,
        topics: null,
      });
      expect(under.topics).toEqual([]);
    },
    { timeout: 30_000, interval: 20 },
  );
  return performance.now() - beganMs;
}

it('throttles what a new replica is sent, and nothing else', async () => {
  await using cluster = await EmbeddedCluster.start();
  await using connection = await cluster.connect(1);
  await fill(connection, 'open');
  await fill(connection, 'slow');
  await set(connection, brokerType, '1', { 'leader.replication.throttled.rate': bytesPerSecond });
  await set(connection, brokerType, '2', { 'leader.replication.throttled.rate': bytesPerSecond });
  await set(connection, topicType, 'slow', { 'leader.replication.throttled.replicas': '0:1,0:2' });

  const openMs = await addReplica(connection, 'open');
  const appendsMs: number[] = [];
  const slowMs = await addReplica(connection, 'slow', async () => {
    const beganMs = performance.now();
    await produce(connection, 'slow', 'small');
    appendsMs.push(performance.now() - beganMs);
  });
  // The last of it is sent before it is paid for.
  expect(slowMs).toBeGreaterThan(((batches - 4) * batchBytes * 1000) / bytesPerSecond);
  expect(openMs).toBeLessThan(slowMs);
  expect(appendsMs.length).toBeGreaterThan(3);
  expect(appendsMs.toSorted((a, b) => a - b)[Math.floor(appendsMs.length / 2)]).toBeLessThan(500);
}, 60_000);

it('throttles by what the follower may be sent, until the throttle is taken away', async () => {
  await using cluster = await EmbeddedCluster.start();
  await using connection = await cluster.connect(1);
  await fill(connection, 'slow');
  await set(connection, brokerType, '3', { 'follower.replication.throttled.rate': 1_000 });
  await set(connection, topicType, 'slow', { 'follower.replication.throttled.replicas': '0:3' });
  const beganMs = performance.now();
  let isThrottled = true;
  const tookMs = await addReplica(connection, 'slow', async () => {
    if (!isThrottled || performance.now() - beganMs < 2_000) return;
    isThrottled = false;
    await set(connection, brokerType, '3', { 'follower.replication.throttled.rate': 100_000_000 });
  });
  expect(isThrottled).toBe(false);
  // At the first rate it would take half an hour.
  expect(tookMs).toBeLessThan(20_000);
}, 60_000);

it('throttles the files of a log whose beginning is gone, too', async () => {
  await using cluster = await EmbeddedCluster.start({ httpPort: 0 });
  await using connection = await cluster.connect(1);
  await fill(connection, 'slow');
  const deleted = await connection.call('DeleteRecords', 2, {
    topics: [{ name: 'slow', partitions: [{ partitionIndex: 0, offset: 1 }] }],
    timeoutMs: 10_000,
  });
  expect(deleted.topics[0]?.partitions[0]?.errorCode).toBe(ErrorCode.NONE);
  await set(connection, brokerType, '', { 'leader.replication.throttled.rate': bytesPerSecond });
  await set(connection, topicType, 'slow', { 'leader.replication.throttled.replicas': '*' });
  const tookMs = await addReplica(connection, 'slow');
  expect(tookMs).toBeGreaterThan(((batches - 4) * batchBytes * 1000) / bytesPerSecond);
  const answer = await fetch(`http://127.0.0.1:${cluster.node(3).broker.httpPort}/metrics`);
  const received = /^kappalog_catch_up_received_bytes_total (\d+)$/m.exec(await answer.text())?.[1];
  expect(Number(received)).toBeGreaterThan(batches * batchBytes);
}, 60_000);
