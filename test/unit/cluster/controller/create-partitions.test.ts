import { describe, expect, it } from 'vitest';
import { decideCreatePartitions } from '../../../../broker/cluster/controller/create-partitions.ts';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { carryOut, stateOf, topicNamed } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';

function stateWithTopic(): TestState {
  const state = stateOf({ nodes: [1, 2, 3], limits: { partitionsPerRequestMax: 10 } });
  carryOut(state, decideCreateTopics(state, [topicNamed('t', { numPartitions: 2, replicationFactor: 2 })]));
  return state;
}

describe('adding partitions', () => {
  it('keeps those that there are and the number of replicas', () => {
    const state = stateWithTopic();
    const before = state.image.topic('t')?.partitions.slice();
    const { result, changes } = carryOut(
      state,
      decideCreatePartitions(state, [{ name: 't', count: 4, assignments: null }]),
    );
    expect(result).toEqual([{ kind: 'created', name: 't', partitionCount: 4 }]);
    const partitions = state.image.topic('t')?.partitions ?? [];
    expect(partitions.slice(0, 2)).toEqual(before);
    expect(partitions.map(({ index, replicas }) => [index, replicas.length])).toEqual([
      [0, 2],
      [1, 2],
      [2, 2],
      [3, 2],
    ]);
    expect(changes.map((change) => change.kind === 'partition-created' && change.partition)).toEqual([2, 3]);
  });

  it('places them by hand', () => {
    const state = stateWithTopic();
    const assignments = [{ brokerIds: [3, 2] }];
    carryOut(state, decideCreatePartitions(state, [{ name: 't', count: 3, assignments }]));
    expect(state.image.topic('t')?.partitions[2]?.replicas).toEqual([3, 2]);
  });

  it.each([
    ['x', 3, null, 'UNKNOWN_TOPIC_OR_PARTITION', "Topic 'x' does not exist."],
    ['t', 2, null, 'INVALID_PARTITIONS', 'Topic already has 2 partition(s).'],
    [
      't',
      1,
      null,
      'INVALID_PARTITIONS',
      'The topic t currently has 2 partition(s); 1 would not be an increase. Partitions can only be added.',
    ],
    [
      't',
      13,
      null,
      'POLICY_VIOLATION',
      'Excessively large number of partitions per request: 11, and 10 is the most. Ask for fewer, or spread them over several requests.',
    ],
    [
      't',
      4,
      [[1, 2]],
      'INVALID_REPLICA_ASSIGNMENT',
      'Attempted to add 2 additional partition(s), but 1 assignment(s) were specified. Give one for each new partition.',
    ],
    [
      't',
      3,
      [[1]],
      'INVALID_REPLICA_ASSIGNMENT',
      'The manual partition assignment includes a partition with 1 replica(s), while other partitions of the topic have 2. Give all the same number.',
    ],
  ] as [string, number, number[][] | null, string, string][])(
    'refuses %s with %i partitions, assigned %j',
    (name, count, assigned, error, message) => {
      const assignments = assigned === null ? null : assigned.map((brokerIds) => ({ brokerIds }));
      const decision = decideCreatePartitions(stateWithTopic(), [{ name, count, assignments }]);
      expect(decision).toEqual({ records: [], result: [{ kind: 'refused', name, error, message }] });
    },
  );
});
