import { describe, expect, it } from 'vitest';
import { decideCreateTopics } from '../../../broker/cluster/create-topics.ts';
import { decideDrain } from '../../../broker/cluster/drain.ts';
import { decideCompletions, isReassigning } from '../../../broker/cluster/reassignments.ts';
import { decideRegistrationChange, decideUnregistration } from '../../../broker/cluster/registration.ts';
import { carryOut, stateOf, topicNamed } from './cluster-fixtures.ts';
import type { TestState } from './cluster-fixtures.ts';

function completeAll(state: TestState): void {
  for (const topic of state.image.topics()) {
    for (const { index, partitionEpoch } of topic.partitions) {
      const completed = [{ topicId: topic.id, partition: index, revision: partitionEpoch }];
      carryOut(state, decideCompletions(state.image, completed));
    }
  }
}

describe('the drain of a node', () => {
  it('moves all of its replicas to others, evenly, and may be asked for again', () => {
    const state = stateOf({ nodes: [1, 2, 3, 4] });
    const topics = ['a', 'b'].map((name) => topicNamed(name, { numPartitions: 12, replicationFactor: 3 }));
    carryOut(state, decideCreateTopics(state, topics));
    const held = state.image.replicaCount(4);
    expect(held).toBe(18);
    const drained = carryOut(state, decideDrain(state, 4));
    expect(drained.result).toEqual({ kind: 'draining', partitions: 18 });
    expect(decideDrain(state, 4)).toEqual({ records: [], result: { kind: 'draining', partitions: 0 } });
    completeAll(state);
    expect([1, 2, 3, 4].map((id) => state.image.replicaCount(id))).toEqual([24, 24, 24, 0]);
    for (const { partitions } of state.image.topics()) {
      for (const partition of partitions) {
        expect(isReassigning(partition)).toBe(false);
        expect(new Set(partition.replicas).size).toBe(3);
      }
    }
    expect(decideUnregistration(state, 4).result.kind).toBe('unregistered');
  });

  it('begins with the partitions that it is to lead', () => {
    const state = stateOf({ nodes: [1, 2, 3] });
    const assignments = [
      [1, 2],
      [2, 1],
      [1, 3],
    ].map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }));
    const asked = topicNamed('a', { numPartitions: -1, replicationFactor: -1, assignments });
    carryOut(state, decideCreateTopics(state, [asked]));
    const { records } = decideDrain(state, 1);
    expect(records.map(({ value }) => 'partitionId' in value && value.partitionId)).toEqual([0, 2, 1]);
  });

  it('is refused as a whole where the others cannot hold what it has, and names the topics', () => {
    const state = stateOf({ nodes: [1, 2, 3] });
    const topics = [
      topicNamed('wide', { replicationFactor: 3 }),
      topicNamed('slim', { replicationFactor: 1 }),
    ];
    carryOut(state, decideCreateTopics(state, topics));
    const { records, result } = decideDrain(state, 1);
    expect(records).toEqual([]);
    expect(result).toMatchObject({ kind: 'refused', error: 'INVALID_REPLICATION_FACTOR' });
    expect(result.kind === 'refused' && result.message).toContain('replicas of wide. Add a node');
    expect(decideDrain(state, 9).result).toMatchObject({ error: 'BROKER_ID_NOT_REGISTERED' });
  });
});

describe('new replicas', () => {
  it.each([{ fenced: true }, { inControlledShutdown: true }])('never go to a node that is %j', (change) => {
    const state = stateOf({ nodes: [1, 2, 3] });
    const { epoch } = state.image.brokers.get(2)!;
    carryOut(state, decideRegistrationChange(state, { nodeId: 2, epoch, ...change }));
    const topic = topicNamed('a', { numPartitions: 10, replicationFactor: 2 });
    carryOut(state, decideCreateTopics(state, [topic]));
    expect([1, 2, 3].map((id) => state.image.replicaCount(id))).toEqual([10, 0, 10]);
    const [wide] = decideCreateTopics(state, [topicNamed('b', { replicationFactor: 3 })]).result;
    expect(wide).toMatchObject({ kind: 'refused', error: 'INVALID_REPLICATION_FACTOR' });
  });

  it('never go to a node that is being drained', () => {
    const state = stateOf({ nodes: [1, 2] });
    const reports = new Map([[1, { wish: 'drain' as const, directories: [], endOffset: 9 }]]);
    const { result } = decideCreateTopics({ ...state, reports }, [topicNamed('a', { replicationFactor: 2 })]);
    expect(result[0]).toMatchObject({ kind: 'refused', error: 'INVALID_REPLICATION_FACTOR' });
  });
});
