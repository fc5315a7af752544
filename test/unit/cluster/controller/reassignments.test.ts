import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { decideDeleteTopics } from '../../../../broker/cluster/controller/delete-topics.ts';
import type { PartitionImage } from '../../../../broker/cluster/metadata/metadata-image.ts';
import {
  decideCompletions,
  decideReassignments,
  isReassigning,
  targetOf,
} from '../../../../broker/cluster/controller/reassignments.ts';
import { carryOut, stateOf, topicNamed, uuid } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';

/** Six nodes and a topic 't' with one partition on these. */
function withTopic(brokerIds: readonly number[]): TestState {
  const state = stateOf({ nodes: [1, 2, 3, 4, 5, 6] });
  const assignments = [{ partitionIndex: 0, brokerIds }];
  const asked = topicNamed('t', { numPartitions: -1, replicationFactor: -1, assignments });
  carryOut(state, decideCreateTopics(state, [asked]));
  return state;
}

function partitionOf(state: TestState): PartitionImage {
  return state.image.topic('t')!.partitions[0]!;
}

function reassign(state: TestState, replicas: readonly number[] | null, allowReplicationFactorChange = true) {
  const asked = { reassignments: [{ topic: 't', partition: 0, replicas }], allowReplicationFactorChange };
  const [outcome] = carryOut(state, decideReassignments(state, asked)).result;
  return outcome?.kind === 'refused' ? outcome.error : outcome?.kind;
}

function complete(state: TestState, revision = partitionOf(state).partitionEpoch): void {
  const topicId = state.image.topic('t')!.id;
  carryOut(state, decideCompletions(state.image, [{ topicId, partition: 0, revision }]));
}

describe('a reassignment', () => {
  it('adds the new ones before it lets the old ones go', () => {
    const state = withTopic([1, 2, 3]);
    expect(reassign(state, [3, 4, 5])).toBe('accepted');
    expect(partitionOf(state)).toMatchObject({
      replicas: [3, 4, 5, 1, 2],
      adding: [4, 5],
      removing: [1, 2],
      partitionEpoch: 1,
      directories: [uuid(1003), uuid(1004), uuid(1005), uuid(1001), uuid(1002)],
    });
    complete(state);
    expect(partitionOf(state)).toMatchObject({
      replicas: [3, 4, 5],
      adding: [],
      removing: [],
      partitionEpoch: 2,
      directories: [uuid(1003), uuid(1004), uuid(1005)],
    });
  });

  it('to what is so already changes nothing; another order is another preferred leader', () => {
    const state = withTopic([1, 2, 3]);
    expect(reassign(state, [1, 2, 3])).toBe('accepted');
    expect(partitionOf(state).partitionEpoch).toBe(0);
    expect(reassign(state, [2, 3, 1])).toBe('accepted');
    expect(partitionOf(state)).toMatchObject({
      replicas: [2, 3, 1],
      adding: [],
      removing: [],
      partitionEpoch: 1,
    });
  });

  it('that is taken back keeps those who may have got a vote until they have none', () => {
    const state = withTopic([1, 2]);
    reassign(state, [2, 3]);
    expect(reassign(state, null)).toBe('accepted');
    expect(partitionOf(state)).toMatchObject({
      replicas: [2, 1, 3],
      adding: [],
      removing: [3],
      partitionEpoch: 2,
    });
    complete(state);
    expect(partitionOf(state)).toMatchObject({ replicas: [2, 1], removing: [] });
    expect(reassign(state, null)).toBe('NO_REASSIGNMENT_IN_PROGRESS');
  });

  it('may be changed under way; who reports an older one is not heeded', () => {
    const state = withTopic([1, 2, 3]);
    reassign(state, [4, 5, 6]);
    reassign(state, [1, 4, 2]);
    const changed = partitionOf(state);
    expect(changed).toMatchObject({ replicas: [1, 4, 2, 5, 6, 3], adding: [4], removing: [5, 6, 3] });
    complete(state, 1);
    expect(partitionOf(state)).toBe(changed);
    complete(state, 2);
    expect(partitionOf(state).replicas).toEqual([1, 4, 2]);
  });

  it.each([
    [[], 'INVALID_REPLICA_ASSIGNMENT'],
    [[1, 1], 'INVALID_REPLICA_ASSIGNMENT'],
    [[1, 9], 'INVALID_REPLICA_ASSIGNMENT'],
    [[1, 2, 3], 'INVALID_REPLICATION_FACTOR'],
  ])('to %j is refused with %s', (replicas, error) => {
    const state = withTopic([1, 2]);
    expect(reassign(state, replicas, false)).toBe(error);
    expect(partitionOf(state).partitionEpoch).toBe(0);
  });

  it('of what does not exist is refused, and one of a deleted topic never completes', () => {
    const state = withTopic([1]);
    const reassignments = [
      { topic: 'u', partition: 0, replicas: [1] },
      { topic: 't', partition: 7, replicas: [1] },
    ];
    const { result } = decideReassignments(state, { reassignments, allowReplicationFactorChange: true });
    expect(result.map((each) => each.kind === 'refused' && each.error)).toEqual([
      'UNKNOWN_TOPIC_OR_PARTITION',
      'UNKNOWN_TOPIC_OR_PARTITION',
    ]);
    reassign(state, [2]);
    const { id } = state.image.topic('t')!;
    carryOut(state, decideDeleteTopics(state, [id]));
    expect(state.image.replicaCount(2)).toBe(0);
    const late = decideCompletions(state.image, [{ topicId: id, partition: 0, revision: 1 }]);
    expect(late.records).toEqual([]);
  });
});

describe('a history of reassignments', () => {
  const target = fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 6 });
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('reassign' as const), replicas: target }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'cancel' as const }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('complete' as const), lag: fc.nat(2) }) },
  );

  it('is consistent after each step, and ends in exactly what was asked for last', () => {
    fc.assert(
      fc.property(target, fc.array(step, { maxLength: 30 }), (first, steps) => {
        const state = withTopic(first);
        let wanted: readonly number[] = first;
        for (const each of steps) {
          const before = partitionOf(state);
          if (each.kind === 'reassign') {
            expect(reassign(state, each.replicas)).toBe('accepted');
            wanted = each.replicas;
          } else if (each.kind === 'cancel') {
            const kept = before.replicas.filter((id) => !before.adding.includes(id));
            const outcome = reassign(state, null);
            if (!isReassigning(before)) expect(outcome).toBe('NO_REASSIGNMENT_IN_PROGRESS');
            else if (kept.length === 0) expect(outcome).toBe('INVALID_REPLICA_ASSIGNMENT');
            if (outcome === 'accepted') wanted = targetOf(partitionOf(state));
            if (outcome === 'accepted') expect(new Set(wanted)).toEqual(new Set(kept));
          } else complete(state, before.partitionEpoch - each.lag);
          const after = partitionOf(state);
          check(after);
          expect(targetOf(after)).toEqual(wanted);
          const isChanged = JSON.stringify(after.replicas) !== JSON.stringify(before.replicas);
          expect(after.partitionEpoch - before.partitionEpoch).toBe(
            isChanged ||
              after.removing.length !== before.removing.length ||
              after.adding.length !== before.adding.length
              ? 1
              : 0,
          );
          // Nobody leaves but by a completion: whoever may vote keeps its files.
          if (each.kind !== 'complete') {
            for (const id of before.replicas) expect(after.replicas).toContain(id);
          }
        }
        complete(state);
        expect(partitionOf(state)).toMatchObject({ replicas: wanted, adding: [], removing: [] });
        for (const id of [1, 2, 3, 4, 5, 6])
          expect(state.image.replicaCount(id)).toBe(wanted.includes(id) ? 1 : 0);
      }),
    );
  });
});

function check({ replicas, adding, removing, directories }: PartitionImage): void {
  expect(new Set(replicas).size).toBe(replicas.length);
  for (const id of [...adding, ...removing]) expect(replicas).toContain(id);
  for (const id of adding) expect(removing).not.toContain(id);
  expect(directories).toEqual(replicas.map((id) => uuid(1000 + id)));
}
