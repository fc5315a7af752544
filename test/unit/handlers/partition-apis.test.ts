import { describe, expect, it } from 'vitest';
import { ErrorCode } from '../../../protocol/index.ts';
import { serveNode } from './served-node.ts';
import type { ServedNode } from './served-node.ts';

async function nodeWithTopic(): Promise<ServedNode> {
  const node = await serveNode();
  await node.call('CreateTopics', 7, { topics: [{ name: 't', numPartitions: 2, replicationFactor: 1 }] });
  return node;
}

describe('AlterPartitionReassignments', () => {
  it.each([0, 1])('version %i answers each partition by itself', async (version) => {
    await using node = await nodeWithTopic();
    const answer = await node.call('AlterPartitionReassignments', version, {
      topics: [
        {
          name: 't',
          partitions: [
            { partitionIndex: 0, replicas: [1] },
            { partitionIndex: 1, replicas: [1, 2] },
            { partitionIndex: 7, replicas: null },
          ],
        },
        {
          name: 'u',
          partitions: [
            { partitionIndex: 0, replicas: null },
            { partitionIndex: 0, replicas: [1] },
          ],
        },
      ],
    });
    expect(answer.errorCode).toBe(0);
    expect(
      answer.responses.map(({ name, partitions }) => [
        name,
        ...partitions.map(({ partitionIndex, errorCode }) => [partitionIndex, errorCode]),
      ]),
    ).toEqual([
      ['t', [0, 0], [1, ErrorCode.INVALID_REPLICA_ASSIGNMENT], [7, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]],
      ['u', [0, ErrorCode.INVALID_REQUEST], [0, ErrorCode.INVALID_REQUEST]],
    ]);
    const cancelled = await node.call('AlterPartitionReassignments', version, {
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, replicas: null }] }],
    });
    expect(cancelled.responses[0]?.partitions[0]).toMatchObject({
      errorCode: ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
      errorMessage: 'No partition reassignment is in progress.',
    });
  });

  it('and its like need rights on the cluster', async () => {
    await using node = await nodeWithTopic();
    node.authorize = () => false;
    const answers = [
      await node.call('AlterPartitionReassignments', 1, { topics: [{ name: 't', partitions: [] }] }),
      await node.call('ListPartitionReassignments', 0, { topics: null }),
      await node.call('UnregisterBroker', 0, { brokerId: 1 }),
      await node.call('ElectLeaders', 2, { electionType: 0, topicPartitions: null }),
    ];
    expect(answers.map(({ errorCode }) => errorCode)).toEqual(
      answers.map(() => ErrorCode.CLUSTER_AUTHORIZATION_FAILED),
    );
  });
});

describe('ListPartitionReassignments', () => {
  it('has what is under way, of the partitions asked for', async () => {
    await using node = await nodeWithTopic();
    const { image } = node.services.cluster;
    // A node that is not there any more: what is under way cannot end.
    const topic = image.topic('t')!;
    for (const partition of [0, 1]) {
      image.apply({
        type: 'PartitionChangeRecord',
        value: {
          ...unchanged,
          topicId: topic.id,
          partitionId: partition,
          replicas: [2, 1],
          addingReplicas: [2],
        },
      });
    }
    const all = await node.call('ListPartitionReassignments', 0, { topics: null });
    const under = { replicas: [2, 1], addingReplicas: [2], removingReplicas: [] };
    expect(all.topics).toEqual([
      {
        name: 't',
        partitions: [
          { partitionIndex: 0, ...under },
          { partitionIndex: 1, ...under },
        ],
      },
    ]);
    const some = await node.call('ListPartitionReassignments', 0, {
      topics: [
        { name: 't', partitionIndexes: [1, 9] },
        { name: 'u', partitionIndexes: [0] },
      ],
    });
    expect(some.topics).toEqual([{ name: 't', partitions: [{ partitionIndex: 1, ...under }] }]);
  });
});

/** The fields of a PartitionChangeRecord that say that nothing changes. */
const unchanged = {
  isr: null,
  leader: -2,
  removingReplicas: null,
  leaderRecoveryState: -1,
  directories: null,
  eligibleLeaderReplicas: null,
  lastKnownElr: null,
} as const;

describe('ElectLeaders', () => {
  it.each([0, 1, 2])('version %i has nothing to do where the preferred replica leads', async (version) => {
    await using node = await nodeWithTopic();
    const topicPartitions = [{ topic: 't', partitions: [0, 5] }];
    const answer = await node.call('ElectLeaders', version, {
      ...(version > 0 ? { electionType: 0 } : {}),
      topicPartitions,
    });
    expect(
      answer.replicaElectionResults.map(({ topic, partitionResult }) => [
        topic,
        ...partitionResult.map(({ partitionId, errorCode }) => [partitionId, errorCode]),
      ]),
    ).toEqual([['t', [0, ErrorCode.ELECTION_NOT_NEEDED], [5, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]]]);
    const all = await node.call('ElectLeaders', version, {
      ...(version > 0 ? { electionType: 0 } : {}),
      topicPartitions: null,
    });
    expect(all.replicaElectionResults).toEqual([]);
  });

  it('never makes a leader of a replica that may lack what was acknowledged', async () => {
    await using node = await nodeWithTopic();
    const answer = await node.call('ElectLeaders', 2, {
      electionType: 1,
      topicPartitions: [{ topic: 't', partitions: [0] }],
    });
    expect(answer.replicaElectionResults[0]?.partitionResult[0]).toMatchObject({
      partitionId: 0,
      errorCode: ErrorCode.ELECTION_NOT_NEEDED,
    });
    const unknown = await node.call('ElectLeaders', 2, { electionType: 7, topicPartitions: null });
    expect(unknown.errorCode).toBe(ErrorCode.INVALID_REQUEST);
  });
});

describe('UnregisterBroker', () => {
  it('refuses a node that is alive and holds replicas, and one that is not known', async () => {
    await using node = await nodeWithTopic();
    const held = await node.call('UnregisterBroker', 0, { brokerId: 1 });
    expect(held).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST });
    expect(held.errorMessage).toContain('holds 2 replica(s)');
    const unknown = await node.call('UnregisterBroker', 0, { brokerId: 9 });
    expect(unknown.errorCode).toBe(ErrorCode.BROKER_ID_NOT_REGISTERED);
  });
});
