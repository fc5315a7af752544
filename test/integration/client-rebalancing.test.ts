/** What an application is told and may do while its group changes, by either protocol, against a broker. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import {
  Kappalog,
  type Admin,
  type Consumer,
  type ConsumerOptions,
  type Message,
} from '../../client/index.ts';
import { realPlatform } from '../../platform/real/real-platform.ts';
import { CuttingNetwork } from '../support/cutting-network.ts';

/** Where members crash: short, so that it is noticed soon. */
const shortSessionMs = 2_500;

let broker: Broker;
let client: Kappalog;
let admin: Admin;
/** They take a while to close, as they cannot say farewell: at the end, all at once. */
const crashed: Kappalog[] = [];
const settings = {
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '100',
  'group.consumer.min.session.timeout.ms': '100',
  'group.consumer.min.heartbeat.interval.ms': '10',
  'group.consumer.heartbeat.interval.ms': '30',
  'group.consumer.min.assignment.interval.ms': '0',
  'group.consumer.assignment.interval.ms': '0',
};

beforeAll(async () => {
  broker = await startBroker({ port: 0, storage: 'memory', settings });
  client = new Kappalog({ brokers: `127.0.0.1:${broker.port}` });
  admin = client.admin();
});
afterAll(async () => {
  await Promise.all(crashed.map((each) => each.close()));
  await client.close();
  await broker.close();
});

const modes: [string, ConsumerOptions][] = [
  ['eager', { heartbeatIntervalMs: 30 }],
  ['cooperative', { heartbeatIntervalMs: 30, assignors: ['cooperative-sticky'] }],
  ['consumer', { groupProtocol: 'consumer' }],
];

/** Four partitions with ten records each. */
async function fill(topic: string): Promise<void> {
  await admin.createTopics([{ name: topic, partitions: 4 }]);
  await using producer = client.producer();
  const rows = Array.from({ length: 40 }, (_, row) => ({ value: String(row), partition: row % 4 }));
  await producer.sendMany(topic, rows);
}

async function committed(groupId: string): Promise<number[]> {
  return (await admin.fetchGroupOffsets(groupId)).map(({ offset }) => offset);
}

/** All that comes, until the consumer is closed. */
async function drain(consumer: Consumer, seen: string[]): Promise<void> {
  for await (const { partition, offset } of consumer) seen.push(`${partition}:${offset}`);
}

describe.each(modes)('a group of the kind %s', (mode, options) => {
  it('tells each member what it has, what it gives up, and that it goes', async () => {
    const topic = `told-${mode}`;
    await fill(topic);
    const log: string[] = [];
    const held = new Map<string, Set<number>>();
    const make = (name: string): Consumer => {
      const mine = new Set<number>();
      held.set(name, mine);
      return client.consumer({
        ...options,
        groupId: topic,
        topics: [topic],
        rebalance: {
          onAssigned(partitions) {
            for (const { partition } of partitions) {
              for (const others of held.values()) expect(others.has(partition)).toBe(false);
              mine.add(partition);
            }
          },
          onRevoked(partitions) {
            for (const { partition } of partitions) expect(mine.delete(partition)).toBe(true);
            log.push(`${name} ${partitions.length}`);
          },
        },
      });
    };
    const one = make('one');
    const seen: string[] = [];
    const reading = [drain(one, seen)];
    await expect.poll(() => held.get('one')!.size).toBe(4);
    const two = make('two');
    reading.push(drain(two, seen));
    await expect.poll(() => [...held.values()].map((mine) => mine.size), { timeout: 10_000 }).toEqual([2, 2]);
    expect(log).toEqual([mode === 'eager' ? 'one 4' : 'one 2']);
    await one.close();
    await expect.poll(() => held.get('two')!.size, { timeout: 10_000 }).toBe(4);
    await two.close();
    await Promise.all(reading);
    expect([...held.values()].map((mine) => mine.size)).toEqual([0, 0]);
    expect(log.at(-1)).toBe('two 4');
    expect(seen.length).toBe(new Set(seen).size);
    expect(await committed(topic)).toEqual([10, 10, 10, 10]);
  });

  it('reads once what is committed by the callback alone', async () => {
    const topic = `by-hand-${mode}`;
    await fill(topic);
    const seen: string[] = [];
    const make = (): Consumer => {
      const consumer: Consumer = client.consumer({
        ...options,
        groupId: topic,
        topics: [topic],
        autoCommit: false,
        rebalance: { onRevoked: () => consumer.commit() },
      });
      return consumer;
    };
    const one = make();
    const first = drain(one, seen);
    await expect.poll(() => seen.length).toBe(40);
    expect(await committed(topic)).toEqual([]);
    const two = make();
    const second = drain(two, seen);
    await expect
      .poll(() => [one.assignment().length, two.assignment().length], { timeout: 10_000 })
      .toEqual([2, 2]);
    await Promise.all([one.close(), two.close(), first, second]);
    expect(seen).toHaveLength(40);
    expect(await committed(topic)).toEqual([10, 10, 10, 10]);
  });

  it('starts where the callback seeks to', async () => {
    const topic = `sought-${mode}`;
    await fill(topic);
    const seen: string[] = [];
    const consumer: Consumer = client.consumer({
      ...options,
      groupId: topic,
      topics: [topic],
      rebalance: {
        async onAssigned(partitions) {
          // As long as a lookup elsewhere may take: nothing comes before.
          await committed('elsewhere');
          for (const item of partitions) consumer.seek({ ...item, offset: 8 });
        },
      },
    });
    const reading = drain(consumer, seen);
    await expect.poll(() => seen.length).toBe(8);
    await consumer.close();
    await reading;
    expect(seen.sort()).toEqual(['0:8', '0:9', '1:8', '1:9', '2:8', '2:9', '3:8', '3:9']);
  });

  it('goes on without a member that does not finish, which cannot commit any more', async () => {
    const topic = `slow-${mode}`;
    await fill(topic);
    const slow = client.consumer({
      ...options,
      groupId: topic,
      topics: [topic],
      autoCommit: false,
      rebalanceTimeoutMs: 1_500,
    });
    const messages: Message[] = [];
    const iteration = slow.messages();
    for (let count = 0; count < 40; count++) messages.push((await iteration.next()).value!);
    // The last one is in its hands for ever.
    const quick = client.consumer({ ...options, groupId: topic, topics: [topic], rebalanceTimeoutMs: 1_500 });
    const seen: string[] = [];
    const reading = drain(quick, seen);
    await expect.poll(() => quick.assignment().length, { timeout: 10_000 }).toBe(2);
    await expect.poll(() => slow.assignment().length, { timeout: 10_000 }).toBe(2);
    await expect.poll(() => seen.length).toBe(20);
    const isMine = ({ partition }: Message): boolean =>
      slow.assignment().some((item) => item.partition === partition);
    await slow.commit(messages.filter(isMine));
    const others = messages.filter((message) => !isMine(message));
    expect(others).toHaveLength(20);
    await expect(slow.commit(others.slice(0, 1))).rejects.toMatchObject({ code: 'ILLEGAL_GENERATION' });
    await quick.close();
    await reading;
    expect(await committed(topic)).toEqual([10, 10, 10, 10]);
    await slow.close();
  });

  it('goes on from what a member had committed that crashed', async () => {
    const topic = `crashed-${mode}`;
    await fill(topic);
    const network = new CuttingNetwork(realPlatform().network);
    const platform = { ...realPlatform(), network };
    const session = options.groupProtocol === 'consumer' ? {} : { sessionTimeoutMs: shortSessionMs };
    const set = { 'consumer.session.timeout.ms': String(shortSessionMs) };
    await admin.alterConfigs([{ type: 'group', name: topic, set }]);
    const process = new Kappalog({ brokers: `127.0.0.1:${broker.port}`, platform });
    const crashing = process.consumer({
      ...options,
      ...session,
      groupId: topic,
      topics: [topic],
      autoCommit: false,
    });
    const messages: Message[] = [];
    for await (const message of crashing) if (messages.push(message) === 40) break;
    await crashing.commit(messages.filter(({ offset, partition }) => offset < 2 + partition));
    network.isDown = true;
    network.cutAll();
    const next = client.consumer({ ...options, groupId: topic, topics: [topic] });
    const seen: string[] = [];
    const reading = drain(next, seen);
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(8 + 7 + 6 + 5);
    await next.close();
    await reading;
    crashed.push(process);
    const rest = [0, 1, 2, 3].flatMap((partition) =>
      Array.from({ length: 8 - partition }, (_, index) => `${partition}:${2 + partition + index}`),
    );
    expect(seen.toSorted()).toEqual(rest.toSorted());
  });

  it('lets a topic go that is deleted, and takes it in when it is there again', async () => {
    const topics = [`kept-${mode}`, `dropped-${mode}`];
    for (const topic of topics) await fill(topic);
    await using quick = new Kappalog({ brokers: `127.0.0.1:${broker.port}`, metadataMaxAgeMs: 50 });
    const consumer = quick.consumer({ ...options, groupId: topics[0]!, topics, autoCommitIntervalMs: 20 });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { topic, partition, offset } of consumer) seen.push(`${topic} ${partition}:${offset}`);
    })();
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(80);
    await admin.deleteTopics([topics[1]!]);
    await expect
      .poll(() => consumer.assignment().map(({ topic }) => topic), { timeout: 15_000 })
      .toEqual(Array.from({ length: 4 }, () => topics[0]));
    await fill(topics[1]!);
    await expect.poll(() => seen.length, { timeout: 20_000 }).toBe(120);
    expect(new Set(seen).size).toBe(80);
    await consumer.close();
    await reading;
    expect(await committed(topics[0]!)).toEqual(Array.from({ length: 8 }, () => 10));
  });

  it('says what a callback threw', async () => {
    const topic = `failing-${mode}`;
    await fill(topic);
    const cause = new Error('no database');
    await using consumer = client.consumer({
      ...options,
      groupId: topic,
      topics: [topic],
      rebalance: { onAssigned: () => Promise.reject(cause) },
    });
    await expect(drain(consumer, [])).rejects.toMatchObject({ code: 'CALLBACK_FAILED', cause });
  });

  it('says that a pattern is none', async () => {
    const read = async (): Promise<void> => {
      await using consumer = client.consumer({ ...options, groupId: `odd-${mode}`, topicPattern: 'a(' });
      await drain(consumer, []);
    };
    await expect(read()).rejects.toMatchObject({ code: 'INVALID_REGULAR_EXPRESSION' });
  });
});

describe('a group of KIP-848', () => {
  it('names what to set where the broker has only the classic protocol', async () => {
    const other = await startBroker({
      port: 0,
      storage: 'memory',
      settings: { ...settings, 'group.coordinator.rebalance.protocols': 'classic' },
    });
    const old = new Kappalog({ brokers: `127.0.0.1:${other.port}` });
    const consumer = old.consumer({ groupId: 'g', topics: ['t'], groupProtocol: 'consumer' });
    await expect(drain(consumer, [])).rejects.toMatchObject({
      code: 'UNSUPPORTED_VERSION',
      message: expect.stringContaining("groupProtocol: 'classic'"),
    });
    await old.close();
    await other.close();
  });

  it('is not joined with an assignor that the broker lacks', async () => {
    await using consumer = client.consumer({
      groupId: 'odd-assignor',
      topics: ['t'],
      groupProtocol: 'consumer',
      groupRemoteAssignor: 'sticky',
    });
    await expect(drain(consumer, [])).rejects.toMatchObject({
      code: 'UNSUPPORTED_ASSIGNOR',
      brokerMessage: expect.stringContaining('uniform'),
    });
  });

  it('has one member with an instance id, and the second is told so', async () => {
    await fill('twins');
    const options = {
      groupId: 'twins',
      topics: ['twins'],
      groupProtocol: 'consumer',
      groupInstanceId: 'i',
    } as const;
    await using one = client.consumer(options);
    await one.ready();
    await using two = client.consumer(options);
    const second = drain(two, []);
    await one.close();
    await expect.poll(() => two.assignment().length, { timeout: 10_000 }).toBe(4);
    await two.close();
    await second;
  });

  it('is refused what only the other protocol has', () => {
    const refused = (options: ConsumerOptions): void =>
      expect(() => client.consumer({ groupId: 'g', topics: ['t'], ...options })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    refused({ groupProtocol: 'consumer', sessionTimeoutMs: 1_000 });
    refused({ groupProtocol: 'consumer', heartbeatIntervalMs: 1_000 });
    refused({ groupProtocol: 'consumer', assignors: ['range'] });
    refused({ groupRemoteAssignor: 'range' });
    refused({ topicPattern: 'a' });
    refused({ topics: [] });
    expect(() => client.consumer({ topicPattern: /a/ })).toThrow(/`groupId`/);
    expect(() => client.consumer({ groupId: 'g', topicPattern: '' })).toThrow(/empty/);
    const assign = [{ topic: 't', partition: 0 }];
    expect(() => client.consumer({ assign, rebalance: {} })).toThrow(/subscriptions/);
  });
});
