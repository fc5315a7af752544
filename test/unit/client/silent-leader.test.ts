import { describe, expect, it } from 'vitest';
import { Kappalog } from '../../../client/index.ts';
import type { ProducerOptions } from '../../../client/index.ts';
import { FakeBrokers, topic } from './fake-brokers.ts';

/** As long as the cluster needs to elect another leader in place of one that says nothing. */
const electionMs = 1_100;
/** What a client needs in all: it lets a second go by, and looks again until there is a leader. */
const gapMsMax = 1_600;

function clientOf(brokers: FakeBrokers): Kappalog {
  return new Kappalog({ brokers: brokers.addresses, platform: brokers.platform });
}

function hang(brokers: FakeBrokers, next: number): void {
  brokers.freeze(1);
  brokers.clock.after(electionMs, () => brokers.partitions[0]!.elect(next));
}

describe('a producer whose leader hangs', () => {
  for (const options of [{}, { maxInFlight: 1 }, { idempotent: false }] satisfies ProducerOptions[]) {
    it(`sends to the next one, with ${JSON.stringify(options)}`, async () => {
      const brokers = await FakeBrokers.start([1, 2, 3]);
      const client = clientOf(brokers);
      const producer = client.producer({ lingerMs: 0, ...options });
      await brokers.msUntil(producer.send({ topic, value: 'first' }));
      hang(brokers, 2);
      const sent = ['a', 'b', 'c', 'd'].map(async (value, index) => {
        await new Promise<void>((resolve) => void brokers.clock.after(index * 10, resolve));
        return (await producer.send({ topic, value })).offset;
      });
      expect(await brokers.msUntil(Promise.all(sent))).toBeLessThan(gapMsMax);
      expect(await Promise.all(sent)).toEqual([1, 2, 3, 4]);
      // The late answers of the old leader, and what it would append, concern nobody.
      brokers.thaw(1);
      expect(await brokers.msUntil(producer.send({ topic, value: 'last' }))).toBeLessThan(100);
      await brokers.clock.advanceAsync(60_000);
      expect(brokers.partitions[0]!.values).toEqual(['first', 'a', 'b', 'c', 'd', 'last']);
      await client.close();
    });
  }

  it('waits for it where nobody else leads, and asks others in peace', async () => {
    const brokers = await FakeBrokers.start([1, 2, 3]);
    const client = clientOf(brokers);
    const producer = client.producer({ lingerMs: 0 });
    await brokers.msUntil(producer.send({ topic, value: 'first' }));
    const asked = (): number => brokers.countOf(2, 'Metadata') + brokers.countOf(3, 'Metadata');
    const before = asked();
    brokers.freeze(1);
    const sent = producer.send({ topic, value: 'second' });
    await brokers.clock.advanceAsync(900);
    expect(asked()).toBe(before);
    await brokers.clock.advanceAsync(19_100);
    expect(asked() - before).toBeGreaterThan(15);
    expect(asked() - before).toBeLessThan(30);
    brokers.thaw(1);
    expect(await brokers.msUntil(sent)).toBeLessThan(10);
    expect(brokers.partitions[0]!.values).toEqual(['first', 'second']);
    const after = asked();
    await brokers.clock.advanceAsync(60_000);
    expect(asked() - after).toBeLessThanOrEqual(1);
    await client.close();
  });

  it('goes on waiting for what it still leads, and takes the answer', async () => {
    const brokers = await FakeBrokers.start([1, 2], 2);
    const client = clientOf(brokers);
    const producer = client.producer({ lingerMs: 0 });
    const both = (value: string) =>
      [0, 1].map((partition) => producer.send({ topic, partition, value: `${value}${partition}` }));
    await brokers.msUntil(Promise.all(both('first')));
    hang(brokers, 2);
    const [moved, kept] = both('second');
    expect(await brokers.msUntil(moved!)).toBeLessThan(gapMsMax);
    await brokers.clock.advanceAsync(5_000);
    expect(brokers.partitions.map(({ values }) => values.length)).toEqual([2, 1]);
    brokers.thaw(1);
    // On the connection that was not given up: nothing was sent again.
    expect(await brokers.msUntil(kept!)).toBeLessThan(10);
    expect(brokers.partitions.map(({ values }) => values)).toEqual([
      ['first0', 'second0'],
      ['first1', 'second1'],
    ]);
    expect(brokers.countOf(1, 'Produce')).toBeLessThanOrEqual(4);
    await client.close();
  });

  it('finds its cluster though the first broker of the list hangs', async () => {
    const brokers = await FakeBrokers.start([1, 2, 3]);
    brokers.freeze(1);
    brokers.partitions[0]!.elect(3);
    for (let round = 0; round < 6; round++) {
      const client = clientOf(brokers);
      const producer = client.producer({ lingerMs: 0 });
      expect(await brokers.msUntil(producer.send({ topic, value: `${round}` }))).toBeLessThan(3_000);
      await client.close();
    }
    expect(brokers.partitions[0]!.values).toEqual(['0', '1', '2', '3', '4', '5']);
  });
});

describe('a record whose delivery time is over', () => {
  const late = { code: 'TIMED_OUT', retriable: true };

  it('is given up though its leader still owes the answer, and what follows is stored once', async () => {
    const brokers = await FakeBrokers.start([1, 2, 3]);
    const client = clientOf(brokers);
    const producer = client.producer({ lingerMs: 0, deliveryTimeoutMs: 3_000 });
    await brokers.msUntil(producer.send({ topic, value: 'first' }));
    brokers.freeze(1);
    const sent = producer.send({ topic, value: 'late' });
    await brokers.clock.advanceAsync(1_500);
    const next = producer.send({ topic, value: 'next' });
    next.catch(() => undefined);
    expect(await brokers.msUntil(expect(sent).rejects.toMatchObject(late))).toBeLessThan(1_600);
    await brokers.clock.advanceAsync(500);
    brokers.thaw(1);
    expect(await brokers.msUntil(next)).toBeLessThan(1_000);
    await brokers.msUntil(producer.send({ topic, value: 'last' }));
    expect(brokers.partitions[0]!.values).toEqual(['first', 'late', 'next', 'last']);
    await client.close();
  });

  it('is given up though nobody says who leads', async () => {
    const brokers = await FakeBrokers.start([1]);
    const client = clientOf(brokers);
    const producer = client.producer({ lingerMs: 0, deliveryTimeoutMs: 3_000 });
    brokers.freeze(1);
    const sent = producer.send({ topic, value: 'late' });
    expect(await brokers.msUntil(expect(sent).rejects.toMatchObject(late))).toBeLessThan(3_100);
    await client.close();
  });
});

describe('a consumer whose leader hangs', () => {
  it('reads from the next one, each record once', async () => {
    const brokers = await FakeBrokers.start([1, 2, 3]);
    const client = clientOf(brokers);
    const producer = client.producer({ lingerMs: 0 });
    await brokers.msUntil(producer.send({ topic, value: 'a' }));
    const consumer = client.consumer({ assign: [{ topic, partition: 0, offset: 0, endOffset: 6 }] });
    const values: string[] = [];
    const reading = (async () => {
      for await (const { value } of consumer) values.push(String(value));
    })();
    await brokers.clock.runUntil(() => values.length === 1, 10_000);
    hang(brokers, 2);
    const writing = (async () => {
      for (const value of ['b', 'c', 'd']) await producer.send({ topic, value });
    })();
    const hungAtMs = brokers.clock.monotonicMs();
    await brokers.msUntil(writing);
    await brokers.clock.runUntil(() => values.length === 4, 30_000);
    // A fetch may be held back half a second by right.
    expect(brokers.clock.monotonicMs() - hungAtMs).toBeLessThan(gapMsMax + 500);
    brokers.thaw(1);
    await brokers.msUntil(Promise.all(['e', 'f'].map((value) => producer.send({ topic, value }))));
    await brokers.msUntil(reading);
    expect(values).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    await client.close();
  });
});
