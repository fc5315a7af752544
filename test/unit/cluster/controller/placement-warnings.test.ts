import { describe, expect, it } from 'vitest';
import { decideCreatePartitions } from '../../../../broker/cluster/controller/create-partitions.ts';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { placementWarnings } from '../../../../broker/cluster/controller/placement-warnings.ts';
import { decideReassignments } from '../../../../broker/cluster/controller/reassignments.ts';
import type { Decision } from '../../../../broker/cluster/controller/controller.ts';
import { carryOut, stateOf, topicNamed } from '../cluster-fixtures.ts';

const oneMachine = (topic: string, replicas: number): string =>
  `${topic} has ${replicas} replicas of each partition and one machine for them: the loss of one machine can take a majority.`;
const two = (topic: string): unknown => expect.stringMatching(`^${topic} has two replicas of each partition`);

/** Nodes 1 to 4, all on one machine. */
function cluster() {
  const state = stateOf({ nodes: [1, 2, 3, 4] });
  const warned = (decision: Decision<unknown>): string[] => {
    carryOut(state, decision);
    return placementWarnings(state.image, decision.records);
  };
  return { state, warned };
}

describe('the log of the controller', () => {
  it('says which new topics bear less than one might think', () => {
    const { state, warned } = cluster();
    const topics = [
      topicNamed('one', { numPartitions: 3 }),
      topicNamed('two', { replicationFactor: 2, numPartitions: 3 }),
      topicNamed('three', { replicationFactor: 3, numPartitions: 3 }),
    ];
    expect(warned(decideCreateTopics(state, topics))).toEqual([
      two('two'),
      oneMachine('two', 2),
      oneMachine('three', 3),
    ]);
    const more = { name: 'two', count: 4, assignments: null };
    expect(warned(decideCreatePartitions(state, [more]))).toEqual([two('two'), oneMachine('two', 2)]);
  });

  it('says it of replicas that a reassignment brings, and not of what it takes away', () => {
    const { state, warned } = cluster();
    carryOut(state, decideCreateTopics(state, [topicNamed('t', { replicationFactor: 3 })]));
    const [before] = state.image.topic('t')!.partitions;
    const reassigned = (replicas: readonly number[]) =>
      decideReassignments(state, {
        reassignments: [{ topic: 't', partition: 0, replicas }],
        allowReplicationFactorChange: true,
      });
    expect(warned(reassigned(before!.replicas.toReversed()))).toEqual([]);
    const outside = [1, 2, 3, 4].find((id) => !before!.replicas.includes(id))!;
    expect(warned(reassigned([outside, before!.replicas[0]!]))).toEqual([two('t'), oneMachine('t', 2)]);
  });
});
