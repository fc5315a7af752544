import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ErrorCode } from '../../protocol/index.ts';
import { EmbeddedCluster } from './embedded-cluster.ts';
import { produceOf } from './embedded.ts';

const { NONE, NOT_ENOUGH_REPLICAS } = ErrorCode;
const topic = 'strict';

let cluster: EmbeddedCluster;

beforeAll(async () => {
  cluster = await EmbeddedCluster.start();
  const connection = await cluster.connect(1);
  const assignments = [{ partitionIndex: 0, brokerIds: [1, 2, 3] }];
  const configs = [{ name: 'min.insync.replicas', value: '3' }];
  const made = await connection.call('CreateTopics', 7, {
    topics: [{ name: topic, numPartitions: -1, replicationFactor: -1, assignments, configs }],
    timeoutMs: 10_000,
  });
  expect(made.topics[0]).toMatchObject({ errorCode: NONE });
}, 30_000);

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

async function write(acks: number): Promise<number> {
  const connection = await cluster.connect(1);
  const { responses } = await connection.call('Produce', 12, { ...produceOf(topic, ['x']), acks });
  return responses[0]!.partitionResponses[0]!.errorCode;
}

describe('min.insync.replicas', () => {
  it('does not count a node that has stopped, and counts it when it is back', async () => {
    await vi.waitFor(async () => expect(await write(-1)).toBe(NONE), { timeout: 10_000, interval: 50 });
    const connection = await cluster.connect(1);
    const endOffset = async (): Promise<number> => {
      const { topics } = await connection.call('ListOffsets', 6, {
        replicaId: -1,
        isolationLevel: 0,
        topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
      });
      return topics[0]!.partitions[0]!.offset;
    };
    const before = await endOffset();
    await cluster.stopNode(3);
    await vi.waitFor(async () => {
      const { topics } = await connection.call('Metadata', 9, { topics: [{ name: topic }] });
      expect(topics[0]!.partitions[0]!.isrNodes).toEqual([1, 2]);
    });
    // Far less than replica.lag.time.max.ms, after which a leader notices by itself.
    expect(await write(-1)).toBe(NOT_ENOUGH_REPLICAS);
    // Refused before it was appended; and who does not ask for so much goes on.
    expect(await endOffset()).toBe(before);
    expect(await write(1)).toBe(NONE);
    await cluster.startNode(3);
    await vi.waitFor(async () => expect(await write(-1)).toBe(NONE), { timeout: 20_000, interval: 100 });
    expect(await endOffset()).toBe(before + 2);
  }, 40_000);
});
