import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../broker/index.ts';
import { Kappalog, type Message } from '../../client/index.ts';
import type { CompressionCodec } from '../../protocol/index.ts';
import { realPlatform } from '../../platform/real/real-platform.ts';
import { SeededRandom } from '../../platform/seeded-random.ts';
import { CuttingNetwork } from '../support/cutting-network.ts';

let broker: Broker;
let client: Kappalog;
let brokers: string;

beforeAll(async () => {
  broker = await startBroker({ port: 0, storage: 'memory' });
  brokers = `127.0.0.1:${broker.port}`;
  client = new Kappalog({ brokers });
});
afterAll(async () => {
  await client.close();
  await broker.close();
});

async function createTopic(
  name: string,
  partitions: number,
  configs: Record<string, string> = {},
): Promise<void> {
  await using admin = client.admin();
  await admin.createTopics([{ name, partitions, configs }]);
}

async function readAll(topic: string, partitions: number): Promise<Message[]> {
  await using admin = client.admin();
  const numbers = Array.from({ length: partitions }, (_, partition) => partition);
  const ends = await admin.listOffsets(
    numbers.map((partition) => ({ topic, partition, at: 'latest' as const })),
  );
  await using consumer = client.consumer({
    assign: ends.map(({ partition, offset }) => ({
      topic,
      partition,
      offset: 'earliest',
      endOffset: offset,
    })),
  });
  return await Array.fromAsync(consumer);
}

const textOf = (message: Message): string | undefined => message.value?.toString();

describe('a producer', () => {
  it('stores what it is given, byte for byte, and says where', async () => {
    await createTopic('fidelity', 1);
    await using producer = client.producer();
    const first = await producer.send({
      topic: 'fidelity',
      key: 'schlüssel',
      value: Buffer.from([0, 1, 255]),
      headers: [
        ['a', 'one'],
        ['a', Buffer.from([0])],
        ['b', null],
      ],
      timestamp: 1_600_000_000_123,
    });
    const rest = await producer.sendMany('fidelity', [{ value: null }, { key: '', value: '' }]);
    expect(first).toEqual({ topic: 'fidelity', partition: 0, offset: 0, timestamp: 1_600_000_000_123 });
    expect(rest.map((metadata) => metadata.offset)).toEqual([1, 2]);
    const messages = await readAll('fidelity', 1);
    expect(messages.map(({ key, value }) => [key, value])).toEqual([
      [Buffer.from('schlüssel'), Buffer.from([0, 1, 255])],
      [null, null],
      [Buffer.alloc(0), Buffer.alloc(0)],
    ]);
    expect(messages[0]!.headers).toEqual([
      ['a', Buffer.from('one')],
      ['a', Buffer.from([0])],
      ['b', null],
    ]);
    expect(messages[0]!.timestamp).toBe(1_600_000_000_123);
  });

  it.each<CompressionCodec>(['none', 'gzip', 'snappy', 'lz4', 'zstd'])(
    'is read back with %s',
    async (compression) => {
      const topic = `codec-${compression}`;
      await createTopic(topic, 2);
      await using producer = client.producer({ compression, batchBytes: 20_000 });
      const texts = Array.from({ length: 2_000 }, (_, index) => `${index}-${'x'.repeat(index % 50)}`);
      await producer.sendMany(
        topic,
        texts.map((value, index) => ({ value, partition: index % 2 })),
      );
      const messages = await readAll(topic, 2);
      for (const partition of [0, 1]) {
        const read = messages.filter((message) => message.partition === partition).map(textOf);
        expect(read).toEqual(texts.filter((_, index) => index % 2 === partition));
      }
    },
  );

  it('sends equal keys to one partition, the one that all Kafka clients choose', async () => {
    await createTopic('keyed', 5);
    await using producer = client.producer();
    const keys = ['21', 'foobar', 'a-little-bit-long-string', '21'];
    const messages = keys.map((key) => ({ key, value: '' }));
    const results = await producer.sendMany('keyed', messages);
    // murmur2 from Java's own test vectors: -973932308, -790332482, -985981536.
    expect(results.map((metadata) => metadata.partition)).toEqual([0, 1, 2, 0]);
  });

  it('splits a batch that the topic finds too large, and fails only the record that is', async () => {
    await createTopic('small', 1, { 'max.message.bytes': '5000' });
    await using producer = client.producer({ lingerMs: 50 });
    const values = Array.from({ length: 40 }, (_, index) =>
      `${index}`.padEnd(index === 17 ? 9_000 : 400, '.'),
    );
    const results = await Promise.allSettled(values.map((value) => producer.send({ topic: 'small', value })));
    const failed = results.flatMap((result, index) => (result.status === 'rejected' ? [index] : []));
    expect(failed).toEqual([17]);
    expect(results[17]).toMatchObject({ reason: { code: 'MESSAGE_TOO_LARGE', retriable: false } });
    expect((await readAll('small', 1)).map(textOf)).toEqual(values.filter((_, index) => index !== 17));
  });

  it('reports ignored failures on flush, once, and watched ones never', async () => {
    await createTopic('strict', 1, { 'cleanup.policy': 'compact' });
    await using producer = client.producer();
    await expect(producer.send({ topic: 'strict', value: 'no key' })).rejects.toMatchObject({
      code: 'INVALID_RECORD',
    });
    await producer.flush();
    producer.add({ topic: 'strict', value: 'no key' });
    await expect(producer.flush()).rejects.toMatchObject({ code: 'INVALID_RECORD' });
    await producer.flush();
    await expect(producer.send({ topic: 'strict', key: 'k', value: 'v' })).resolves.toMatchObject({
      offset: 0,
    });
  });

  it('says so when a topic does not exist, and creates none unless it may', async () => {
    await using producer = client.producer({ autoCreateTopics: false });
    const sending = producer.send({ topic: 'a-typo', value: '' });
    await expect(sending).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' });
    await using admin = client.admin();
    expect((await admin.listTopics()).map((topic) => topic.name)).not.toContain('a-typo');
    await using creating = client.producer();
    await expect(creating.send({ topic: 'made-on-demand', value: '' })).resolves.toMatchObject({ offset: 0 });
  });

  it('holds its buffer to the limit, and goes on when there is room', async () => {
    await createTopic('bounded', 1);
    await using producer = client.producer({ bufferBytes: 50_000 });
    const value = Buffer.alloc(1_000);
    const fill = (): void => {
      for (let index = 0; index < 100; index++) producer.add({ topic: 'bounded', value });
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'BUFFER_FULL' }));
    for (let index = 0; index < 300; index++) {
      await producer.ready();
      producer.add({ topic: 'bounded', value });
    }
    await producer.flush();
    expect((await readAll('bounded', 1)).length).toBeGreaterThan(300);
  });

  it('refuses what cannot be sent', async () => {
    await using producer = client.producer();
    await createTopic('refusals', 1);
    // @ts-expect-error -- what plain JavaScript may pass
    const number = producer.send({ topic: 'refusals', value: 1 });
    await expect(number).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(producer.send({ topic: 'refusals', value: '', partition: 3 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await expect(producer.send({ topic: '', value: '' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(() => client.producer({ acks: 1, idempotent: true })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  it('gives no offset with acks 0, and an offset with acks 1', async () => {
    await createTopic('acks', 1);
    await using none = client.producer({ acks: 0 });
    await using one = client.producer({ acks: 1 });
    expect((await none.send({ topic: 'acks', value: 'a' })).offset).toBe(-1);
    await expect.poll(async () => (await readAll('acks', 1)).length).toBe(1);
    expect((await one.send({ topic: 'acks', value: 'b' })).offset).toBe(1);
  });

  it('stops waiting when its signal fires', async () => {
    await using producer = client.producer({ lingerMs: 60_000, deliveryTimeoutMs: 120_000 });
    await createTopic('signal', 1);
    const controller = new AbortController();
    const sending = producer.send({ topic: 'signal', value: 'x' }, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(sending).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
  });
});

describe('a producer whose connections are cut', () => {
  it('delivers everything once and in order', async () => {
    await createTopic('cut', 3);
    const platform = realPlatform();
    const random = new SeededRandom(4711);
    // Answers to Produce take some dozens of bytes: the cut often falls between an append and its answer.
    let cutsLeft = 60;
    const network = new CuttingNetwork(platform.network, () =>
      cutsLeft-- > 0 ? 700 + random.below(600) : undefined,
    );
    const flaky = new Kappalog({
      brokers,
      platform: { ...platform, network },
      retry: { backoffMs: 2, backoffMaxMs: 10 },
    });
    const producer = flaky.producer({ lingerMs: 0, batchBytes: 2_000 });
    const count = 6_000;
    for (let index = 0; index < count; index++) {
      await producer.ready();
      const delivery = producer.add({ topic: 'cut', partition: index % 3, value: String(index) });
      // Many requests, and many answers that can get lost.
      if (index % 10 === 0) await delivery;
    }
    await flaky.close();
    expect(network.cuts).toBeGreaterThan(20);
    const messages = await readAll('cut', 3);
    for (const partition of [0, 1, 2]) {
      const expected = Array.from({ length: count / 3 }, (_, index) => String(index * 3 + partition));
      expect(messages.filter((message) => message.partition === partition).map(textOf)).toEqual(expected);
    }
  });

  it('gives up a silent connection and sends again on a new one', async () => {
    await createTopic('silent', 1);
    const platform = realPlatform();
    const network = new CuttingNetwork(platform.network);
    const flaky = new Kappalog({ brokers, platform: { ...platform, network }, requestTimeoutMs: 300 });
    await using producer = flaky.producer({ lingerMs: 0 });
    await producer.send({ topic: 'silent', value: '0' });
    network.freezeAll();
    await expect(producer.send({ topic: 'silent', value: '1' })).resolves.toMatchObject({ offset: 1 });
    await flaky.close();
    expect((await readAll('silent', 1)).map(textOf)).toEqual(['0', '1']);
  });

  it('fails when the delivery timeout is over, says why, and closes', async () => {
    await createTopic('away', 1);
    const platform = realPlatform();
    const network = new CuttingNetwork(platform.network);
    const flaky = new Kappalog({ brokers, platform: { ...platform, network } });
    const producer = flaky.producer({ deliveryTimeoutMs: 400 });
    await producer.send({ topic: 'away', value: '0' });
    network.isDown = true;
    network.cutAll();
    await expect(producer.send({ topic: 'away', value: '1' })).rejects.toMatchObject({
      code: 'TIMED_OUT',
      retriable: true,
    });
    producer.add({ topic: 'away', value: '2' });
    await expect(flaky.close()).rejects.toMatchObject({ code: 'TIMED_OUT' });
    await expect(producer.send({ topic: 'away', value: '3' })).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('connecting', () => {
  it('names the bootstrap address that refuses', async () => {
    const lost = new Kappalog({ brokers: '127.0.0.1:1', retry: { timeoutMs: 200 } });
    await using admin = lost.admin();
    await expect(admin.listTopics()).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringContaining('127.0.0.1:1'),
    });
  });

  it('names both addresses where the advertised one cannot be reached', async () => {
    await using elsewhere = await startBroker({ port: 0, storage: 'memory', advertisedHost: '127.0.0.1:1' });
    const address = `127.0.0.1:${elsewhere.port}`;
    const lost = new Kappalog({ brokers: address, retry: { timeoutMs: 500 } });
    await using admin = lost.admin();
    await admin.createTopics([{ name: 'x', partitions: 1 }]).catch(() => undefined);
    const error = await admin
      .listOffsets([{ topic: 'x', partition: 0, at: 'latest' }])
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED' });
    expect(String(error)).toContain('127.0.0.1:1');
    expect(String(error)).toContain(address);
  });

  it('goes on to the next bootstrap broker', async () => {
    const patient = new Kappalog({ brokers: ['127.0.0.1:1', brokers] });
    await using admin = patient.admin();
    expect((await admin.describeCluster()).brokers).toHaveLength(1);
  });
});
