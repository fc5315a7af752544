import { expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { DiskGate, produceOf, produceVersion } from './embedded.ts';

const options = {
  httpPort: 0,
  settings: {
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '200',
  },
};

async function readinessOf(cluster: EmbeddedCluster, id: number): Promise<object> {
  const answer = await fetch(`http://127.0.0.1:${cluster.node(id).broker.httpPort}/health/ready`);
  const live = await fetch(`http://127.0.0.1:${cluster.node(id).broker.httpPort}/health/live`);
  expect(live.status).toBe(200);
  return { code: answer.status, ...JSON.parse(await answer.text()) };
}

const within = { timeout: 20_000, interval: 100 };
const healthy = { offlineDirectories: [], offlinePartitions: [], damagedPartitions: [] };
const ready = { code: 200, status: 'ready', ...healthy };

/** To whoever leads t-0, with acks=all. */
async function produceToLeader(cluster: EmbeddedCluster, value: string): Promise<void> {
  await vi.waitFor(async () => {
    const errors = [];
    for (const id of cluster.running) {
      await using connection = await cluster.connect(id);
      const answer = await connection.call('Produce', produceVersion, produceOf('t', [value]));
      errors.push(answer.responses[0]?.partitionResponses[0]?.errorCode);
    }
    expect(errors).toContain(ErrorCode.NONE);
  }, within);
}

it('a node that comes back is ready when its replicas are in sync, and not while no controller hears it', async () => {
  const gate = new DiskGate();
  const disks = new Map([[3, new MemoryDisk({ delay: gate.delay })]]);
  await using cluster = await EmbeddedCluster.start(options, disks);
  await using connection = await cluster.connect(1);
  const topic = { name: 't', numPartitions: 1, replicationFactor: 3, assignments: [], configs: [] };
  const made = await connection.call('CreateTopics', 7, { topics: [topic], timeoutMs: 10_000 });
  expect(made.topics[0]?.errorCode).toBe(ErrorCode.NONE);
  for (const id of [1, 2, 3]) {
    await vi.waitFor(async () => expect(await readinessOf(cluster, id)).toEqual(ready), within);
  }

  await cluster.stopNode(3);
  await produceToLeader(cluster, 'while it was away');
  // What it lacks gets there, and no further.
  const held = gate.hold((operation, path) => operation === 'write' && /\/t-0\/.*\.log$/.test(path));
  await cluster.startNode(3);
  await held;
  await expect
    .poll(() => readinessOf(cluster, 3), within)
    .toEqual({
      code: 503,
      status: 'not ready',
      reason: 'catching-up',
      message: '1 replica(s) of this node have not been in sync since it was started',
      partitionsBehind: 1,
      partitions: ['t-0'],
      ...healthy,
    });
  gate.open();
  await vi.waitFor(async () => expect(await readinessOf(cluster, 3)).toEqual(ready), within);

  await cluster.stopNode(1);
  await cluster.stopNode(2);
  await vi.waitFor(
    async () => expect(await readinessOf(cluster, 3)).toMatchObject({ code: 503, reason: 'no-controller' }),
    within,
  );
  await Promise.all([cluster.startNode(1), cluster.startNode(2)]);
  for (const id of [1, 2, 3]) {
    await vi.waitFor(async () => expect(await readinessOf(cluster, id)).toEqual(ready), within);
  }
}, 90_000);

it('all nodes are ready after a cold start of all of them', async () => {
  await using cluster = await EmbeddedCluster.start(options);
  await using connection = await cluster.connect(1);
  const topic = { name: 't', numPartitions: 6, replicationFactor: 3, assignments: [], configs: [] };
  const made = await connection.call('CreateTopics', 7, { topics: [topic], timeoutMs: 10_000 });
  expect(made.topics[0]?.errorCode).toBe(ErrorCode.NONE);
  await produceToLeader(cluster, 'a');
  for (const id of [1, 2, 3]) await cluster.stopNode(id);
  await Promise.all([1, 2, 3].map((id) => cluster.startNode(id)));
  for (const id of [1, 2, 3]) {
    await vi.waitFor(async () => expect(await readinessOf(cluster, id)).toEqual(ready), within);
  }
}, 60_000);
