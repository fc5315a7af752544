/**
 * A small program that closes its client and must then end by itself: `node exit-scenarios.ts SCENARIO ADDRESS`. It says 'ready' when it
 * has come to the point that the scenario is about, and goes on when it is written to.
 */
import { Kappalog } from '../../client/index.ts';

const [scenario, address] = process.argv.slice(2);
const topic = 'exits';
const client = new Kappalog({ brokers: address! });

/** Until the test says so; what it is told on is no reason to stay. */
async function goneOn(): Promise<void> {
  const told = new Promise<void>((resolve) => void process.stdin.once('data', () => resolve()));
  process.stdout.write('ready\n');
  await told;
  process.stdin.destroy();
}

async function sendOne(): Promise<void> {
  await client.producer().send({ topic, value: 'one' });
}

/** Reads one message, and holds it. */
async function readOne(): Promise<void> {
  const consumer = client.consumer({ groupId: 'exits', topics: [topic], heartbeatIntervalMs: 100 });
  await consumer.messages().next();
}

const scenarios: Record<string, () => Promise<void>> = {
  connected: async () => {
    await client.admin().listTopics();
    await sendOne();
    await readOne();
    await goneOn();
  },
  /** The broker is gone when it closes. */
  deserted: async () => {
    await sendOne();
    await readOne();
    await goneOn();
  },
  /** There never was one: what is asked for goes on trying. */
  lonely: async () => {
    client
      .admin()
      .listTopics()
      .catch(() => undefined);
    const consumer = client.consumer({ groupId: 'exits', topics: [topic] });
    consumer
      .messages()
      .next()
      .catch(() => undefined);
    await goneOn();
  },
  /** A second member comes, and the first one is asked to give up what it holds as all of it closes. */
  rebalancing: async () => {
    await sendOne();
    await readOne();
    const other = client.consumer({ groupId: 'exits', topics: [topic], heartbeatIntervalMs: 100 });
    const second = other.messages().next();
    second.catch(() => undefined);
    await goneOn();
  },
  /** A record waits for a broker that is gone; `close` waits for it only so long. */
  sending: async () => {
    const producer = client.producer();
    await producer.send({ topic, value: 'one' });
    await goneOn();
    const sent = producer.send({ topic, value: 'two' });
    sent.catch(() => undefined);
    await producer.close({ timeoutMs: 500 });
  },
};

await scenarios[scenario!]!();
await client.close();
