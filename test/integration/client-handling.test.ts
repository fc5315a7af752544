/** Messages that are handled several at a time, and consumers that are drained. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { Kappalog, type Consumer, type Message } from '../../client/index.ts';

const partitions = 3;

let broker: Broker;
let client: Kappalog;

beforeAll(async () => {
  broker = await startBroker({
    port: 0,
    storage: 'memory',
    settings: { 'group.initial.rebalance.delay.ms': '0' },
  });
  client = new Kappalog({ brokers: `127.0.0.1:${broker.port}` });
});
afterAll(async () => {
  await client.close();
  await broker.close();
});

/** Row i has the key i % keys, and goes to the partition key % partitions. */
async function fill(topic: string, count: number, keys: number): Promise<void> {
  await using admin = client.admin();
  await admin.createTopics([{ name: topic, partitions }]);
  await using producer = client.producer();
  const messages = Array.from({ length: count }, (_, row) => {
    const key = row % keys;
    return { key: `k${key}`, value: String(row), partition: key % partitions };
  });
  await producer.sendMany(topic, messages);
}

const all = (topic: string) =>
  Array.from({ length: partitions }, (_, partition) => ({ topic, partition, offset: 'earliest' as const }));

async function bounded(topic: string): Promise<Consumer> {
  await using admin = client.admin();
  const ends = await admin.listOffsets(
    all(topic).map(({ partition }) => ({ topic, partition, at: 'latest' })),
  );
  return client.consumer({
    assign: ends.map(({ partition, offset }) => ({ topic, partition, endOffset: offset })),
  });
}

async function committed(groupId: string, topic: string): Promise<number> {
  await using admin = client.admin();
  const offsets = await admin.fetchGroupOffsets(groupId);
  return offsets.filter((item) => item.topic === topic).reduce((sum, { offset }) => sum + offset, 0);
}

const rowOf = ({ value }: Message): number => Number(value!.toString());

describe('messages that are handled several at a time', () => {
  it.each(['partition', 'key'] as const)('come once each, in order of the %s', async (order) => {
    const topic = `order-${order}`;
    await fill(topic, 600, 12);
    await using consumer = await bounded(topic);
    const rows: number[] = [];
    const lastOf = new Map<string, number>();
    let running = 0;
    let most = 0;
    await consumer.each(
      async (message) => {
        most = Math.max(most, (running += 1));
        const lane = order === 'key' ? message.key!.toString() : String(message.partition);
        expect(message.offset).toBeGreaterThan(lastOf.get(lane) ?? -1);
        lastOf.set(lane, message.offset);
        await new Promise((resolve) => setImmediate(resolve));
        rows.push(rowOf(message));
        running -= 1;
      },
      { order, concurrency: 8 },
    );
    expect(rows.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 600 }, (_, row) => row));
    expect(most).toBe(order === 'key' ? 8 : partitions);
  });

  it('are not finished where the handler fails, and come again', async () => {
    const topic = 'failing';
    await fill(topic, 90, 9);
    const groupId = 'failing';
    const seen: number[] = [];
    let isBroken = true;
    const handler = (message: Message): void => {
      if (isBroken && rowOf(message) === 40) throw new RangeError('not this one');
      seen.push(rowOf(message));
    };
    {
      await using consumer = client.consumer({ groupId, topics: [topic] });
      await expect(consumer.each(handler, { order: 'key' })).rejects.toThrow(new RangeError('not this one'));
      // The same consumer may go on: with the message that was not finished.
      isBroken = false;
      const controller = new AbortController();
      const going = consumer.each(
        (message) => {
          handler(message);
          if (new Set(seen).size === 90) controller.abort();
        },
        { order: 'key', signal: controller.signal },
      );
      await expect(going).rejects.toMatchObject({ code: 'ABORTED' });
    }
    expect(new Set(seen).size).toBe(90);
    expect(seen.filter((row) => row === 40)).toEqual([40]);
    expect(await committed(groupId, topic)).toBe(90);
  });

  it('are neither handled nor committed behind one that failed, in its partition', async () => {
    const topic = 'behind';
    await fill(topic, 30, 3);
    const groupId = 'behind';
    const seen: number[] = [];
    {
      await using consumer = client.consumer({ groupId, topics: [topic] });
      const handled = consumer.each((message) => {
        if (message.partition === 1 && message.offset === 4) throw new Error('no');
        seen.push(rowOf(message));
      });
      await expect(handled).rejects.toThrow('no');
    }
    const ofPartition = seen.filter((row) => row % partitions === 1);
    expect(ofPartition).toEqual([1, 4, 7, 10]);
    await using admin = client.admin();
    const offsets = await admin.fetchGroupOffsets(groupId);
    expect(offsets.find(({ partition }) => partition === 1)?.offset).toBe(4);
    expect(offsets.reduce((sum, { offset }) => sum + offset, 0)).toBe(seen.length);
  });

  it('come in batches too, of several partitions at a time, again from where the handler says', async () => {
    const topic = 'batches';
    await fill(topic, 120, 3);
    await using consumer = await bounded(topic);
    const rows: number[] = [];
    const running = new Set<number>();
    let most = 0;
    let parts = 0;
    await consumer.eachBatch(async ({ partition, messages }, { isWanted }) => {
      expect([running.has(partition), isWanted]).toEqual([false, true]);
      running.add(partition);
      most = Math.max(most, running.size);
      await new Promise((resolve) => setImmediate(resolve));
      running.delete(partition);
      const part = messages.slice(0, 7);
      rows.push(...part.map(rowOf));
      parts += 1;
      return part.at(-1)!.offset + 1;
    });
    expect(rows.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 120 }, (_, row) => row));
    for (const partition of [0, 1, 2]) {
      const own = rows.filter((row) => row % partitions === partition);
      expect(own).toEqual(own.toSorted((a, b) => a - b));
    }
    expect(parts).toBe(partitions * 6);
    expect(most).toBeGreaterThan(1);
  });

  it('refuse a second reader, and a concurrency that cannot be meant', async () => {
    const topic = 'refusals';
    await fill(topic, 3, 3);
    await using consumer = await bounded(topic);
    await expect(consumer.each(() => undefined, { concurrency: 0 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    const first = consumer.each(() => undefined);
    await expect(consumer.each(() => undefined)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await first;
  });

  it('are told when their partition goes to another member, and that member reads it all', async () => {
    const topic = 'moving';
    await fill(topic, 300, 12);
    const groupId = 'moving';
    const done = new Set<number>();
    const twice: number[] = [];
    const handler = async (message: Message): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      if (done.has(rowOf(message))) twice.push(rowOf(message));
      done.add(rowOf(message));
    };
    await using one = client.consumer({ groupId, topics: [topic] });
    await using other = client.consumer({ groupId, topics: [topic] });
    const reading = [one.each(handler, { order: 'key', concurrency: 4 })];
    await expect.poll(() => done.size).toBeGreaterThan(20);
    reading.push(other.each(handler, { order: 'key', concurrency: 4 }));
    await expect.poll(() => done.size, { timeout: 20_000 }).toBe(300);
    await Promise.all([one.drain(), other.drain()]);
    await Promise.all(reading);
    // What was finished was committed before the partition went.
    expect(twice).toEqual([]);
    expect(await committed(groupId, topic)).toBe(300);
  });
});

describe('a consumer that is drained', () => {
  it('finishes what its handlers hold, commits that, and starts nothing more', async () => {
    const topic = 'drained';
    await fill(topic, 60, 6);
    const groupId = 'drained';
    const consumer = client.consumer({ groupId, topics: [topic] });
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const started: number[] = [];
    const reading = consumer.each(
      async (message) => {
        started.push(rowOf(message));
        await gate;
      },
      { order: 'key', concurrency: 4 },
    );
    await expect.poll(() => started.length).toBe(4);
    const drained = consumer.drain();
    release();
    await drained;
    await reading;
    expect(started).toHaveLength(4);
    const after = client.consumer({ groupId, topics: [topic] });
    const rows: number[] = [];
    for await (const message of after) if (rows.push(rowOf(message)) === 56) break;
    await after.close();
    expect([...started, ...rows].toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 60 }, (_, row) => row),
    );
  });

  it('finishes the message that a loop holds, and the loop ends', async () => {
    const topic = 'drained-loop';
    await fill(topic, 30, 3);
    const groupId = 'drained-loop';
    const consumer = client.consumer({ groupId, topics: [topic] });
    const rows: number[] = [];
    let drained: Promise<void> | undefined;
    for await (const message of consumer) {
      rows.push(rowOf(message));
      if (rows.length === 7) drained = consumer.drain();
    }
    await drained;
    expect(rows).toHaveLength(7);
    expect(await committed(groupId, topic)).toBe(7);
  });

  it('closes in the end though a handler does not, which is told', async () => {
    const topic = 'stuck';
    await fill(topic, 3, 3);
    const groupId = 'stuck';
    const consumer = client.consumer({ groupId, topics: [topic] });
    const signals: AbortSignal[] = [];
    const reading = consumer.each(async (_, { signal }) => {
      signals.push(signal);
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('told')));
      });
    });
    await expect.poll(() => signals.length).toBe(3);
    const failed = expect(reading).rejects.toThrow('told');
    await consumer.drain({ timeoutMs: 50 });
    await failed;
    expect(await committed(groupId, topic)).toBe(0);
  });
});

describe('what a client says of itself', () => {
  it('starts each topic where it is told to, and knows its group and the partitions of a topic', async () => {
    await fill('old-too', 9, 3);
    await fill('new-only', 9, 3);
    await using consumer = client.consumer({
      groupId: 'starts',
      topics: ['old-too', 'new-only'],
      from: (topic) => (topic === 'old-too' ? 'earliest' : 'latest'),
    });
    expect(consumer.groupMetadata()).toMatchObject({ groupId: 'starts', memberId: '' });
    await consumer.ready();
    const positions = Object.groupBy(consumer.positions(), ({ topic }) => topic);
    expect(positions['old-too']!.map(({ offset }) => offset)).toEqual([0, 0, 0]);
    expect(positions['new-only']!.map(({ offset }) => offset)).toEqual([3, 3, 3]);
    await using admin = client.admin();
    const [group] = await admin.describeGroups(['starts']);
    expect(consumer.groupMetadata()).toEqual({
      groupId: 'starts',
      generation: 1,
      memberId: group!.members[0]!.memberId,
      groupInstanceId: null,
    });
    await using producer = client.producer();
    const [topic] = await admin.describeTopics(['old-too']);
    expect(await producer.partitionsFor('old-too')).toEqual(topic!.partitions);
    expect(await producer.partitionsFor('made-now')).toHaveLength(1);
    await using strict = client.producer({ autoCreateTopics: false });
    await expect(strict.partitionsFor('never')).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
  });
});
