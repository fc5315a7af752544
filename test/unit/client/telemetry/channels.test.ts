/** What subscribers are told while records are sent and read, and that nobody pays for channels without them. */
import { tracingChannel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KafkaError, Kappalog, type TracePayloads } from '../../../../client/index.ts';
import { FakeBrokers, topic } from '../fake-brokers.ts';

let brokers: FakeBrokers;
let client: Kappalog;
/** To be called when the test is over. */
let undo: (() => void)[];

beforeEach(async () => {
  brokers = await FakeBrokers.start([1]);
  client = new Kappalog({ brokers: brokers.addresses, platform: brokers.platform, clientId: 'tests' });
  undo = [];
});
afterEach(async () => {
  for (const stop of undo) stop();
  await brokers.msUntil(client.close());
});

type Step = 'start' | 'end' | 'asyncStart' | 'asyncEnd' | 'error';

/** Gets each step with the payload as it is by then. */
function follow<N extends keyof TracePayloads>(
  name: N,
  onStep: (step: Step, payload: TracePayloads[N]) => void,
): void {
  const channel = tracingChannel<unknown, TracePayloads[N]>(name);
  const on = (step: Step) => (payload: TracePayloads[N]) => onStep(step, payload);
  const subscribers = {
    start: on('start'),
    end: on('end'),
    asyncStart: on('asyncStart'),
    asyncEnd: on('asyncEnd'),
    error: on('error'),
  };
  channel.subscribe(subscribers);
  undo.push(() => channel.unsubscribe(subscribers));
}

/** Payloads as they are when all is known. */
function ends<N extends keyof TracePayloads>(name: N): TracePayloads[N][] {
  const seen: TracePayloads[N][] = [];
  follow(name, (step, payload) => {
    if (step === 'asyncEnd') seen.push({ ...payload });
  });
  return seen;
}

describe('sending', () => {
  it('is told from when the record is queued until its fate is known', async () => {
    const steps: string[] = [];
    follow('kappalog:producer:send', (step, { metadata }) => steps.push(`${step} ${metadata?.offset}`));
    const sent = client.producer().send({ topic, value: 'a' });
    expect(steps).toEqual(['start undefined', 'end undefined']);
    await brokers.msUntil(sent);
    expect(steps).toEqual(['start undefined', 'end undefined', 'asyncStart 0', 'asyncEnd 0']);
  });

  it('sends what a subscriber puts in the place of the record', async () => {
    follow('kappalog:producer:send', (step, payload) => {
      if (step === 'start') payload.record = { ...payload.record, value: 'other' };
    });
    await brokers.msUntil(client.producer().send({ topic, value: 'a' }));
    expect(brokers.partitions[0]!.values).toEqual(['other']);
  });

  it('tells of what is refused, and of what fails', async () => {
    const seen: string[] = [];
    follow('kappalog:producer:send', (step, { error }) => {
      seen.push(`${step} ${error instanceof KafkaError ? error.code : 'undefined'}`);
    });
    const producer = client.producer({ deliveryTimeoutMs: 1_000, requestTimeoutMs: 500 });
    await brokers.msUntil(producer.send({ topic, value: 'first' }));
    seen.length = 0;
    expect(() => producer.add({ topic, value: 'a', partition: -1 })).toThrow('partition');
    expect(seen.splice(0)).toEqual(['start undefined', 'error INVALID_ARGUMENT', 'end INVALID_ARGUMENT']);
    brokers.freeze(1);
    producer.add({ topic, value: 'a' });
    await brokers.clock.advanceAsync(2_000);
    expect(seen).toEqual([
      'start undefined',
      'end undefined',
      'error TIMED_OUT',
      'asyncStart TIMED_OUT',
      'asyncEnd TIMED_OUT',
    ]);
    brokers.thaw(1);
    // To look on is not to ask: the failure is still reported.
    await expect(producer.flush()).rejects.toMatchObject({ code: 'TIMED_OUT' });
  });
});

describe('what goes on below', () => {
  it('is told: connections, requests, metadata, fetches, receiving, rebalances and commits', async () => {
    const connections = ends('kappalog:connection:open');
    const requests = ends('kappalog:connection:request');
    const refreshes = ends('kappalog:metadata:refresh');
    const fetches = ends('kappalog:consumer:fetch');
    const received = ends('kappalog:consumer:receive');
    const rebalances = ends('kappalog:consumer:rebalance');
    const commits = ends('kappalog:consumer:commit');
    await brokers.msUntil(client.producer().send({ topic, value: 'a' }));
    const consumer = client.consumer({ groupId: 'g', topics: [topic] });
    await brokers.msUntil(consumer.messages().next());
    await brokers.msUntil(consumer.close());
    expect(connections).toContainEqual({
      clientId: 'tests',
      peer: 'broker 1 at fake-1:9092',
      host: 'fake-1',
      port: 9092,
    });
    const produce = requests.find(({ api }) => api === 'Produce');
    expect(produce).toMatchObject({
      clientId: 'tests',
      apiKey: 0,
      apiVersion: 9,
      peer: 'broker 1 at fake-1:9092',
    });
    expect(requests.map(({ api }) => api)).toContain('JoinGroup');
    expect(refreshes.flatMap(({ topics }) => topics)).toContain(topic);
    expect(fetches[0]).toMatchObject({ clientId: 'tests', groupId: 'g', nodeId: 1, partitionCount: 1 });
    expect(received.map(({ groupId, messages }) => [groupId, messages.map(({ offset }) => offset)])).toEqual([
      ['g', [0]],
    ]);
    const partitions = [{ topic, partition: 0 }];
    expect(rebalances).toMatchObject([{ kind: 'assigned', groupId: 'g', partitions }]);
    expect(commits).toMatchObject([{ groupId: 'g', offsets: [{ offset: 0 }] }]);
  });

  it('tells which offsets are committed', async () => {
    const commits = ends('kappalog:consumer:commit');
    await brokers.msUntil(client.producer().send({ topic, value: 'a' }));
    const consumer = client.consumer({ groupId: 'g', topics: [topic] });
    const first = consumer.messages().next();
    await brokers.msUntil(first);
    await brokers.msUntil(consumer.commit((await first).value ?? []));
    expect(commits).toEqual([
      { clientId: 'tests', groupId: 'g', offsets: [{ topic, partition: 0, offset: 1 }] },
    ]);
  });

  it('tells of lost connections, and not of those that are closed', async () => {
    const lost: unknown[] = [];
    const note = (event: unknown): void => void lost.push(event);
    subscribe('kappalog:connection:lost', note);
    undo.push(() => unsubscribe('kappalog:connection:lost', note));
    await brokers.msUntil(client.producer().send({ topic, value: 'a' }));
    await brokers.end(1);
    await brokers.clock.advanceAsync(100);
    expect(lost).toContainEqual(
      expect.objectContaining({
        clientId: 'tests',
        error: expect.objectContaining({ code: 'CONNECTION_FAILED' }),
      }),
    );
    lost.length = 0;
    await brokers.begin(1);
    await brokers.msUntil(client.producer().send({ topic, value: 'a' }));
    await brokers.msUntil(client.close());
    expect(lost).toEqual([]);
  });
});

describe('handling', () => {
  it('is told message by message, with what it ended in', async () => {
    const steps: string[] = [];
    follow('kappalog:consumer:process', (step, { messages, groupId, error }) => {
      steps.push(`${step} ${groupId} ${messages[0]!.offset} ${error instanceof Error ? error.message : ''}`);
    });
    await brokers.msUntil(client.producer().send({ topic, value: 'a' }));
    const consumer = client.consumer({ groupId: 'g', topics: [topic] });
    const handled = consumer.each(() => Promise.reject(new Error('mine')));
    await expect(brokers.msUntil(handled)).rejects.toThrow('mine');
    expect(steps).toEqual([
      'start g 0 ',
      'end g 0 ',
      'error g 0 mine',
      'asyncStart g 0 mine',
      'asyncEnd g 0 mine',
    ]);
  });
});
