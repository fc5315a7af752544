import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { decodeBatch, ErrorCode, iterateBatches } from '../../protocol/index.ts';
import type { FetchResponse } from '../../protocol/index.ts';
import {
  createTopic,
  DiskGate,
  embed,
  fetchOf,
  fetchVersion,
  produceOf,
  produceVersion,
} from './embedded.ts';

type Partition = FetchResponse['responses'][number]['partitions'][number];

const valuesOf = ({ records }: Partition): string[] =>
  [...iterateBatches(records ?? Buffer.alloc(0))].flatMap(({ bytes }) =>
    decodeBatch(bytes).map(({ value }) => String(value)),
  );

const byIndex = (response: FetchResponse): Map<number, Partition> =>
  new Map(response.responses.flatMap(({ partitions }) => partitions.map((p) => [p.partitionIndex, p])));

describe('a fetch that waits for more', () => {
  it('does not miss what is committed while it reads older batches from the disk', async () => {
    const gate = new DiskGate();
    const disk = new MemoryDisk({ delay: gate.delay });
    {
      await using node = await embed({ disk });
      const connection = await node.connect();
      await createTopic(connection, 't', 2);
      await connection.call('Produce', produceVersion, produceOf('t', ['old']));
    }
    await using node = await embed({ disk, gate });
    const [reader, writer] = [await node.connect(), await node.connect()];
    const held = gate.hold((operation, path) => operation === 'read' && path.includes('/t-0/'));
    const partitions = [
      { partition: 1, fetchOffset: 0 },
      { partition: 0, fetchOffset: 0 },
    ];
    const startedMs = performance.now();
    const fetched = reader.call(
      'Fetch',
      fetchVersion,
      fetchOf('t', partitions, { minBytes: 1000, maxWaitMs: 15_000 }),
    );
    await held;
    const value = 'x'.repeat(2000);
    await writer.call('Produce', produceVersion, produceOf('t', [value], { partition: 1 }));
    gate.open();
    const answers = byIndex(await fetched);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    expect(valuesOf(answers.get(0)!)).toEqual(['old']);
    expect(valuesOf(answers.get(1)!)).toEqual([value]);
  });

  it('asks for no more than an answer may hold', async () => {
    await using node = await embed();
    const connection = await node.connect();
    await createTopic(connection, 't');
    await connection.call('Produce', produceVersion, produceOf('t', ['a']));
    const startedMs = performance.now();
    const limits = { minBytes: 1_000_000, maxBytes: 60, maxWaitMs: 15_000 };
    const answers = byIndex(
      await connection.call('Fetch', fetchVersion, fetchOf('t', [{ fetchOffset: 0 }], limits)),
    );
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    expect(valuesOf(answers.get(0)!)).toEqual(['a']);
  });

  it('ends when its client goes, and when the broker stops', async () => {
    const node = await embed();
    const [gone, waiting] = [await node.connect(), await node.connect()];
    await createTopic(gone, 't');
    const limits = { maxWaitMs: 2 ** 31 - 1 };
    for (const connection of [gone, waiting]) {
      connection.send(connection.frame('Fetch', fetchVersion, fetchOf('t', [{ fetchOffset: 0 }], limits)));
    }
    await gone[Symbol.asyncDispose]();
    const third = await node.connect();
    await third.call('Produce', produceVersion, produceOf('t', ['a']));
    await waiting[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
    expect(node.log.lines.filter((line) => !line.startsWith('info'))).toEqual([]);
  });

  it('does not hold up the stop of the broker', async () => {
    const node = await embed();
    const connection = await node.connect();
    await createTopic(connection, 't');
    const other = await node.connect();
    const limits = { maxWaitMs: 60_000 };
    connection.send(connection.frame('Fetch', fetchVersion, fetchOf('t', [{ fetchOffset: 0 }], limits)));
    expect((await other.call('ApiVersions', 0, {})).errorCode).toBe(ErrorCode.NONE);
    const startedMs = performance.now();
    await node.broker.close();
    expect(performance.now() - startedMs).toBeLessThan(3000);
    await connection.ended;
  });
});

describe('a disk that cannot be read', () => {
  it("is one partition's error, told in the log; the others are answered", async () => {
    let hasFailed = false;
    const disk = new MemoryDisk({
      faults: (operation, path) =>
        hasFailed && operation === 'read' && path.includes('/t-1/') ? 'io' : undefined,
    });
    {
      await using node = await embed({ disk });
      const connection = await node.connect();
      await createTopic(connection, 't', 3);
      for (const partition of [0, 1, 2]) {
        await connection.call('Produce', produceVersion, produceOf('t', [`in ${partition}`], { partition }));
      }
    }
    await using node = await embed({ disk });
    const connection = await node.connect();
    hasFailed = true;
    const partitions = [0, 1, 2].map((partition) => ({ partition, fetchOffset: 0 }));
    const answers = byIndex(await connection.call('Fetch', fetchVersion, fetchOf('t', partitions)));
    expect([0, 1, 2].map((index) => answers.get(index)!.errorCode)).toEqual([
      ErrorCode.NONE,
      ErrorCode.KAFKA_STORAGE_ERROR,
      ErrorCode.NONE,
    ]);
    expect([0, 2].flatMap((index) => valuesOf(answers.get(index)!))).toEqual(['in 0', 'in 2']);
    expect(node.log.lines).toContain('error: the log of t-1 could not be read');
  });
});

describe('what a fetch gives', () => {
  it('is the whole batch that an offset lies in, whole beyond the limits, then by turns', async () => {
    await using node = await embed();
    const connection = await node.connect();
    await createTopic(connection, 't', 2);
    const large = 'x'.repeat(50_000);
    for (const partition of [0, 1]) {
      await connection.call('Produce', produceVersion, produceOf('t', ['a', 'b', 'c'], { partition }));
      await connection.call('Produce', produceVersion, produceOf('t', [large], { partition }));
    }
    const within = byIndex(
      await connection.call('Fetch', fetchVersion, fetchOf('t', [{ fetchOffset: 1 }], { maxBytes: 1 })),
    );
    expect(valuesOf(within.get(0)!)).toEqual(['a', 'b', 'c']);
    const offset = { fetchOffset: 3, partitionMaxBytes: 10 };
    const session = await connection.call(
      'Fetch',
      fetchVersion,
      fetchOf(
        't',
        [0, 1].map((partition) => ({ partition, ...offset })),
        { maxBytes: 100, sessionEpoch: 0 },
      ),
    );
    expect(session.sessionId).toBeGreaterThan(0);
    expect([...byIndex(session)].map(([index, p]) => [index, valuesOf(p).length])).toEqual([
      [0, 1],
      [1, 0],
    ]);
    const next = await connection.call('Fetch', fetchVersion, {
      ...fetchOf('t', [], { maxBytes: 100, sessionId: session.sessionId, sessionEpoch: 1 }),
      topics: [],
    });
    expect([...byIndex(next)].map(([index, p]) => [index, valuesOf(p)])).toEqual([[1, [large]]]);
    const stale = { sessionId: session.sessionId, sessionEpoch: 1 };
    expect(await connection.call('Fetch', fetchVersion, fetchOf('t', [], stale))).toMatchObject({
      errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH,
      responses: [],
    });
    const unknown = { sessionId: session.sessionId === 1 ? 2 : session.sessionId - 1, sessionEpoch: 1 };
    expect(await connection.call('Fetch', fetchVersion, fetchOf('t', [], unknown))).toMatchObject({
      errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
      responses: [],
    });
  });

  it('is OFFSET_OUT_OF_RANGE outside the log, and nothing with sizes and times that make no sense', async () => {
    await using node = await embed();
    const connection = await node.connect();
    await createTopic(connection, 't');
    await connection.call('Produce', produceVersion, produceOf('t', ['a']));
    for (const fetchOffset of [-1, 2, Number.MAX_SAFE_INTEGER]) {
      const answers = byIndex(await connection.call('Fetch', fetchVersion, fetchOf('t', [{ fetchOffset }])));
      expect(answers.get(0)!.errorCode).toBe(ErrorCode.OFFSET_OUT_OF_RANGE);
    }
    for (const limit of [-1, -(2 ** 31), 2 ** 31 - 1]) {
      const asked = fetchOf('t', [{ fetchOffset: 0, partitionMaxBytes: limit }], {
        maxBytes: limit,
        minBytes: Math.min(limit, 1),
        maxWaitMs: Math.min(limit, 0),
      });
      const answers = byIndex(await connection.call('Fetch', fetchVersion, asked));
      expect(valuesOf(answers.get(0)!)).toEqual(['a']);
    }
  });
});
