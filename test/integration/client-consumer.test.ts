import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import {
  Kappalog,
  type AssignorName,
  type Consumer,
  type ConsumerOptions,
  type MessageInput,
} from '../../client/index.ts';
import { realPlatform } from '../../platform/real/real-platform.ts';
import { CuttingNetwork } from '../support/cutting-network.ts';

let broker: Broker;
let client: Kappalog;
let brokers: string;

beforeAll(async () => {
  broker = await startBroker({
    port: 0,
    storage: 'memory',
    settings: { 'group.initial.rebalance.delay.ms': '0', 'group.min.session.timeout.ms': '100' },
  });
  brokers = `127.0.0.1:${broker.port}`;
  client = new Kappalog({ brokers });
});
afterAll(async () => {
  await client.close();
  await broker.close();
});

/** Message i goes to partition i % partitions, a second after the one before it. */
async function fill(topic: string, partitions: number, count: number): Promise<void> {
  await using admin = client.admin();
  await admin.createTopics([{ name: topic, partitions }]);
  await write(topic, partitions, { from: 0, to: count });
}

async function write(topic: string, partitions: number, range: { from: number; to: number }): Promise<void> {
  await using producer = client.producer();
  const messages = Array.from({ length: range.to - range.from }, (_, index): MessageInput => {
    const row = range.from + index;
    return { value: String(row), partition: row % partitions, timestamp: 1_000_000 + row * 1_000 };
  });
  await producer.sendMany(topic, messages);
}

async function take(consumer: Consumer, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const message of consumer) {
    texts.push(`${message.partition}:${message.offset}:${message.value?.toString() ?? ''}`);
    if (texts.length === count) break;
  }
  return texts;
}

describe('a consumer of given partitions', () => {
  it('reads from an offset, from the ends and from a time, up to an end', async () => {
    await fill('places', 1, 20);
    const read = async (offset: 'earliest' | number | { timestamp: number }): Promise<number[]> => {
      await using consumer = client.consumer({
        assign: [{ topic: 'places', partition: 0, offset, endOffset: 20 }],
      });
      const offsets: number[] = [];
      for await (const message of consumer) offsets.push(message.offset);
      return offsets;
    };
    const upTo20 = (first: number): number[] =>
      Array.from({ length: 20 - first }, (_, index) => first + index);
    expect(await read('earliest')).toEqual(upTo20(0));
    expect(await read(13)).toEqual(upTo20(13));
    expect(await read({ timestamp: 1_007_000 })).toEqual(upTo20(7));
    expect(await read({ timestamp: 1_007_001 })).toEqual(upTo20(8));
    expect(await read({ timestamp: 2_000_000 })).toEqual([]);
    await using latest = client.consumer({ assign: [{ topic: 'places', partition: 0, offset: 'latest' }] });
    await latest.ready();
    await write('places', 1, { from: 20, to: 21 });
    expect(await take(latest, 1)).toEqual(['0:20:20']);
  });

  it('gives batches that hold consecutive messages of one partition', async () => {
    await fill('batches', 3, 600);
    await using consumer = client.consumer({
      assign: [0, 1, 2].map((partition) => ({
        topic: 'batches',
        partition,
        offset: 'earliest' as const,
        endOffset: 150,
      })),
    });
    const next = [0, 0, 0];
    for await (const batch of consumer.batches()) {
      expect(batch.highWatermark).toBe(200);
      for (const message of batch.messages) {
        expect([message.partition, message.offset]).toEqual([batch.partition, next[batch.partition]!]);
        next[batch.partition]!++;
      }
    }
    expect(next).toEqual([150, 150, 150]);
  });

  it('goes where it is sent, in the middle of a batch too', async () => {
    await fill('seeks', 1, 100);
    await using consumer = client.consumer({ assign: [{ topic: 'seeks', partition: 0, endOffset: 100 }] });
    const offsets: number[] = [];
    for await (const message of consumer) {
      offsets.push(message.offset);
      if (offsets.length === 3) consumer.seek({ topic: 'seeks', partition: 0, offset: 97 });
      if (offsets.length === 5)
        consumer.seek({ topic: 'seeks', partition: 0, offset: { timestamp: 1_098_000 } });
    }
    expect(offsets).toEqual([0, 1, 2, 97, 98, 98, 99]);
    expect(consumer.positions()).toEqual([{ topic: 'seeks', partition: 0, offset: 100 }]);
    expect(consumer.lag()).toEqual([{ topic: 'seeks', partition: 0, lag: 0 }]);
  });

  it('leaves out what is paused, and loses none of it', async () => {
    await fill('pauses', 2, 200);
    await using consumer = client.consumer({
      assign: [0, 1].map((partition) => ({ topic: 'pauses', partition, endOffset: 100 })),
    });
    const paused = [{ topic: 'pauses', partition: 0 }];
    const seen: [number, number][] = [];
    for await (const message of consumer) {
      seen.push([message.partition, message.offset]);
      if (message.partition === 0 && message.offset === 10) consumer.pause(paused);
      if (message.partition === 1 && message.offset === 99) consumer.resume(paused);
    }
    const after = seen.slice(seen.findIndex(([partition, offset]) => partition === 0 && offset === 10) + 1);
    const untilResumed = after.slice(
      0,
      after.findIndex(([partition, offset]) => partition === 1 && offset === 99),
    );
    expect(untilResumed.filter(([partition]) => partition === 0)).toEqual([]);
    for (const partition of [0, 1]) {
      const offsets = seen.filter((item) => item[0] === partition).map((item) => item[1]);
      expect(offsets).toEqual(Array.from({ length: 100 }, (_, index) => index));
    }
  });

  it('throws for an offset out of range unless told where to go', async () => {
    await fill('range', 1, 5);
    const options = (from: 'earliest' | 'none'): ConsumerOptions => ({
      assign: [{ topic: 'range', partition: 0, offset: 1_000 }],
      from,
    });
    await using strict = client.consumer(options('none'));
    await expect(take(strict, 1)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
    await using lenient = client.consumer(options('earliest'));
    expect(await take(lenient, 1)).toEqual(['0:0:0']);
  });

  it('says so when the topic does not exist', async () => {
    await using consumer = client.consumer({ assign: [{ topic: 'no-such-topic', partition: 0 }] });
    await expect(take(consumer, 1)).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  });

  it('ends when it is closed, and throws when its signal fires', async () => {
    await fill('ends', 1, 0);
    const assign = [{ topic: 'ends', partition: 0 }];
    const closing = client.consumer({ assign });
    const none = take(closing, 1);
    await closing.ready();
    await closing.close();
    expect(await none).toEqual([]);
    await using aborted = client.consumer({ assign });
    const controller = new AbortController();
    const iterating = Array.fromAsync(aborted.messages({ signal: controller.signal }));
    controller.abort();
    await expect(iterating).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('goes on through cut connections without a gap or a repetition', async () => {
    await fill('cuts', 2, 4_000);
    const platform = realPlatform();
    let cutsLeft = 15;
    const network = new CuttingNetwork(platform.network, () => (cutsLeft-- > 0 ? 4_000 : undefined));
    await using flaky = new Kappalog({
      brokers,
      platform: { ...platform, network },
      retry: { backoffMs: 2, backoffMaxMs: 10 },
    });
    await using consumer = flaky.consumer({
      partitionMaxBytes: 2_000,
      assign: [0, 1].map((partition) => ({ topic: 'cuts', partition, endOffset: 2_000 })),
    });
    const next = [0, 0];
    for await (const message of consumer) expect(message.offset).toBe(next[message.partition]!++);
    expect(next).toEqual([2_000, 2_000]);
    expect(network.cuts).toBeGreaterThan(5);
  });

  it('allows one iteration at a time, and the next goes on where it ended', async () => {
    await fill('twice', 1, 10);
    await using consumer = client.consumer({ assign: [{ topic: 'twice', partition: 0, endOffset: 10 }] });
    expect(await take(consumer, 4)).toHaveLength(4);
    // The fourth was left in the middle: it is not finished, so it is not committed either.
    expect(consumer.positions()[0]!.offset).toBe(3);
    const rest = consumer.messages();
    expect(() => consumer.messages()).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    const offsets: number[] = [];
    for await (const message of rest) offsets.push(message.offset);
    expect(offsets).toEqual([4, 5, 6, 7, 8, 9]);
  });

  it('refuses options that cannot be meant', () => {
    const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    const item = { topic: 't', partition: 0 };
    expect(() => client.consumer({})).toThrow(refused);
    expect(() => client.consumer({ topics: ['t'] })).toThrow(refused);
    expect(() => client.consumer({ assign: [item, item] })).toThrow(refused);
    expect(() => client.consumer({ assign: [item], autoCommit: true })).toThrow(refused);
    expect(() => client.consumer({ assign: [{ ...item, offset: -5 }] })).toThrow(refused);
  });
});

describe('commits', () => {
  it('hold what the loop has finished with, and nothing that it left', async () => {
    await fill('finished', 1, 10);
    await using admin = client.admin();
    const committed = async (): Promise<number | undefined> =>
      (await admin.fetchGroupOffsets('finishers'))[0]?.offset;
    const failing = client.consumer({ groupId: 'finishers', topics: ['finished'] });
    const work = async (): Promise<void> => {
      for await (const message of failing) if (message.offset === 4) throw new Error('cannot handle it');
    };
    await expect(work()).rejects.toThrow('cannot handle it');
    await failing.close();
    expect(await committed()).toBe(4);
    await using explicit = client.consumer({ groupId: 'finishers', topics: ['finished'], autoCommit: false });
    for await (const message of explicit) {
      if (message.offset === 6) await explicit.commit(message);
      if (message.offset === 8) break;
    }
    await explicit.close();
    expect(await committed()).toBe(7);
  });

  it('made by hand are not taken back by the one that closing makes', async () => {
    await fill('by-hand', 1, 10);
    await using admin = client.admin();
    const consumer = client.consumer({ groupId: 'by-hand', topics: ['by-hand'] });
    for await (const message of consumer) {
      if (message.offset < 4) continue;
      await consumer.commit(message);
      break;
    }
    await consumer.close();
    const offsets = (await admin.fetchGroupOffsets('by-hand')).map(({ offset }) => offset);
    expect(offsets).toEqual([5]);
  });

  it('can be made for a group by a consumer of given partitions', async () => {
    await fill('standalone', 2, 10);
    const assign = [0, 1].map((partition) => ({ topic: 'standalone', partition, endOffset: 5 }));
    await using first = client.consumer({ groupId: 'alone', assign });
    await Array.fromAsync(first);
    await first.close();
    await using second = client.consumer({ groupId: 'alone', assign });
    expect(await Array.fromAsync(second)).toEqual([]);
    await using strict = client.consumer({ groupId: 'nobody', assign, from: 'none' });
    await expect(Array.fromAsync(strict)).rejects.toMatchObject({ code: 'NO_OFFSET' });
  });
});

describe('a group', () => {
  it.each<AssignorName>(['range', 'roundrobin', 'sticky', 'cooperative-sticky'])(
    'shares the partitions out, and again when a member comes or goes, with %s',
    async (assignor) => {
      const topic = `shared-${assignor}`;
      const options = { groupId: topic, topics: [topic], assignors: [assignor], heartbeatIntervalMs: 30 };
      await fill(topic, 6, 600);
      const seen: string[] = [];
      const run = async (consumer: Consumer): Promise<void> => {
        for await (const message of consumer) seen.push(`${message.partition}:${message.offset}`);
      };
      const one = client.consumer(options);
      const first = run(one);
      await expect.poll(() => seen.length).toBe(600);
      const two = client.consumer(options);
      const second = run(two);
      await expect
        .poll(() => [one.assignment().length, two.assignment().length], { timeout: 10_000 })
        .toEqual([3, 3]);
      await write(topic, 6, { from: 600, to: 1_200 });
      await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(1_200);
      await one.close();
      await first;
      await expect.poll(() => two.assignment().length, { timeout: 10_000 }).toBe(6);
      await write(topic, 6, { from: 1_200, to: 1_800 });
      await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(1_800);
      await two.close();
      await second;
      expect(new Set(seen).size).toBe(1_800);
      await using admin = client.admin();
      const offsets = await admin.fetchGroupOffsets(topic);
      expect(offsets.map((item) => item.offset)).toEqual([300, 300, 300, 300, 300, 300]);
    },
  );

  it.each<AssignorName>(['sticky', 'cooperative-sticky'])(
    'moves no more partitions than it has to when a member comes, with %s',
    async (assignor) => {
      const topic = `kept-${assignor}`;
      const options = { groupId: topic, topics: [topic], assignors: [assignor], heartbeatIntervalMs: 30 };
      await fill(topic, 12, 12);
      const consumers: Consumer[] = [];
      const numbers = (): number[][] =>
        consumers.map((consumer) => consumer.assignment().map(({ partition }) => partition));
      const join = async (counts: readonly number[]): Promise<number[][]> => {
        const consumer = client.consumer(options);
        consumers.push(consumer);
        void take(consumer, Infinity);
        await expect.poll(() => numbers().map((each) => each.length), { timeout: 10_000 }).toEqual(counts);
        return numbers();
      };
      await join([12]);
      const two = await join([6, 6]);
      const three = await join([4, 4, 4]);
      for (const [place, had] of two.entries()) {
        expect(three[place]!.filter((partition) => !had.includes(partition))).toEqual([]);
      }
      for (const consumer of consumers) await consumer.close();
    },
  );

  it('takes in partitions that are added', async () => {
    await fill('growing', 1, 1);
    await using quick = new Kappalog({ brokers, metadataMaxAgeMs: 50 });
    await using consumer = quick.consumer({
      groupId: 'growing',
      topics: ['growing'],
      heartbeatIntervalMs: 30,
    });
    await consumer.ready();
    const reading = take(consumer, 3);
    await using admin = client.admin();
    await admin.createPartitions({ topic: 'growing', count: 3 });
    await write('growing', 3, { from: 1, to: 3 });
    expect((await reading).sort()).toEqual(['0:0:0', '1:0:1', '2:0:2']);
  });

  it('is left at once by a member that closes while the broker is away', async () => {
    await fill('away', 1, 1);
    const platform = realPlatform();
    const network = new CuttingNetwork(platform.network);
    const flaky = new Kappalog({ brokers, platform: { ...platform, network } });
    const consumer = flaky.consumer({ groupId: 'away', topics: ['away'] });
    await take(consumer, 1);
    network.isDown = true;
    network.cutAll();
    await flaky.close();
    await expect(consumer.commit()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('says why a member cannot take part', async () => {
    await fill('odd', 1, 1);
    const options = { groupId: 'odd', topics: ['odd'], heartbeatIntervalMs: 30 };
    await using ranged = client.consumer({ ...options, assignors: ['range'] });
    await ranged.ready();
    await using dealt = client.consumer({ ...options, assignors: ['roundrobin'] });
    await expect(take(dealt, 1)).rejects.toMatchObject({ code: 'INCONSISTENT_GROUP_PROTOCOL' });
  });
});
