import { describe, expect, it, vi } from 'vitest';
import { Kappalog } from '../../client/index.ts';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { createTopic, embed } from './embedded.ts';

const settings = { 'kappalog.group.lag.interval.ms': '50', 'kappalog.group.lag.metrics': '1' };

interface Answer {
  readonly status: number;
  /** What of it is not of this shape is compared with what it should be. */
  readonly body: Record<string, unknown> & {
    readonly lag?: {
      readonly partitions: readonly { readonly lagSeconds: number }[];
      readonly maxLagSeconds: number;
    };
  };
}

async function ask(port: number | undefined, path: string): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is in it is compared below.
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

/** Commits without being a member. */
async function commit(
  client: Kappalog,
  groupId: string,
  topic: string,
  offsets: readonly number[],
): Promise<void> {
  await client.admin().commitGroupOffsets(
    groupId,
    offsets.map((offset, partition) => ({ topic, partition, offset })),
  );
}

describe('HTTP and the metrics', () => {
  it('tell how far groups are behind, in records and in time', async () => {
    await using node = await embed({ settings, httpPort: 0 });
    const { httpPort } = node.broker;
    await createTopic(await node.connect(), 't', 2);
    await using client = new Kappalog({ brokers: `127.0.0.1:${node.broker.port}` });
    const producer = client.producer();
    const now = Date.now();
    // An hour, 30 minutes and no time old; in the other partition one of today.
    for (const [value, ageSeconds] of [
      ['a', 3_600],
      ['b', 1_800],
      ['c', 0],
    ] as const) {
      await producer.send({ topic: 't', partition: 0, value, timestamp: now - ageSeconds * 1_000 });
    }
    await producer.send({ topic: 't', partition: 1, value: 'd', timestamp: now });
    await commit(client, 'slow', 't', [1, 1]);
    await commit(client, 'done', 't', [3, 1]);
    await vi.waitFor(async () => {
      const { body } = await ask(httpPort, '/groups');
      expect(body['groups']).toEqual(
        expect.arrayContaining([
          {
            groupId: 'slow',
            protocol: 'classic',
            state: 'Empty',
            memberCount: 0,
            lag: expect.objectContaining({
              lagRecords: 2,
              maxLagRecords: 2,
              lostRecords: 0,
              unknownPartitions: 0,
            }),
          },
          expect.objectContaining({
            groupId: 'done',
            lag: expect.objectContaining({ lagRecords: 0, maxLagSeconds: 0 }),
          }),
        ]),
      );
    });
    const { status, body } = await ask(httpPort, '/groups/slow');
    expect(status).toBe(200);
    const ageSeconds = (Date.now() - now) / 1_000 + 1_800;
    const lag = body.lag!;
    expect(lag.partitions).toMatchObject([
      { topic: 't', partition: 0, committed: 1, start: 0, end: 3, lagRecords: 2 },
      { topic: 't', partition: 1, committed: 1, start: 0, end: 1, lagRecords: 0, lagSeconds: 0 },
    ]);
    expect(lag.maxLagSeconds).toBe(lag.partitions[0]!.lagSeconds);
    expect(lag.maxLagSeconds).toBeGreaterThan(1_799);
    expect(lag.maxLagSeconds).toBeLessThan(ageSeconds + 60);
    // The group that is further behind is the one that has series.
    const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
    expect(text).toContain('\nkappalog_group_lag_records{group="slow"} 2\n');
    expect(text).toContain(
      '\nkappalog_group_partition_lag_records{group="slow",topic="t",partition="0"} 2\n',
    );
    expect(text).not.toContain('group="done"');
    expect(text).toContain('\nkappalog_groups_watched 2\n');
    expect(text).toMatch(/\nkappalog_group_lag_max_seconds\{group="slow"\} 1[89]\d\d(\.\d+)?\n/);
    expect(await ask(httpPort, '/groups/none')).toEqual({
      status: 404,
      body: { error: 'There is no group none.' },
    });
  });

  it('know the members, and all that a group of the consumer protocol has', async () => {
    await using node = await embed({ settings, httpPort: 0 });
    await createTopic(await node.connect(), 't');
    await using client = new Kappalog({ brokers: `127.0.0.1:${node.broker.port}`, clientId: 'reader' });
    const consumer = client.consumer({ groupId: 'new', topics: ['t'], groupProtocol: 'consumer' });
    await consumer.ready();
    expect(await ask(node.broker.httpPort, '/groups/new')).toMatchObject({
      status: 200,
      body: {
        groupId: 'new',
        protocol: 'consumer',
        state: 'Stable',
        memberCount: 1,
        members: [{ instanceId: null, clientId: 'reader', clientHost: '/127.0.0.1' }],
        lag: null,
      },
    });
  });
});

it('the coordinator of a group asks other nodes about the partitions that they lead, and other nodes say who it is', async () => {
  await using cluster = await EmbeddedCluster.start({ httpPort: 0, settings });
  const connection = await cluster.connect(1);
  // One replica of each partition, each on another node.
  const made = await connection.call('CreateTopics', 7, {
    topics: [
      {
        name: 't',
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [1, 2, 3].map((id, partitionIndex) => ({ partitionIndex, brokerIds: [id] })),
        configs: [],
      },
    ],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]?.errorCode).toBe(ErrorCode.NONE);
  await using client = new Kappalog({ brokers: `127.0.0.1:${cluster.node(1).broker.port}` });
  const producer = client.producer();
  const now = Date.now();
  for (const partition of [0, 1, 2]) {
    for (let count = 0; count <= partition; count++) {
      await producer.send({ topic: 't', partition, value: 'v', timestamp: now - 60_000 * (partition + 1) });
    }
  }
  await commit(client, 'g', 't', [0, 0, 0]);
  await vi.waitFor(
    async () => {
      const answers = await Promise.all(
        cluster.running.map(async (id) => ({
          id,
          ...(await ask(cluster.node(id).broker.httpPort, '/groups/g')),
        })),
      );
      const coordinator = answers.find(({ status }) => status === 200)!;
      expect(coordinator.body.lag).toMatchObject({
        lagRecords: 6,
        unknownPartitions: 0,
        partitions: [{ lagRecords: 1 }, { lagRecords: 2 }, { lagRecords: 3 }],
      });
      const lag = coordinator.body.lag!;
      expect(lag.maxLagSeconds).toBeGreaterThan(179);
      expect(lag.maxLagSeconds).toBeLessThan(300);
      for (const { id, status, body } of answers) {
        if (id === coordinator.id) continue;
        expect([status, body['coordinator']]).toEqual([421, coordinator.id]);
        expect(body['error']).toBe(`This node does not coordinate the group g: node ${coordinator.id} does.`);
      }
    },
    { timeout: 15_000, interval: 100 },
  );
});
