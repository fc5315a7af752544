/** Typed topics with a real producer, consumer and broker. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startBroker } from '../../broker/index.ts';
import type { Broker } from '../../broker/index.ts';
import { Kappalog, KafkaError, serde, topic, UndecodableError } from '../../client/index.ts';

let broker: Broker;
let client: Kappalog;

beforeAll(async () => {
  const settings = { 'group.initial.rebalance.delay.ms': '0' };
  broker = await startBroker({ port: 0, storage: 'memory', settings });
  client = new Kappalog({ brokers: `127.0.0.1:${broker.port}` });
});
afterAll(async () => {
  await client.close();
  await broker.close();
});

const Order = z.object({ total: z.number(), placed: z.iso.datetime().transform((text) => new Date(text)) });

async function madeTopic(name: string) {
  await client.admin().createTopics([{ name, partitions: 1, replicationFactor: 1 }]);
  return topic(name, { key: serde.string, value: serde.json(Order) });
}

describe('a typed topic', () => {
  it('takes and gives values of its types, and tombstones', async () => {
    const orders = await madeTopic('orders');
    const producer = client.producer();
    const placed = '2026-01-02T03:04:05.000Z';
    const sent = await orders.send(producer, {
      key: 'a',
      value: { total: 12, placed },
      headers: { source: 'web' },
      timestamp: 1_767_000_000_000,
    });
    expect(sent).toMatchObject({ topic: 'orders', partition: 0, offset: 0 });
    await orders.send(producer, { key: 'b', value: null });
    await orders.send(producer, { value: { total: 1, placed } });
    // @ts-expect-error -- a total is a number
    const wrong = orders.send(producer, { value: { total: 'much', placed } });
    await expect(wrong).rejects.toMatchObject({ code: 'SERIALIZATION_FAILED', retriable: false });
    await expect(wrong).rejects.toThrow(/^A value for the topic orders cannot be written: total: /);
    await producer.close();
    const assign = [{ topic: 'orders', partition: 0, offset: 0, endOffset: 3 }];
    const consumer = client.consumer({ assign });
    const read = [];
    for await (const { key, value, offset, headers, timestamp, raw } of orders.messages(consumer)) {
      // What comes out is what the schema makes of it.
      const date: Date | undefined = value?.placed;
      read.push({ key, total: value?.total, date: date?.toISOString(), offset });
      if (offset === 0) {
        expect([headers, timestamp]).toEqual([[['source', Buffer.from('web')]], 1_767_000_000_000]);
      }
      expect(raw.offset).toBe(offset);
    }
    expect(read).toEqual([
      { key: 'a', total: 12, date: placed, offset: 0 },
      { key: 'b', total: undefined, date: undefined, offset: 1 },
      { key: null, total: 1, date: placed, offset: 2 },
    ]);
    await consumer.close();
  });

  it('stops at what it cannot read, which is not committed, or tells of it and goes on', async () => {
    const orders = await madeTopic('poisoned');
    const producer = client.producer();
    const value = { total: 1, placed: '2026-01-02T03:04:05Z' };
    await orders.send(producer, { key: 'first', value });
    await producer.send({ topic: 'poisoned', key: 'second', value: '{"total":"' });
    await orders.send(producer, { key: 'third', value });
    await producer.close();
    const reading = () => client.consumer({ groupId: 'readers', topics: ['poisoned'] });
    const keys: (string | null)[] = [];

    const strict = reading();
    const stopped = (async () => {
      for await (const { key } of orders.messages(strict)) keys.push(key);
    })();
    const error = await stopped.catch((thrown: unknown) => thrown);
    await strict.close();
    if (!(error instanceof UndecodableError)) throw new Error('no UndecodableError', { cause: error });
    expect(error).toBeInstanceOf(KafkaError);
    expect(error.message).toMatch(/^The value of poisoned-0 at offset 1 cannot be read: /);
    expect([error.raw.offset, error.raw.value?.toString(), keys]).toEqual([1, '{"total":"', ['first']]);

    const lenient = reading();
    const told: number[] = [];
    const messages = orders.messages(lenient, { onUndecodable: ({ raw }) => void told.push(raw.offset) });
    for await (const { key, raw } of messages) {
      keys.push(key);
      await lenient.commit(raw);
      if (key === 'third') break;
    }
    expect([keys, told]).toEqual([['first', 'third'], [1]]);
    await lenient.close();
    const committed = await client.admin().fetchGroupOffsets('readers');
    expect(committed.map(({ offset }) => offset)).toEqual([3]);
  });

  it('reads no messages of other topics', async () => {
    const orders = await madeTopic('these');
    const raw = { topic: 'those', partition: 0, offset: 0, timestamp: 0, key: null, value: null };
    await expect(orders.decode({ ...raw, headers: [], leaderEpoch: 0 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});
