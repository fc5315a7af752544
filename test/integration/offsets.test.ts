import { describe, expect, it } from 'vitest';
import { decodeBatch, encodeBatch, ErrorCode, iterateBatches } from '../../protocol/index.ts';
import { embed, produceOf, produceVersion } from './embedded.ts';
import type { Embedded } from './embedded.ts';
import type { WireConnection } from './wire-connection.ts';

/** Three batches with these times of their records: offsets 0 to 5. */
const batches = [
  [1000, 3000],
  [9000, 2000],
  [5000, 9000],
];

async function withTopic(
  configs: { name: string; value: string }[] = [],
): Promise<{ node: Embedded; connection: WireConnection; topicId: string }> {
  const node = await embed();
  const connection = await node.connect();
  const settings = [{ name: 'message.timestamp.before.max.ms', value: '9223372036854775807' }, ...configs];
  const { topics } = await connection.call('CreateTopics', 7, {
    topics: [{ name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: settings }],
    timeoutMs: 10_000,
  });
  for (const times of batches) {
    const records = encodeBatch(
      times.map((timestamp) => ({ timestamp, value: Buffer.from(`at ${timestamp}`) })),
    );
    const answer = await connection.call('Produce', produceVersion, {
      ...produceOf('t', []),
      topicData: [{ name: 't', partitionData: [{ index: 0, records }] }],
    });
    expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(ErrorCode.NONE);
  }
  return { node, connection, topicId: topics[0]!.topicId };
}

describe('ListOffsets', () => {
  it('finds the first record at or after a time, the ends, and the first of the latest time', async () => {
    const { node, connection } = await withTopic();
    await using _ = node;
    const ask = async (timestamp: number): Promise<[number, number]> => {
      const { topics } = await connection.call('ListOffsets', 7, {
        replicaId: -1,
        isolationLevel: 0,
        topics: [{ name: 't', partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp }] }],
      });
      const answer = topics[0]!.partitions[0]!;
      expect(answer.errorCode).toBe(ErrorCode.NONE);
      return [answer.offset, answer.timestamp];
    };
    expect(await ask(-2)).toEqual([0, -1]);
    expect(await ask(-1)).toEqual([6, -1]);
    expect(await ask(-3)).toEqual([2, 9000]);
    expect(await ask(0)).toEqual([0, 1000]);
    expect(await ask(1001)).toEqual([1, 3000]);
    expect(await ask(3001)).toEqual([2, 9000]);
    expect(await ask(9001)).toEqual([-1, -1]);
  });
});

describe('OffsetForLeaderEpoch', () => {
  it("ends the leader's own epoch at the log's end, and knows no later one", async () => {
    const { node, connection } = await withTopic();
    await using _ = node;
    const ask = async (leaderEpoch: number) => {
      const { topics } = await connection.call('OffsetForLeaderEpoch', 4, {
        replicaId: -1,
        topics: [{ topic: 't', partitions: [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch }] }],
      });
      const answer = topics[0]!.partitions[0]!;
      return [answer.errorCode, answer.leaderEpoch, answer.endOffset];
    };
    expect(await ask(1)).toEqual([ErrorCode.NONE, 1, 6]);
    expect(await ask(2)).toEqual([ErrorCode.NONE, -1, -1]);
  });
});

describe('Fetch by topic id', () => {
  it('gives what the topic of that id has, and UNKNOWN_TOPIC_ID for one that nobody knows', async () => {
    const { node, connection, topicId } = await withTopic();
    await using _ = node;
    const partitions = [
      {
        partition: 0,
        fetchOffset: 0,
        partitionMaxBytes: 1_000_000,
        currentLeaderEpoch: -1,
        lastFetchedEpoch: -1,
      },
    ];
    const { responses } = await connection.call('Fetch', 13, {
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1_000_000,
      topics: [
        { topicId, partitions },
        { topicId: 'AAAAAAAAAAAAAAAAAAAAZA', partitions },
      ],
    });
    const known = responses.find((topic) => topic.topicId === topicId)!.partitions[0]!;
    const unknown = responses.find((topic) => topic.topicId !== topicId)!.partitions[0]!;
    const values = [...iterateBatches(known.records!)].flatMap(({ bytes }) =>
      decodeBatch(bytes).map(({ offset, value }) => [offset, String(value)]),
    );
    expect(values).toEqual(batches.flat().map((time, offset) => [offset, `at ${time}`]));
    expect(unknown.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID);
  });
});

describe('a topic with LogAppendTime', () => {
  it("gives its records the broker's time, which the answer tells", async () => {
    const { node, connection } = await withTopic([
      { name: 'message.timestamp.type', value: 'LogAppendTime' },
    ]);
    await using _ = node;
    const answer = await connection.call('Produce', produceVersion, produceOf('t', ['a']));
    const { logAppendTimeMs, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
    expect(Math.abs(logAppendTimeMs - Date.now())).toBeLessThan(60_000);
    const { topics } = await connection.call('ListOffsets', 7, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [
        {
          name: 't',
          partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: logAppendTimeMs }],
        },
      ],
    });
    const found = topics[0]!.partitions[0]!;
    expect(found.timestamp).toBe(logAppendTimeMs);
    expect(found.offset).toBeLessThanOrEqual(baseOffset);
  });
});
