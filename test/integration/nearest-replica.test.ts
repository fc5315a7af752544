/** Reading from a replica in the reader's own rack (KIP-392), on the wire. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { MemoryDisk } from '../../platform/memory-disk.ts';
import { decodeBatch, ErrorCode, iterateBatches } from '../../protocol/index.ts';
import type { FetchResponse } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { DiskGate, fetchOf, fetchVersion, produceOf, produceVersion } from './embedded.ts';

type Partition = FetchResponse['responses'][number]['partitions'][number];

const { NONE, NOT_LEADER_OR_FOLLOWER, OFFSET_NOT_AVAILABLE, OFFSET_OUT_OF_RANGE } = ErrorCode;
const settings = {
  'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
  'auto.leader.rebalance.enable': 'false',
};
const within = { timeout: 10_000, interval: 50 };

let cluster: EmbeddedCluster;
const gates = new Map([1, 2, 3].map((id) => [id, new DiskGate()]));

beforeAll(async () => {
  const disks = new Map([...gates].map(([id, { delay }]) => [id, new MemoryDisk({ delay })]));
  cluster = await EmbeddedCluster.start({ settings }, disks, (id) => ({ rack: `r${id}` }));
}, 30_000);

afterAll(async () => {
  for (const gate of gates.values()) gate.open();
  await cluster[Symbol.asyncDispose]();
});

/** A topic of one partition that the first of these leads, with three records that all of its replicas know to be committed. */
async function topicOn(topic: string, brokerIds: number[]): Promise<void> {
  const connection = await cluster.connect(1);
  const made = await connection.call('CreateTopics', 7, {
    topics: [
      {
        name: topic,
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 0, brokerIds }],
        configs: [],
      },
    ],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]).toMatchObject({ errorCode: NONE });
  await vi.waitFor(
    async () => expect(await produce(brokerIds[0]!, topic, ['a', 'b', 'c'])).toBe(NONE),
    within,
  );
  for (const id of brokerIds.slice(1)) {
    await vi.waitFor(async () => expect((await read(id, topic, 3)).highWatermark).toBe(3), within);
  }
}

async function produce(node: number, topic: string, values: string[]): Promise<number> {
  const connection = await cluster.connect(node);
  const answer = await connection.call('Produce', produceVersion, produceOf(topic, values));
  return answer.responses[0]!.partitionResponses[0]!.errorCode;
}

interface Asking {
  readonly rackId?: string;
  readonly version?: number;
  readonly lastFetchedEpoch?: number;
}

/** As a client of the node's own rack, unless told. */
async function read(
  node: number,
  topic: string,
  fetchOffset: number,
  asking: Asking = {},
): Promise<Partition> {
  const { rackId = `r${node}`, version = fetchVersion, lastFetchedEpoch = -1 } = asking;
  const connection = await cluster.connect(node);
  const request = fetchOf(topic, [{ fetchOffset }], { rackId });
  const topics = request.topics!.map((asked) => ({
    ...asked,
    partitions: asked.partitions!.map((partition) => ({ ...partition, lastFetchedEpoch })),
  }));
  const answer = await connection.call('Fetch', version, { ...request, topics });
  return answer.responses[0]!.partitions[0]!;
}

const valuesOf = ({ records }: Partition): string[] =>
  [...iterateBatches(records ?? Buffer.alloc(0))].flatMap(({ bytes }) =>
    decodeBatch(bytes).map(({ value }) => String(value)),
  );

describe('a leader', () => {
  beforeAll(() => topicOn('near', [1, 2, 3]));

  it('names the follower in the rack of the client, which serves it what is committed', async () => {
    for (const [rackId, node] of [
      ['r2', 2],
      ['r3', 3],
    ] as const) {
      const named = await read(1, 'near', 0, { rackId });
      expect(named).toMatchObject({ errorCode: NONE, preferredReadReplica: node, highWatermark: 3 });
      expect(valuesOf(named)).toEqual([]);
      const served = await read(node, 'near', 0);
      expect(served).toMatchObject({ errorCode: NONE, preferredReadReplica: -1, highWatermark: 3 });
      expect(valuesOf(served)).toEqual(['a', 'b', 'c']);
    }
  });

  it.each<[string, Asking]>([
    ['says no rack', { rackId: '' }],
    ['is in a rack where no replica is', { rackId: 'elsewhere' }],
    ["is in the leader's own rack", { rackId: 'r1' }],
  ])('serves a client that %s itself', async (_, asking) => {
    const served = await read(1, 'near', 1, asking);
    expect(served).toMatchObject({ errorCode: NONE, preferredReadReplica: -1 });
    expect(valuesOf(served)).toEqual(['a', 'b', 'c']);
  });

  it.each(['', 'r1', 'r3', 'elsewhere'])(
    'is who a follower sends a client of rack "%s" to',
    async (rackId) => {
      expect(await read(2, 'near', 0, { rackId })).toMatchObject({
        errorCode: NOT_LEADER_OR_FOLLOWER,
        currentLeader: { leaderId: 1 },
      });
    },
  );

  it('answers an offset that is out of range itself', async () => {
    expect(await read(1, 'near', 4, { rackId: 'r2' })).toMatchObject({
      errorCode: OFFSET_OUT_OF_RANGE,
      preferredReadReplica: -1,
    });
  });
});

describe('a follower', () => {
  it('is asked for what it knows to be committed, and for nothing else, be it in sync', async () => {
    await topicOn('behind', [1, 2, 3]);
    const gate = gates.get(2)!;
    const held = gate.hold((operation, path) => operation === 'write' && /\/behind-0\/.*\.log$/.test(path));
    // Committed by the leader and the third node.
    expect(await produce(1, 'behind', ['d'])).toBe(NONE);
    await held;
    const { topics } = await (
      await cluster.connect(1)
    ).call('Metadata', 9, { topics: [{ name: 'behind' }], allowAutoTopicCreation: false });
    expect(topics[0]!.partitions[0]!.isrNodes).toContain(2);
    expect(await read(1, 'behind', 3, { rackId: 'r2' })).toMatchObject({ preferredReadReplica: 2 });
    const own = await read(1, 'behind', 4, { rackId: 'r2' });
    expect(own).toMatchObject({ errorCode: NONE, preferredReadReplica: -1, highWatermark: 4 });
    expect(await read(2, 'behind', 4)).toMatchObject({ errorCode: OFFSET_NOT_AVAILABLE });
    gate.open();
    await vi.waitFor(
      async () =>
        expect(await read(1, 'behind', 4, { rackId: 'r2' })).toMatchObject({ preferredReadReplica: 2 }),
      within,
    );
    expect(valuesOf(await read(2, 'behind', 3))).toEqual(['d']);
  });

  it('gives nothing that it has and that is not committed', async () => {
    await topicOn('bound', [1, 2]);
    const gate = gates.get(2)!;
    const held = gate.hold((operation, path) => operation === 'write' && /\/bound-0\/.*\.log$/.test(path));
    const produced = produce(1, 'bound', ['d']);
    await held;
    for (const node of [2, 1]) {
      const answer = await read(node, 'bound', 0);
      expect(answer).toMatchObject({ errorCode: NONE, highWatermark: 3, lastStableOffset: 3 });
      expect(valuesOf(answer)).toEqual(['a', 'b', 'c']);
    }
    expect(valuesOf(await read(2, 'bound', 3))).toEqual([]);
    gate.open();
    expect(await produced).toBe(NONE);
    await vi.waitFor(async () => expect(valuesOf(await read(2, 'bound', 3))).toEqual(['d']), within);
  });

  it('does not know what is beyond its high watermark, an epoch that it has not seen included', async () => {
    await topicOn('beyond', [1, 2, 3]);
    for (const asking of [{}, { lastFetchedEpoch: 1_000 }]) {
      expect(await read(2, 'beyond', 4, asking)).toMatchObject({
        errorCode: OFFSET_NOT_AVAILABLE,
        divergingEpoch: { epoch: -1, endOffset: -1 },
      });
    }
  });

  it('says that an offset is out of range below the start of its log', async () => {
    await topicOn('deleted', [1, 2, 3]);
    const connection = await cluster.connect(1);
    const partitions = [{ partitionIndex: 0, offset: 2 }];
    const deleted = await connection.call('DeleteRecords', 2, {
      topics: [{ name: 'deleted', partitions }],
      timeoutMs: 10_000,
    });
    expect(deleted.topics[0]!.partitions[0]!.errorCode).toBe(NONE);
    await vi.waitFor(
      async () => expect(await read(2, 'deleted', 1)).toMatchObject({ errorCode: OFFSET_OUT_OF_RANGE }),
      within,
    );
    expect(await read(1, 'deleted', 1, { rackId: 'r2' })).toMatchObject({
      errorCode: OFFSET_OUT_OF_RANGE,
      preferredReadReplica: -1,
    });
    expect(await read(1, 'deleted', 2, { rackId: 'r2' })).toMatchObject({ preferredReadReplica: 2 });
  });

  it('that is stopped is named no more', async () => {
    await topicOn('stopped', [1, 2, 3]);
    expect(await read(1, 'stopped', 0, { rackId: 'r3' })).toMatchObject({ preferredReadReplica: 3 });
    await cluster.stopNode(3);
    await vi.waitFor(
      async () => expect(valuesOf(await read(1, 'stopped', 0, { rackId: 'r3' }))).toEqual(['a', 'b', 'c']),
      within,
    );
    await cluster.startNode(3);
    await vi.waitFor(
      async () =>
        expect(await read(1, 'stopped', 0, { rackId: 'r3' })).toMatchObject({ preferredReadReplica: 3 }),
      { timeout: 30_000, interval: 100 },
    );
  });
});
