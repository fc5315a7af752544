/** Kappalog's own client reads from the replicas in its rack. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Kappalog } from '../../client/index.ts';
import type { KappalogOptions } from '../../client/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';

const topic = 'near';
const within = { timeout: 20_000, interval: 100 };
const settings = {
  'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
  'auto.leader.rebalance.enable': 'false',
};

let cluster: EmbeddedCluster;
const clients: Kappalog[] = [];
/** All that was. */
let produced = 0;

function open(options: Partial<KappalogOptions> = {}): Kappalog {
  const client = new Kappalog({ brokers: cluster.addresses, ...options });
  clients.push(client);
  return client;
}

beforeAll(async () => {
  cluster = await EmbeddedCluster.start({ settings, httpPort: 0 }, new Map(), (id) => ({ rack: `r${id}` }));
  const assignments = [
    [1, 2, 3],
    [1, 3, 2],
  ];
  await open()
    .admin()
    .createTopics([{ name: topic, assignments }]);
}, 30_000);

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await cluster[Symbol.asyncDispose]();
});

/** How many fetches the node has answered. */
async function fetchesOf(id: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${cluster.node(id).broker.httpPort}/metrics`);
  const text = await answer.text();
  return Number(/^kappalog_request_seconds_count\{api="Fetch"\} (\d+)/m.exec(text)?.[1] ?? 0);
}

async function produce(count: number, prefix: string): Promise<string[]> {
  const producer = open().producer();
  const values = Array.from({ length: count }, (_, index) => `${prefix}${index}`);
  for (const [index, value] of values.entries()) producer.add({ topic, value, partition: index % 2 });
  await producer.flush();
  produced += count;
  return values;
}

it('all of it, once, also when that replica is stopped and comes back', async () => {
  const consumer = open({ rack: 'r3', metadataMaxAgeMs: 2_000 }).consumer({
    assign: [0, 1].map((partition) => ({ topic, partition, offset: 0 })),
    from: 'none',
  });
  const read: string[] = [];
  const reading = (async () => {
    for await (const { value } of consumer) read.push(String(value));
  })();
  const expected: string[] = [];
  const arrives = async (prefix: string): Promise<void> => {
    expected.push(...(await produce(100, prefix)));
    await vi.waitFor(() => expect(read.length).toBe(expected.length), within);
  };
  /** The consumer's are the only fetches of clients. */
  const readsFrom = async (id: number, round: string): Promise<void> => {
    let rounds = 0;
    await vi.waitFor(async () => {
      const before = await fetchesOf(id);
      await arrives(`${round}${rounds++}-`);
      expect(await fetchesOf(id)).toBeGreaterThan(before);
    }, within);
  };
  await readsFrom(3, 'a');
  const atLeader = await fetchesOf(1);
  await arrives('b');
  // It may be asked anew where the choice is over, and no more.
  expect((await fetchesOf(1)) - atLeader).toBeLessThan(4);
  expect(await fetchesOf(2)).toBe(0);

  await cluster.stopNode(3);
  const startedMs = performance.now();
  await arrives('c');
  expect(performance.now() - startedMs).toBeLessThan(5_000);
  await readsFrom(1, 'd');
  await cluster.startNode(3);
  await readsFrom(3, 'e');
  expect(new Set(read).size).toBe(read.length);
  expect(read.toSorted()).toEqual(expected.toSorted());
  await consumer.close();
  await reading;
}, 60_000);

it('and so does a replay', async () => {
  const before = await Promise.all([1, 2, 3].map(fetchesOf));
  const values: string[] = [];
  const replay = open({ rack: 'r2' }).replay({ topic });
  await replay.run({ handle: ({ value }) => void values.push(String(value)) });
  const after = await Promise.all([1, 2, 3].map(fetchesOf));
  expect(values.length).toBe(produced);
  expect(new Set(values).size).toBe(produced);
  expect(after[1]! - before[1]!).toBeGreaterThan(0);
  expect(after[2]).toBe(before[2]);
});
