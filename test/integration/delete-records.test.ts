/** DeleteRecords and DescribeLogDirs over the wire. */
import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { ErrorCode } from '../../protocol/index.ts';
import {
  DiskGate,
  createTopic,
  embed,
  fetchOf,
  fetchVersion,
  produceOf,
  produceVersion,
} from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

const versions = [0, 1, 2];

function nameOf(code: number): string {
  return Object.entries(ErrorCode).find(([, number]) => number === code)![0];
}

async function fill(connection: WireConnection, topic: string, count: number, partition = 0): Promise<void> {
  for (let at = 0; at < count; at++) {
    const { responses } = await connection.call(
      'Produce',
      produceVersion,
      produceOf(topic, [`value ${at}`], { partition }),
    );
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
  }
}

async function deleteBelow(
  connection: WireConnection,
  topic: string,
  offsets: Readonly<Record<number, number>>,
  options: { version?: number; timeoutMs?: number } = {},
): Promise<[partition: number, error: string, lowWatermark: number][]> {
  const { topics } = await connection.call('DeleteRecords', options.version ?? 2, {
    topics: [
      {
        name: topic,
        partitions: Object.entries(offsets).map(([partition, offset]) => ({
          partitionIndex: Number(partition),
          offset,
        })),
      },
    ],
    timeoutMs: options.timeoutMs ?? 10_000,
  });
  return topics
    .flatMap(({ partitions }) => partitions)
    .map(({ partitionIndex, errorCode, lowWatermark }) => [partitionIndex, nameOf(errorCode), lowWatermark]);
}

async function earliest(connection: WireConnection, topic: string): Promise<number> {
  const { topics } = await connection.call('ListOffsets', 5, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -2, currentLeaderEpoch: -1 }] }],
  });
  return topics[0]!.partitions[0]!.offset;
}

async function fetchAt(connection: WireConnection, topic: string, fetchOffset: number) {
  const answer = await connection.call('Fetch', fetchVersion, fetchOf(topic, [{ fetchOffset }]));
  const { errorCode, logStartOffset, records } = answer.responses[0]!.partitions[0]!;
  return [nameOf(errorCode), logStartOffset, (records?.length ?? 0) > 0];
}

describe('DeleteRecords', () => {
  it.each(versions)('version %i raises the start, for reads, answers and the next start', async (version) => {
    const disk = new MemoryDisk();
    {
      await using node = await embed({ disk });
      const connection = await node.connect();
      await createTopic(connection, 't');
      await fill(connection, 't', 6);
      expect(await deleteBelow(connection, 't', { 0: 4 }, { version })).toEqual([[0, 'NONE', 4]]);
      expect(await earliest(connection, 't')).toBe(4);
      expect(await fetchAt(connection, 't', 3)).toEqual(['OFFSET_OUT_OF_RANGE', -1, false]);
      expect(await fetchAt(connection, 't', 4)).toEqual(['NONE', 4, true]);
      const { responses } = await connection.call('Produce', produceVersion, produceOf('t', ['more']));
      expect(responses[0]!.partitionResponses[0]).toMatchObject({ baseOffset: 6, logStartOffset: 4 });
      // What lies below already, and the offset of the start itself, change nothing.
      expect(await deleteBelow(connection, 't', { 0: 2 }, { version })).toEqual([[0, 'NONE', 4]]);
      expect(await deleteBelow(connection, 't', { 0: -1 }, { version })).toEqual([[0, 'NONE', 7]]);
      expect(await fetchAt(connection, 't', 7)).toEqual(['NONE', 7, false]);
    }
    await using node = await embed({ disk });
    const connection = await node.connect();
    expect(await earliest(connection, 't')).toBe(7);
    await fill(connection, 't', 1);
    expect(await fetchAt(connection, 't', 7)).toEqual(['NONE', 7, true]);
  });

  it('survives a kill right after its answer', async () => {
    const disk = new MemoryDisk();
    const node = await embed({ disk });
    const connection = await node.connect();
    await createTopic(connection, 't');
    await fill(connection, 't', 6);
    expect(await deleteBelow(connection, 't', { 0: 5 })).toEqual([[0, 'NONE', 5]]);
    await using next = await embed({ disk: disk.kill() });
    expect(await earliest(await next.connect(), 't')).toBe(5);
    await node[Symbol.asyncDispose]();
  });

  it('leaves producers known: a batch that is sent again after its deletion is a duplicate', async () => {
    const disk = new MemoryDisk();
    const sequence = { producerId: 7, producerEpoch: 0, baseSequence: 0 };
    const send = async (connection: WireConnection, baseSequence: number) => {
      const request = produceOf('t', ['a', 'b'], { sequence: { ...sequence, baseSequence } });
      const { responses } = await connection.call('Produce', produceVersion, request);
      const { errorCode, baseOffset, logStartOffset } = responses[0]!.partitionResponses[0]!;
      return [nameOf(errorCode), baseOffset, logStartOffset];
    };
    {
      await using node = await embed({ disk });
      const connection = await node.connect();
      await createTopic(connection, 't');
      expect(await send(connection, 0)).toEqual(['NONE', 0, 0]);
      expect(await deleteBelow(connection, 't', { 0: -1 })).toEqual([[0, 'NONE', 2]]);
      expect(await send(connection, 0)).toEqual(['NONE', 0, 2]);
      expect(await send(connection, 6)).toEqual(['OUT_OF_ORDER_SEQUENCE_NUMBER', -1, -1]);
    }
    await using node = await embed({ disk });
    const connection = await node.connect();
    expect(await send(connection, 0)).toEqual(['NONE', 0, 2]);
    expect(await send(connection, 2)).toEqual(['NONE', 2, 2]);
  });

  it('refuses what cannot be deleted, each partition by itself', async () => {
    await using node = await embed();
    const connection = await node.connect();
    await createTopic(connection, 't', 2);
    await fill(connection, 't', 3, 1);
    expect(await deleteBelow(connection, 't', { 0: 1, 1: 2, 2: 0 })).toEqual([
      [0, 'OFFSET_OUT_OF_RANGE', -1],
      [1, 'NONE', 2],
      [2, 'UNKNOWN_TOPIC_OR_PARTITION', -1],
    ]);
    expect(await deleteBelow(connection, 't', { 0: -2 })).toEqual([[0, 'OFFSET_OUT_OF_RANGE', -1]]);
    expect(await deleteBelow(connection, 'none', { 0: 0 })).toEqual([[0, 'UNKNOWN_TOPIC_OR_PARTITION', -1]]);
    expect(await deleteBelow(connection, '__consumer_offsets', { 0: 0 })).toEqual([
      [0, 'INVALID_TOPIC_EXCEPTION', -1],
    ]);
  });

  it.each([
    ['compact', 'POLICY_VIOLATION', -1],
    ['compact,delete', 'NONE', 1],
    ['delete', 'NONE', 1],
  ])('of a topic with the policy %s answers %s', async (policy, error, lowWatermark) => {
    await using node = await embed();
    const connection = await node.connect();
    await createTopic(connection, 't');
    await fill(connection, 't', 2);
    await connection.call('IncrementalAlterConfigs', 0, {
      resources: [
        {
          resourceType: 2,
          resourceName: 't',
          configs: [{ name: 'cleanup.policy', configOperation: 0, value: policy }],
        },
      ],
      validateOnly: false,
    });
    expect(await deleteBelow(connection, 't', { 0: 1 })).toEqual([[0, error, lowWatermark]]);
  });

  it('waits for its commit no longer than it was told', async () => {
    const gate = new DiskGate();
    await using node = await embed({ gate });
    const connection = await node.connect();
    await createTopic(connection, 't');
    await fill(connection, 't', 2);
    const held = gate.hold((operation, path) => operation === 'sync' && path.includes('/t-0/'));
    const answer = deleteBelow(connection, 't', { 0: 2 }, { timeoutMs: 1 });
    await held;
    expect(await answer).toEqual([[0, 'REQUEST_TIMED_OUT', -1]]);
    expect(await earliest(connection, 't')).toBe(0);
    gate.open();
    expect(await deleteBelow(connection, 't', { 0: 2 })).toEqual([[0, 'NONE', 2]]);
  });
});

describe('DescribeLogDirs', () => {
  it.each([1, 2, 3, 4, 5])('version %i tells of directories, partitions and space', async (version) => {
    await using node = await embed({ disk: new MemoryDisk({ capacityBytes: 1e9 }), dataDir: ['/a', '/b'] });
    const connection = await node.connect();
    await createTopic(connection, 't', 2);
    await fill(connection, 't', 3);
    const { results, errorCode } = await connection.call('DescribeLogDirs', version, { topics: null });
    expect(errorCode).toBe(0);
    expect(results.map(({ logDir, errorCode: error }) => [logDir, error])).toEqual([
      ['/a', 0],
      ['/b', 0],
    ]);
    const partitions = results.map(({ topics }) => topics.flatMap((topic) => topic.partitions));
    expect(partitions).toMatchObject([
      [{ partitionIndex: 0, offsetLag: 0, isFutureKey: false }],
      [{ partitionIndex: 1, offsetLag: 0, isFutureKey: false }],
    ]);
    expect(partitions[0]![0]!.partitionSize).toBeGreaterThan(partitions[1]![0]!.partitionSize);
    const [first] = results;
    expect(first!.totalBytes).toBe(version >= 4 ? 1e9 : -1);
    expect(first!.usableBytes > 0 && first!.usableBytes < 1e9).toBe(version >= 4);
    expect(first!.isCordoned).toBe(false);
  });

  it('tells of the partitions that were asked for, and of offline directories', async () => {
    let isBroken = false;
    const disk = new MemoryDisk({
      faults: (operation, path) =>
        isBroken && path === '/b/votes' && operation === 'sync' ? 'io' : undefined,
    });
    await using node = await embed({ disk, dataDir: ['/a', '/b'] });
    const connection = await node.connect();
    await createTopic(connection, 't', 2);
    const ask = async (topics: { topic: string; partitions: number[] }[] | null) => {
      const { results } = await connection.call('DescribeLogDirs', 4, { topics });
      return results.map(({ errorCode, topics: found }) => [
        nameOf(errorCode),
        found.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex }) => `${name}-${partitionIndex}`),
        ),
      ]);
    };
    expect(await ask([{ topic: 't', partitions: [1, 7, 1] }])).toEqual([
      ['NONE', []],
      ['NONE', ['t-1']],
    ]);
    expect(await ask([])).toEqual([
      ['NONE', []],
      ['NONE', []],
    ]);
    isBroken = true;
    await createTopic(connection, 'more', 2);
    expect(await ask(null)).toEqual([
      ['NONE', ['t-0', 'more-0']],
      ['KAFKA_STORAGE_ERROR', []],
    ]);
  });
});
