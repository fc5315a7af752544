/**
 * The client behind a network that fails: nothing is lost, nothing comes twice, the order stays, and every promise settles in its time.
 *
 *   FAULT_SEED=7 FAULT_RECORDS=20000 FAULT_CUT_STRIDE=1 npx vitest run test/integration/client-faults.test.ts
 *
 * The seed decides the faults of connections in the order in which they are made, which timing has a part in.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  Kappalog,
  KafkaError,
  type Consumer,
  type ConsumerOptions,
  type TopicPartition,
} from '../../client/index.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { FaultProxy, noFault, type Direction, type Fault } from '../support/fault-proxy.ts';
import { groupSettings, ProxiedCluster } from '../support/proxied-cluster.ts';
import { embed } from './embedded.ts';

const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 1_000_000);
const recordCount = Number(process.env['FAULT_RECORDS'] ?? 2_000);
const cutStride = Number(process.env['FAULT_CUT_STRIDE'] ?? 11);
const partitionCount = 3;
const limitMs = 60_000 + recordCount * 50;

let lab: ProxiedCluster;
const rejections: unknown[] = [];
const onRejection = (reason: unknown): void => void rejections.push(reason);

beforeAll(async () => {
  process.on('unhandledRejection', onRejection);
  lab = await ProxiedCluster.start();
  // What clients find from here on has a leader for everything.
  await using client = newClient();
  await using admin = client.admin();
  await admin.createTopics([{ name: 'warm', partitions: 1, replicationFactor: 3 }]);
}, 60_000);
afterEach(() => {
  lab.heal();
  expect(rejections).toEqual([]);
});
afterAll(async () => {
  await lab[Symbol.asyncDispose]();
  process.off('unhandledRejection', onRejection);
});

/** One whose patience is short, as the network's is. */
function newClient(): Kappalog {
  return new Kappalog({
    brokers: lab.addresses,
    connectTimeoutMs: 1_000,
    requestTimeoutMs: 1_500,
    retry: { backoffMs: 5, backoffMaxMs: 100, timeoutMs: limitMs },
  });
}

async function createTopic(name: string, partitions = partitionCount): Promise<void> {
  await using client = newClient();
  await using admin = client.admin();
  await admin.createTopics([{ name, partitions, replicationFactor: 3 }]);
}

/** All that a topic holds, as text, by partition; nothing fails meanwhile. */
async function contentOf(topic: string, partitions = partitionCount): Promise<string[][]> {
  lab.heal();
  await using client = newClient();
  await using admin = client.admin();
  const all = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
  const ends = await admin.listOffsets(all.map((item) => ({ ...item, at: 'latest' as const })));
  await using consumer = client.consumer({
    assign: ends.map(({ partition, offset }) => ({
      topic,
      partition,
      offset: 'earliest',
      endOffset: offset,
    })),
  });
  const content: string[][] = all.map(() => []);
  for await (const { partition, value } of consumer) content[partition]!.push(String(value));
  return content;
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`);

it(
  'delivers every record once and in order while connections fail in every way',
  async () => {
    await createTopic('delivered');
    const client = newClient();
    const producer = client.producer({ lingerMs: 1, batchBytes: 2_000, deliveryTimeoutMs: limitMs });
    lab.fail(new SeededRandom(seed));
    const sent = Array.from({ length: partitionCount }, async (_, partition) => {
      const offsets: number[] = [];
      // Several at a time, so that batches follow each other in flight.
      for (let from = 0; from < recordCount; from += 50) {
        const values = numbers(recordCount).slice(from, from + 50);
        const results = await producer.sendMany(
          'delivered',
          values.map((value) => ({ value, partition })),
        );
        offsets.push(...results.map(({ offset }) => offset));
      }
      return offsets;
    });
    const offsets = await Promise.all(sent);
    await client.close();
    const { faultCount, counts } = lab;
    const content = await contentOf('delivered');
    console.log(`seed ${seed}: ${partitionCount * recordCount} records sent through ${counts}`);
    for (const list of content) expect(list).toEqual(numbers(recordCount));
    for (const list of offsets) expect(list).toEqual(numbers(recordCount).map(Number));
    expect(faultCount).toBeGreaterThan(0);
  },
  limitMs,
);

/** What one member has seen, checked as it comes: without a gap or a repetition for as long as it has a partition. */
class Reader {
  readonly consumer: Consumer;
  readonly problems: string[] = [];
  readonly ended: Promise<void>;
  readonly #next = new Map<number, number>();
  readonly #reached: number[];

  /** `reached`: by partition, how far any member has come. */
  constructor(client: Kappalog, options: ConsumerOptions, reached: number[]) {
    this.#reached = reached;
    const forget = (partitions: readonly TopicPartition[]): void => {
      for (const { partition } of partitions) this.#next.delete(partition);
    };
    const rebalance = { onAssigned: forget, onRevoked: forget, onLost: forget };
    this.consumer = client.consumer({ ...options, rebalance });
    this.ended = this.#read();
  }

  async #read(): Promise<void> {
    for await (const { partition, offset, value } of this.consumer) {
      const next = this.#next.get(partition);
      const isRight = next === undefined ? offset <= this.#reached[partition]! : offset === next;
      if (!isRight || String(value) !== String(offset))
        this.problems.push(`${partition}: ${offset} (${String(value)}) after ${next}`);
      this.#next.set(partition, offset + 1);
      this.#reached[partition] = Math.max(this.#reached[partition]!, offset + 1);
    }
  }
}

async function fill(topic: string): Promise<void> {
  await createTopic(topic);
  await using client = newClient();
  await using producer = client.producer({ batchBytes: 500 });
  for (let partition = 0; partition < partitionCount; partition++)
    await producer.sendMany(
      topic,
      numbers(recordCount).map((value) => ({ value, partition })),
    );
}

describe.each(['classic', 'consumer'] as const)('a group of the protocol %s', (groupProtocol) => {
  it(
    'reads every record, in order, while connections fail in every way',
    async () => {
      const topic = `read-${groupProtocol}`;
      await fill(topic);
      const client = newClient();
      const reached = Array.from({ length: partitionCount }, () => 0);
      const options: ConsumerOptions = {
        groupId: topic,
        topics: [topic],
        groupProtocol,
        autoCommitIntervalMs: 50,
        partitionMaxBytes: 2_000,
        ...(groupProtocol === 'classic' ? { heartbeatIntervalMs: 100 } : {}),
      };
      lab.fail(new SeededRandom(seed + 1));
      const readers = [1, 2].map(() => new Reader(client, options, reached));
      await expect
        .poll(() => reached, { timeout: limitMs, interval: 20 })
        .toEqual(reached.map(() => recordCount));
      const { counts } = lab;
      await Promise.all(readers.map(({ consumer }) => consumer.close()));
      await Promise.all(readers.map(({ ended }) => ended));
      await client.close();
      console.log(`seed ${seed + 1}: ${partitionCount * recordCount} records read through ${counts}`);
      expect(readers.flatMap(({ problems }) => problems)).toEqual([]);
    },
    limitMs + 30_000,
  );
});

/** Connections that a new producer makes: one to ask for metadata and a producer id, and one to write. */
const connectionsMax = 3;

/** Whether a new producer made so many connections, and the last of them came so far and was cut. */
async function sendCutting(
  topic: string,
  values: readonly string[],
  cut: Fault,
  place: number,
): Promise<boolean> {
  let made = 0;
  let wasCut = false;
  for (const proxy of lab.proxies) {
    proxy.next = () => (made++ === place ? cut : noFault);
    proxy.onFault = () => {
      wasCut = true;
    };
  }
  await using client = newClient();
  const producer = client.producer({ lingerMs: 0, deliveryTimeoutMs: 20_000 });
  await Promise.all(values.map((value) => producer.send({ topic, value })));
  return wasCut;
}

/** A client each time, one of whose connections is cut: behind its first byte, and further on until it does not come so far. */
async function cutAtBytes(direction: Direction, topic: string): Promise<void> {
  await createTopic(topic, 1);
  const random = new SeededRandom(seed);
  let count = 0;
  let cuts = 0;
  for (let place = 0; place < connectionsMax; place++) {
    for (let afterBytes = 1; ; afterBytes += 1 + random.below(2 * cutStride - 1)) {
      const cut: Fault = { kind: 'cut', direction, afterBytes };
      if (!(await sendCutting(topic, [`${count++}`, `${count++}`], cut, place))) break;
      cuts++;
    }
  }
  const [content] = await contentOf(topic, 1);
  console.log(`seed ${seed}: ${cuts} cuts of what goes ${direction}`);
  expect(content).toEqual(numbers(count));
}

describe('a connection that is cut', () => {
  it(
    'behind any byte of what it is sent loses and repeats nothing',
    () => cutAtBytes('up', 'cut-up'),
    limitMs,
  );
  it('behind any byte of an answer loses and repeats nothing', () => cutAtBytes('down', 'cut-down'), limitMs);
});

const stalls: readonly Fault[] = [
  { kind: 'mute' },
  { kind: 'refuse' },
  { kind: 'drip', direction: 'down', afterBytes: Infinity, pieceBytes: 1 },
  { kind: 'freeze', direction: 'down', afterBytes: 700 },
];

/** What is wrong where it does not settle within the time, or rejects with what is no error of the client. */
async function settles(name: string, promise: Promise<unknown>, withinMs: number): Promise<string[]> {
  const late = Promise.withResolvers<string>();
  const timer = setTimeout(() => late.resolve(`had not settled after ${withinMs} ms`), withinMs);
  const settled = promise.then(
    () => undefined,
    (error: unknown) => (error instanceof KafkaError ? undefined : `rejected with ${String(error)}`),
  );
  const problem = await Promise.race([settled, late.promise]);
  clearTimeout(timer);
  return problem === undefined ? [] : [`${name} ${problem}`];
}

describe.concurrent.each(stalls)('while the broker does this: $kind', (fault) => {
  it('close settles in every state, and so does all that waits', async () => {
    await using proxy = await FaultProxy.listen();
    await using node = await embed({ settings: groupSettings, advertisedHost: proxy.address });
    proxy.targetPort = node.broker.port;
    const topic = 'stalled';
    const client = new Kappalog({ brokers: proxy.address });
    await client.admin().createTopics([{ name: topic, partitions: 1 }]);
    const options: ConsumerOptions = { groupId: 'one', topics: [topic] };
    const producer = client.producer();
    await producer.sendMany(topic, [{ value: 'before' }, { value: 'before' }]);
    const members = [
      client.consumer(options),
      client.consumer({ ...options, groupId: 'two', groupProtocol: 'consumer' }),
      client.consumer({ assign: [{ topic, partition: 0 }] }),
    ];
    const iterations = members.map((member) => member.messages());
    await Promise.all(iterations.map((iteration) => iteration.next()));
    proxy.next = () => fault;
    proxy.freezeAll();
    const late = new Kappalog({ brokers: proxy.address });
    const latecomers = [
      late.consumer({ ...options, groupId: 'three' }),
      late.consumer({ ...options, groupId: 'four', groupProtocol: 'consumer' }),
    ];
    const waiting = {
      'what was sent': producer.send({ topic, value: 'after' }),
      'what was sent to a new topic': producer.send({ topic: 'never', value: 'after' }),
      'a flush': producer.flush(),
      'what the admin asked': client.admin().listGroups(),
      'what a new admin asked': late.admin().listGroups(),
      ...Object.fromEntries(latecomers.map((item, index) => [`latecomer ${index}`, item.ready()])),
      ...Object.fromEntries(iterations.map((item, index) => [`iteration ${index}`, item.next()])),
    };
    const found = await Promise.all([
      settles('closing the producer', producer.close({ timeoutMs: 200 }), 1_000),
      settles('closing the client', client.close(), 9_000),
      settles('closing the other client', late.close(), 9_000),
      ...Object.entries(waiting).map(([name, promise]) => settles(name, promise, 9_000)),
    ]);
    expect(found.flat()).toEqual([]);
  });
});
