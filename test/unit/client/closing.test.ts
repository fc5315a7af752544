import { expect, it } from 'vitest';
import { Kappalog } from '../../../client/index.ts';
import { NetworkError, type Address, type ConnectOptions } from '../../../platform/network.ts';
import { FakeBrokers, topic } from './fake-brokers.ts';

it('what waits for a connection that never stands ends when the client closes', async () => {
  const brokers = await FakeBrokers.start([1]);
  const network = {
    listen: () => Promise.reject(new Error('nobody listens here')),
    connect: (_to: Address, { signal }: ConnectOptions) =>
      new Promise<never>((_, reject) => {
        signal?.addEventListener('abort', () => reject(new NetworkError('reset', 'ended')));
      }),
  };
  const client = new Kappalog({ brokers: brokers.addresses, platform: { ...brokers.platform, network } });
  const consumer = client.consumer({ groupId: 'g', topics: [topic] });
  const producer = client.producer();
  const waiting = [
    client.admin().listGroups(),
    consumer.ready(),
    producer.send({ topic, value: 'a' }),
    producer.flush(),
  ];
  const outcomes = Promise.allSettled(waiting);
  await brokers.clock.advanceAsync(2_000);
  const closed = Promise.allSettled([producer.close({ timeoutMs: 100 }), client.close()]);
  expect(await brokers.msUntil(closed)).toBeLessThan(6_000);
  expect(await brokers.msUntil(outcomes)).toBeLessThan(10);
});
