/** A consumer whose brokers are away tells so, goes on trying, and resumes by itself. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, expect, it } from 'vitest';
import { Kappalog, type ConsumerOptions, type Stall } from '../../../../client/index.ts';
import { FakeBrokers, topic } from '../fake-brokers.ts';
import { RecordingLogger } from './recording-logger.ts';

const nodeIds = [1, 2, 3];
const told: string[] = [];
const record = (event: unknown, name: string | symbol): void => {
  const hasReason = typeof event === 'object' && event !== null && 'reason' in event;
  told.push(`${String(name)}${hasReason ? ` ${String(event.reason)}` : ''}`);
};
const names = ['stalled', 'recovered', 'heartbeat-failed', 'event-loop-stalled'].map(
  (name) => `kappalog:consumer:${name}`,
);

afterEach(() => {
  for (const name of names) unsubscribe(name, record);
  told.length = 0;
});

/** Reads into `values` until it is closed. */
async function reading(options: ConsumerOptions) {
  const brokers = await FakeBrokers.start(nodeIds);
  const logger = new RecordingLogger();
  const client = new Kappalog({ brokers: brokers.addresses, platform: brokers.platform, logger });
  const producer = client.producer({ lingerMs: 0, idempotent: false });
  await brokers.msUntil(producer.send({ topic, value: 'before' }));
  const stalls: Stall[] = [];
  const recoveries: Stall[] = [];
  const consumer = client.consumer({
    onStalled: (stall) => stalls.push(stall),
    onRecovered: (stall) => recoveries.push(stall),
    ...options,
  });
  const values: string[] = [];
  const loop = (async () => {
    for await (const { value } of consumer) values.push(String(value));
  })();
  loop.catch(() => undefined);
  const hasRead = (value: string): Promise<boolean> =>
    brokers.clock.runUntil(() => values.includes(value), 10_000);
  expect(await hasRead('before')).toBe(true);
  const close = (): Promise<number> => brokers.msUntil(Promise.all([client.close(), loop]));
  return { brokers, producer, values, stalls, recoveries, logger, hasRead, loop, close };
}

const ways: Record<string, ConsumerOptions> = {
  'in a group': { groupId: 'watchers', topics: [topic] },
  'without a group': { assign: [{ topic, partition: 0 }] },
};

describe('all brokers are away for a minute', () => {
  for (const [way, options] of Object.entries(ways)) {
    for (const [how, stalledAfterMs] of [
      ['cut off', 30_000],
      ['frozen', 10_000],
    ] as const) {
      it(`and the consumer, ${way}, resumes by itself when they were ${how}`, async () => {
        const { brokers, producer, values, stalls, recoveries, logger, hasRead, close } = await reading({
          ...options,
          stalledAfterMs,
        });
        for (const name of names) subscribe(name, record);
        for (const id of nodeIds) {
          if (how === 'frozen') brokers.freeze(id);
          else await brokers.end(id);
        }
        await brokers.clock.advanceAsync(stalledAfterMs - 1_000);
        expect(stalls).toEqual([]);
        await brokers.clock.advanceAsync(61_000 - stalledAfterMs);
        expect(stalls).toMatchObject([{ partitions: [{ topic, partition: 0 }] }]);
        expect(stalls[0]!.forMs).toBeGreaterThanOrEqual(stalledAfterMs);
        expect(stalls[0]!.reason).toBe(how === 'frozen' ? 'no-answer' : 'fetch-failing');
        expect(stalls[0]!.error?.code).toBe(how === 'frozen' ? undefined : 'CONNECTION_FAILED');
        expect(recoveries).toEqual([]);
        for (const id of nodeIds) {
          if (how === 'frozen') brokers.thaw(id);
          else await brokers.begin(id);
        }
        await brokers.msUntil(producer.send({ topic, value: 'after' }));
        expect(await hasRead('after')).toBe(true);
        // What was not committed before the session ended may come again.
        expect([...new Set(values)]).toEqual(['before', 'after']);
        await brokers.clock.advanceAsync(2_000);
        expect(recoveries).toEqual(stalls);
        expect(told.filter((line) => !line.includes('heartbeat'))).toEqual([
          `kappalog:consumer:stalled ${stalls[0]!.reason}`,
          `kappalog:consumer:recovered ${stalls[0]!.reason}`,
        ]);
        if (way === 'in a group') expect(told).toContain('kappalog:consumer:heartbeat-failed');
        expect(logger.lines).toContain('warn the consumer has stalled');
        expect(logger.lines).toContain('info the consumer has recovered');
        await close();
        // What is on its way in the network arrives; of the client nothing is left.
        await brokers.clock.advanceAsync(100);
        expect(brokers.clock.pendingTimers).toBe(0);
      });
    }
  }
});

describe('no stall', () => {
  it('is told where there is nothing to read, however long', async () => {
    const { brokers, stalls, close } = await reading(ways['in a group']!);
    await brokers.clock.advanceAsync(300_000);
    expect(stalls).toEqual([]);
    await close();
  });
});

describe('a callback that throws', () => {
  it('ends the iteration', async () => {
    const onStalled = (): void => {
      throw new Error('mine');
    };
    const { brokers, loop, close } = await reading({
      ...ways['without a group']!,
      stalledAfterMs: 5_000,
      onStalled,
    });
    for (const id of nodeIds) brokers.freeze(id);
    await brokers.clock.advanceAsync(10_000);
    await expect(loop).rejects.toMatchObject({ code: 'CALLBACK_FAILED' });
    for (const id of nodeIds) brokers.thaw(id);
    await expect(close()).rejects.toMatchObject({ code: 'CALLBACK_FAILED' });
  });
});
