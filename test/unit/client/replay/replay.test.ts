import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker, type Broker } from '../../../../broker/index.ts';
import {
  Kappalog,
  readProvenance,
  ReplayError,
  type Message,
  type MessageInput,
  type ReplayOptions,
} from '../../../../client/index.ts';

const start = Date.UTC(2026, 0, 1);

let broker: Broker;
let client: Kappalog;

beforeAll(async () => {
  broker = await startBroker({ port: 0, storage: 'memory' });
  client = new Kappalog({ brokers: `127.0.0.1:${broker.port}` });
});
afterAll(async () => {
  await client.close();
  await broker.close();
});

async function createTopic(name: string, partitions: number): Promise<void> {
  await using admin = client.admin();
  await admin.createTopics([{ name, partitions }]);
}

async function write(topic: string, messages: readonly MessageInput[]): Promise<void> {
  await using producer = client.producer();
  await producer.sendMany(topic, messages);
}

/** Row i goes to partition i % partitions, a second after the row before it. */
function numbered(count: number, partitions: number, first = 0): MessageInput[] {
  return Array.from({ length: count }, (_, index) => ({
    key: `k${(first + index) % 10}`,
    value: String(first + index),
    timestamp: start + (first + index) * 1000,
    partition: (first + index) % partitions,
  }));
}

/** All that a topic holds. */
async function readAll(topic: string): Promise<Message[]> {
  const messages: Message[] = [];
  await client.replay({ topic }).run((message) => void messages.push(message));
  return messages;
}

const rowOf = (message: Message): number => Number(message.value);
const sorted = (rows: readonly number[]): number[] => [...rows].sort((a, b) => a - b);
const range = (from: number, until: number): number[] =>
  Array.from({ length: until - from }, (_, index) => from + index);

async function groupIds(): Promise<string[]> {
  await using admin = client.admin();
  return (await admin.listGroups()).map((group) => group.groupId);
}

describe('a replay to a handler', () => {
  beforeAll(async () => {
    await createTopic('numbers', 3);
    await write('numbers', numbered(300, 3));
  });

  it('hands out every record once, in order within its partition', async () => {
    const seen: Message[] = [];
    const result = await client.replay({ topic: 'numbers' }).run((message) => void seen.push(message));
    expect(result).toMatchObject({
      state: 'done',
      counts: { read: 300, written: 300, filtered: 0, skipped: 0 },
      recordsRemaining: 0,
    });
    expect(sorted(seen.map(rowOf))).toEqual(range(0, 300));
    for (const partition of [0, 1, 2]) {
      const rows = seen.filter((message) => message.partition === partition).map(rowOf);
      expect(rows).toEqual(sorted(rows));
    }
  });

  it('waits for the promise of one record before the next', async () => {
    const events: string[] = [];
    await client.replay({ topic: 'numbers', partitions: [1], until: 3 }).run(async (message) => {
      events.push(`begin ${message.offset}`);
      await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
      events.push(`end ${message.offset}`);
    });
    expect(events).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1', 'begin 2', 'end 2']);
  });

  it('filters and transforms, with and without promises', async () => {
    const filters: NonNullable<ReplayOptions['filter']>[] = [
      (message) => rowOf(message) < 6,
      async (message) => rowOf(message) < 6,
    ];
    const transforms: NonNullable<ReplayOptions['transform']>[] = [
      (message) => (rowOf(message) === 2 ? null : { value: `<${String(message.value)}>`, key: message.key }),
      async (message) =>
        rowOf(message) === 2 ? null : { value: `<${String(message.value)}>`, key: message.key },
    ];
    for (const filter of filters) {
      for (const transform of transforms) {
        const values: string[] = [];
        const result = await client
          .replay({ topic: 'numbers', filter, transform })
          .run((message) => void values.push(String(message.value)));
        expect(values.sort()).toEqual(['<0>', '<1>', '<3>', '<4>', '<5>']);
        expect(result.counts).toEqual({ read: 300, written: 5, filtered: 295, skipped: 0 });
      }
    }
  });

  it('merges partitions in order of time where the original timing is kept', async () => {
    const rows: number[] = [];
    await client
      .replay({ topic: 'numbers', pace: { speed: 1e6 } })
      .run((message) => void rows.push(rowOf(message)));
    expect(rows).toEqual(range(0, 300));
  });

  it('is planned without leaving anything behind', async () => {
    const plan = await client
      .replay({
        topic: 'numbers',
        id: 'only-planned',
        from: { timestamp: start + 30_000 },
        until: { timestamp: start + 60_000 },
      })
      .plan();
    expect(plan).toMatchObject({
      records: 30,
      recordsRemaining: 30,
      resumed: false,
      partitions: [0, 1, 2].map((partition) => ({
        partition,
        start: 10,
        end: 20,
        position: 10,
        logStart: 0,
        highWatermark: 100,
        missing: 0,
      })),
    });
    expect(await groupIds()).not.toContain('__replay-only-planned');
  });

  it('tells its progress until it has ended', async () => {
    const replay = client.replay({ topic: 'numbers' });
    const states: string[] = [];
    const watching = (async () => {
      for await (const progress of replay.updates({ intervalMs: 1 })) states.push(progress.state);
    })();
    await replay.run(() => undefined);
    await watching;
    expect(states.at(-1)).toBe('done');
    expect(new Set(states.slice(0, -1))).not.toContain('done');
    expect(replay.progress()).toMatchObject({
      state: 'done',
      counts: { read: 300 },
      timestamp: expect.any(Number),
    });
  });
});

describe('a replay that is interrupted', () => {
  it('goes on exactly where it was, up to the end that it had when it began', async () => {
    await createTopic('growing', 2);
    await write('growing', numbered(100, 2));
    const seen: number[] = [];
    const stop = new AbortController();
    const first = await client.replay({ topic: 'growing', id: 'grow' }).run(
      (message) => {
        seen.push(rowOf(message));
        if (seen.length === 37) stop.abort();
      },
      { signal: stop.signal },
    );
    expect(first).toMatchObject({ state: 'interrupted', counts: { written: 37 }, recordsRemaining: 63 });
    await write('growing', numbered(50, 2, 100));
    const second = client.replay({ topic: 'growing', id: 'grow' });
    expect(await second.plan()).toMatchObject({ resumed: true, records: 100, recordsRemaining: 63 });
    const result = await second.run((message) => void seen.push(rowOf(message)));
    expect(result).toMatchObject({ state: 'done', counts: { read: 100, written: 100 } });
    expect(sorted(seen)).toEqual(range(0, 100));
    await second.forget();
    expect(await groupIds()).not.toContain('__replay-grow');
  });

  it('ends a wait for its pace at once', async () => {
    await createTopic('paced', 1);
    await write('paced', numbered(10, 1));
    const stop = new AbortController();
    const rows: number[] = [];
    const result = await client.replay({ topic: 'paced', pace: { recordsPerSecond: 0.001 } }).run(
      (message) => {
        rows.push(rowOf(message));
        queueMicrotask(() => stop.abort());
      },
      { signal: stop.signal },
    );
    expect(result).toMatchObject({ state: 'interrupted', recordsRemaining: 9 });
    expect(rows).toEqual([0]);
  });

  it('flushes the sink before its progress is durable', async () => {
    await createTopic('flushed', 1);
    await write('flushed', numbered(20, 1));
    await using admin = client.admin();
    let handled = 0;
    let flushed = 0;
    const committedBeyondFlush: boolean[] = [];
    await client.replay({ topic: 'flushed', id: 'flush', checkpointIntervalMs: 0 }).run({
      async handle() {
        const [offset] = await admin.fetchGroupOffsets('__replay-flush');
        committedBeyondFlush.push((offset?.offset ?? 0) > flushed);
        handled += 1;
      },
      async flush() {
        flushed = handled;
      },
    });
    expect(committedBeyondFlush).toEqual(Array.from({ length: 20 }, () => false));
    expect(flushed).toBe(20);
  });
});

describe('a record that cannot be handled', () => {
  beforeAll(async () => {
    await createTopic('faulty', 1);
    await write('faulty', numbered(20, 1));
  });

  it.each([
    ['filter', { filter: (message: Message) => failAt(message, true) }],
    ['filter with a promise', { filter: async (message: Message) => failAt(message, true) }],
    ['transform', { transform: (message: Message) => failAt(message, message) }],
    ['transform with a promise', { transform: async (message: Message) => failAt(message, message) }],
  ])('stops the replay before it, with its coordinates (%s)', async (name, functions) => {
    const rows: number[] = [];
    const options = { topic: 'faulty', id: `stops-${name.replaceAll(' ', '-')}`, ...functions };
    const failure = await client
      .replay(options)
      .run((message) => void rows.push(rowOf(message)))
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ReplayError);
    expect(failure).toMatchObject({
      code: 'RECORD_FAILED',
      record: { topic: 'faulty', partition: 0, offset: 13 },
    });
    expect(rows).toEqual(range(0, 13));
    expect(await client.replay(options).plan()).toMatchObject({ recordsRemaining: 7 });
  });

  it('is the one at which the handler threw', async () => {
    const failure = await client
      .replay({ topic: 'faulty' })
      .run((message) => void failAt(message, 0))
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'RECORD_FAILED',
      record: { offset: 13 },
      message: expect.stringContaining('thirteen'),
    });
  });

  it('is left out and reported with onError skip', async () => {
    const rows: number[] = [];
    const skipped: (number | undefined)[] = [];
    const result = await client
      .replay({
        topic: 'faulty',
        onError: 'skip',
        onSkip: (error) => skipped.push(error.record?.offset),
        filter: (message) => failAt(message, true),
      })
      .run((message) => void rows.push(rowOf(message)));
    expect(result.counts).toEqual({ read: 20, written: 19, filtered: 0, skipped: 1 });
    expect({ skipped, rows }).toEqual({ skipped: [13], rows: range(0, 20).filter((row) => row !== 13) });
  });

  function failAt<T>(message: Message, value: T): T {
    if (message.offset === 13) throw new Error('thirteen');
    return value;
  }
});

describe('a replay into a topic', () => {
  it('copies many records exactly, with their provenance', async () => {
    await createTopic('big', 4);
    await write('big', numbered(20_000, 4));
    const result = await client
      .replay({
        topic: 'big',
        id: 'big-copy',
        destination: { topic: 'big-copy', create: true, compression: 'lz4' },
      })
      .run();
    expect(result).toMatchObject({ state: 'done', counts: { written: 20_000 } });
    const [source, copy] = await Promise.all([readAll('big'), readAll('big-copy')]);
    const coordinates = ({ partition, offset, timestamp, key, value }: Message) =>
      `${partition} ${offset} ${timestamp} ${String(key)} ${String(value)}`;
    expect(copy.map(coordinates).sort()).toEqual(source.map(coordinates).sort());
    for (const message of copy) {
      expect(readProvenance(message.headers)).toEqual({
        replayId: 'big-copy',
        topic: 'big',
        partition: message.partition,
        offset: message.offset,
      });
    }
  });

  it('goes on after an interruption without repeating or losing a record', async () => {
    const options = { topic: 'big', id: 'twice', destination: { topic: 'twice', create: true } };
    const stop = new AbortController();
    let count = 0;
    const filter = (): boolean => {
      count += 1;
      if (count === 7_777) stop.abort();
      return true;
    };
    const first = await client.replay({ ...options, filter }).run(undefined, { signal: stop.signal });
    expect(first.state).toBe('interrupted');
    const second = await client.replay(options).run();
    expect(second).toMatchObject({ state: 'done', counts: { read: 20_000, written: 20_000 } });
    expect(sorted((await readAll('twice')).map(rowOf))).toEqual(range(0, 20_000));
  });

  it('partitions by key like a producer where the numbers of partitions differ', async () => {
    await createTopic('by-key', 2);
    await createTopic('by-producer', 2);
    const transform = (message: Message) => ({ ...message, value: String(message.value) });
    await client.replay({ topic: 'big', until: 25, destination: { topic: 'by-key' } }).run();
    await client
      .replay({ topic: 'big', from: 25, until: 50, transform, destination: { topic: 'by-key' } })
      .run();
    const copy = await readAll('by-key');
    await write(
      'by-producer',
      copy.map(({ key, value }) => ({ key, value })),
    );
    const places = (messages: readonly Message[]) =>
      new Map(messages.map((message) => [rowOf(message), message.partition]));
    expect(places(copy)).toEqual(places(await readAll('by-producer')));
    expect(copy).toHaveLength(200);
  });

  it('fails when the destination goes away, and keeps what was acknowledged', async () => {
    await createTopic('vanishing', 4);
    await using admin = client.admin();
    const impatient = new Kappalog({
      brokers: `127.0.0.1:${broker.port}`,
      requestTimeoutMs: 2_000,
      retry: { timeoutMs: 2_000 },
    });
    let count = 0;
    const filter = async (): Promise<boolean> => {
      count += 1;
      if (count === 5_000) await admin.deleteTopics(['vanishing']);
      return true;
    };
    const failure = await impatient
      .replay({
        topic: 'big',
        id: 'vanish',
        filter,
        destination: { topic: 'vanishing', deliveryTimeoutMs: 3_000 },
      })
      .run()
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: expect.stringMatching(/UNKNOWN_TOPIC|TIMED_OUT|NOT_LEADER/) });
    await impatient.close();
    expect(
      await client
        .replay({ topic: 'big', id: 'vanish', filter, destination: { topic: 'vanishing', create: true } })
        .plan(),
    ).toMatchObject({ resumed: true });
  });

  it.each([
    ['its own source', { topic: 'big' }, 'OWN_SOURCE'],
    ['a topic that does not exist', { topic: 'no-such-topic' }, 'UNKNOWN_DESTINATION'],
    [
      'too few partitions to keep their numbers',
      { topic: 'by-key', partitioning: 'source' },
      'INVALID_OPTION',
    ],
  ] as const)('refuses %s', async (_, destination, code) => {
    const replaying = async () => client.replay({ topic: 'big', destination }).plan();
    await expect(replaying()).rejects.toMatchObject({ code });
  });
});

describe('a range', () => {
  it('by time leaves out what is outside of it, and reads on for late records where told to', async () => {
    await createTopic('late', 1);
    // Row 3 was written behind row 8, row 7 before row 4.
    const order = [0, 1, 2, 7, 4, 5, 6, 8, 3, 9];
    await write(
      'late',
      order.map((row) => ({ value: String(row), timestamp: start + row * 1000 })),
    );
    const read = async (outOfOrder: boolean): Promise<number[]> => {
      const rows: number[] = [];
      const bounds = { from: { timestamp: start + 3000 }, until: { timestamp: start + 8000 } };
      await client
        .replay({ topic: 'late', outOfOrder, ...bounds })
        .run((message) => void rows.push(rowOf(message)));
      return rows;
    };
    expect(await read(false)).toEqual([7, 4, 5, 6]);
    expect(await read(true)).toEqual([7, 4, 5, 6, 3]);
  });

  it.each([
    [{ from: 5, until: 3 }, 'EMPTY_RANGE'],
    [{ from: { timestamp: 5 }, until: { timestamp: 3 } }, 'EMPTY_RANGE'],
    [{ from: 'end' }, 'EMPTY_RANGE'],
    [{ partitions: [7] }, 'UNKNOWN_PARTITION'],
    [{ id: 'no spaces' }, 'INVALID_OPTION'],
    [{ pace: { recordsPerSecond: 0 } }, 'INVALID_OPTION'],
  ] as const)('is refused where it makes no sense: %j', async (options, code) => {
    await expect((async () => client.replay({ topic: 'late', ...options }).plan())()).rejects.toMatchObject({
      code,
    });
  });

  it('that is empty is done at once', async () => {
    const result = await client.replay({ topic: 'late', from: 10 }).run(() => undefined);
    expect(result).toMatchObject({ state: 'done', records: 0, counts: { read: 0 } });
  });
});
