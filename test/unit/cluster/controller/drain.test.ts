import { describe, expect, it } from 'vitest';
import {
  ConfigOperation,
  decideAlterConfigs,
  decideReplaceConfigs,
} from '../../../../broker/cluster/controller/alter-configs.ts';
import type { Refusal } from '../../../../broker/cluster/controller/controller.ts';
import { decideCreatePartitions } from '../../../../broker/cluster/controller/create-partitions.ts';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { drainedNodes } from '../../../../broker/cluster/controller/drained-nodes.ts';
import {
  decideCompletions,
  decideReassignments,
  isReassigning,
  targetOf,
} from '../../../../broker/cluster/controller/reassignments.ts';
import {
  decideRegistrationChange,
  decideUnregistration,
} from '../../../../broker/cluster/controller/registration.ts';
import { carryOut, stateOf, topicNamed } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';

const name = 'kappalog.drained.nodes';
const { SET, DELETE, APPEND, SUBTRACT } = ConfigOperation;

/** Alters the list of drained nodes; why it was refused, if it was. */
function alter(
  state: TestState,
  configOperation: number,
  value: string | null,
  resourceName = '',
): Refusal | undefined {
  const resource = { resourceType: 4, resourceName, configs: [{ name, configOperation, value }] };
  return carryOut(state, decideAlterConfigs(state, [resource])).result[0]!.refusal;
}

function completeAll(state: TestState): void {
  for (const topic of state.image.topics()) {
    for (const { index, partitionEpoch } of topic.partitions) {
      const completed = [{ topicId: topic.id, partition: index, revision: partitionEpoch }];
      carryOut(state, decideCompletions(state.image, completed));
    }
  }
}

function withTopics(nodes: readonly number[]): TestState {
  const state = stateOf({ nodes });
  const topics = ['a', 'b'].map((topic) => topicNamed(topic, { numPartitions: 12, replicationFactor: 3 }));
  carryOut(state, decideCreateTopics(state, topics));
  return state;
}

function replicaCounts(state: TestState, nodes: readonly number[]): number[] {
  return nodes.map((id) => state.image.replicaCount(id));
}

describe('the drain of a node', () => {
  it('moves all of its replicas to others, evenly, and may be asked for again', () => {
    const state = withTopics([1, 2, 3, 4]);
    expect(state.image.replicaCount(4)).toBe(18);
    expect(alter(state, APPEND, '4')).toBeUndefined();
    expect([...drainedNodes(state.image)]).toEqual([4]);
    expect([...state.image.topics()].flatMap(({ partitions }) => partitions.flatMap(targetOf))).not.toContain(
      4,
    );
    const { endOffset } = state.image;
    expect(alter(state, SET, '4')).toBeUndefined();
    expect(state.image.endOffset).toBe(endOffset);
    completeAll(state);
    expect(replicaCounts(state, [1, 2, 3, 4])).toEqual([24, 24, 24, 0]);
    for (const { partitions } of state.image.topics()) {
      for (const partition of partitions) {
        expect(isReassigning(partition)).toBe(false);
        expect(new Set(partition.replicas).size).toBe(3);
      }
    }
    expect(carryOut(state, decideUnregistration(state, 4)).result.kind).toBe('unregistered');
    expect([...drainedNodes(state.image)]).toEqual([]);
    expect([...state.image.settings(4, '')]).toEqual([]);
  });

  it('is that of several at once, and of one more later', () => {
    const state = withTopics([1, 2, 3, 4, 5, 6]);
    expect(alter(state, SET, '4, 6')).toBeUndefined();
    expect(alter(state, APPEND, '1')).toBeUndefined();
    completeAll(state);
    expect(replicaCounts(state, [1, 2, 3, 4, 5, 6])).toEqual([0, 24, 24, 0, 24, 0]);
    expect(alter(state, SUBTRACT, '6')).toBeUndefined();
    expect([...drainedNodes(state.image)]).toEqual([4, 1]);
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
    const configs = [{ name, configOperation: SET, value: '1' }];
    const { records } = decideAlterConfigs(state, [{ resourceType: 4, resourceName: '', configs }]);
    expect(records.flatMap(({ value }) => ('partitionId' in value ? [value.partitionId] : []))).toEqual([
      0, 2, 1,
    ]);
  });

  it('is refused as a whole where the others cannot hold what it has, and names the topics', () => {
    const state = stateOf({ nodes: [1, 2, 3] });
    const topics = [
      topicNamed('wide', { replicationFactor: 3 }),
      topicNamed('slim', { replicationFactor: 1 }),
    ];
    carryOut(state, decideCreateTopics(state, topics));
    const { endOffset } = state.image;
    expect(alter(state, APPEND, '1')).toEqual({
      error: 'INVALID_REPLICATION_FACTOR',
      message:
        'Without node 1 too few nodes are left for the replicas of wide (nodes that take replicas now: 2, 3). ' +
        'Add a node, or give these topics fewer replicas.',
    });
    expect(alter(state, APPEND, '9')).toEqual({
      error: 'BROKER_ID_NOT_REGISTERED',
      message: 'Node 9 is not registered. Registered: 1, 2, 3.',
    });
    expect(alter(state, APPEND, 'two')).toMatchObject({ error: 'BROKER_ID_NOT_REGISTERED' });
    expect(alter(state, SET, '1,2,3')).toMatchObject({ error: 'INVALID_REQUEST' });
    expect(alter(state, SET, '1,1')).toMatchObject({ error: 'INVALID_REQUEST' });
    expect(state.image.endOffset).toBe(endOffset);
  });

  it('is set for the cluster as a whole, not for one broker', () => {
    const state = stateOf({ nodes: [1, 2] });
    expect(alter(state, SET, '1', '1')).toEqual({
      error: 'INVALID_REQUEST',
      message:
        'kappalog.drained.nodes belongs to the cluster as a whole: set it for all brokers (the empty name).',
    });
    const configs = [{ name, value: '1' }];
    const replaced = decideReplaceConfigs(state, [{ resourceType: 4, resourceName: '', configs }]);
    expect(carryOut(state, replaced).result).toEqual([{ resourceType: 4, resourceName: '' }]);
    expect([...drainedNodes(state.image)]).toEqual([1]);
    expect(alter(state, DELETE, null)).toBeUndefined();
    expect([...drainedNodes(state.image)]).toEqual([]);
  });

  it('does not go when a partition is to have its former replicas back, until it is undone', () => {
    const state = withTopics([1, 2, 3, 4]);
    alter(state, APPEND, '4');
    const topic = state.image.topic('a')!;
    const moving = topic.partitions.find(({ removing }) => removing.includes(4))!;
    const asked = {
      reassignments: [{ topic: 'a', partition: moving.index, replicas: null }],
      allowReplicationFactorChange: true,
    };
    expect(decideReassignments(state, asked).result).toEqual([
      {
        kind: 'refused',
        error: 'INVALID_REPLICA_ASSIGNMENT',
        message: 'Node 4 is drained and takes no replicas. Name another node, or undo its drain.',
      },
    ]);
    alter(state, SUBTRACT, '4');
    expect(carryOut(state, decideReassignments(state, asked)).result).toEqual([{ kind: 'accepted' }]);
    expect(targetOf(state.image.topic('a')!.partitions[moving.index]!)).toContain(4);
  });
});

describe('new replicas', () => {
  const changes = [{ fenced: true }, { inControlledShutdown: true }] as const;
  const leave = (
    state: ReturnType<typeof stateOf>,
    nodeId: number,
    change: (typeof changes)[number],
  ): void => {
    const { epoch } = state.image.brokers.get(nodeId)!;
    carryOut(state, decideRegistrationChange(state, { nodeId, epoch, ...change }));
  };

  it.each(changes)('go to a node that is %j only where there are too few others, and last', (change) => {
    const state = stateOf({ nodes: [1, 2, 3] });
    leave(state, 2, change);
    const topic = topicNamed('a', { numPartitions: 10, replicationFactor: 2 });
    carryOut(state, decideCreateTopics(state, [topic]));
    expect(replicaCounts(state, [1, 2, 3])).toEqual([10, 0, 10]);
    const wide = topicNamed('b', { numPartitions: 4, replicationFactor: 3 });
    expect(carryOut(state, decideCreateTopics(state, [wide])).result).toMatchObject([{ kind: 'created' }]);
    const places = state.image.topic('b')!.partitions.map(({ replicas }) => replicas);
    expect(places.map((ids) => ids.toSorted((left, right) => left - right))).toEqual(
      Array.from({ length: 4 }, () => [1, 2, 3]),
    );
    expect(places.map((ids) => ids[2])).toEqual([2, 2, 2, 2]);
    carryOut(state, decideCreatePartitions(state, [{ name: 'b', count: 5, assignments: null }]));
    expect(state.image.topic('b')!.partitions[4]!.replicas[2]).toBe(2);
  });

  it.each(changes)('need a majority of nodes that are not %j', (change) => {
    const state = stateOf({ nodes: [1, 2, 3, 4, 5] });
    const factorsMade = (): number[] =>
      [1, 2, 3, 4, 5, 6].filter((replicationFactor) => {
        const [result] = decideCreateTopics(state, [topicNamed('t', { replicationFactor })]).result;
        if (result?.kind === 'created') return true;
        expect(result).toMatchObject({ kind: 'refused', error: 'INVALID_REPLICATION_FACTOR' });
        return false;
      });
    expect(factorsMade()).toEqual([1, 2, 3, 4, 5]);
    leave(state, 1, change);
    leave(state, 2, change);
    expect(factorsMade()).toEqual([1, 2, 3, 4, 5]);
    leave(state, 3, change);
    expect(factorsMade()).toEqual([1, 2, 3]);
    leave(state, 4, change);
    expect(factorsMade()).toEqual([1]);
    const [result] = decideCreateTopics(state, [topicNamed('t', { replicationFactor: 3 })]).result;
    expect(result).toMatchObject({
      message: expect.stringContaining('1 of 5 node(s) that take replicas are there now'),
    });
  });

  it('never go to a node that is drained, whoever asks', () => {
    const state = stateOf({ nodes: [1, 2, 3] });
    carryOut(state, decideCreateTopics(state, [topicNamed('a', { numPartitions: 2, replicationFactor: 2 })]));
    alter(state, SET, '1');
    completeAll(state);
    carryOut(state, decideCreateTopics(state, [topicNamed('b', { numPartitions: 9, replicationFactor: 2 })]));
    expect(state.image.replicaCount(1)).toBe(0);
    const refused = { kind: 'refused', error: 'INVALID_REPLICA_ASSIGNMENT' };
    const byHand = topicNamed('c', {
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [2, 1] }],
    });
    expect(decideCreateTopics(state, [byHand]).result).toMatchObject([refused]);
    const more = [{ name: 'a', count: 3, assignments: [{ brokerIds: [1, 2] }] }];
    expect(decideCreatePartitions(state, more).result).toMatchObject([refused]);
    const moved = [{ topic: 'a', partition: 0, replicas: [1, 2] }];
    const asked = { reassignments: moved, allowReplicationFactorChange: true };
    expect(decideReassignments(state, asked).result).toMatchObject([refused]);
    const wide = decideCreateTopics(state, [topicNamed('d', { replicationFactor: 3 })]);
    expect(wide.result).toMatchObject([{ kind: 'refused', error: 'INVALID_REPLICATION_FACTOR' }]);
  });
});

it('a partition has at most seven replicas, whoever chooses their nodes', () => {
  const nodes = [1, 2, 3, 4, 5, 6, 7, 8];
  const state = stateOf({ nodes });
  const made = (replicationFactor: number) =>
    decideCreateTopics(state, [topicNamed('a', { replicationFactor })]).result;
  expect(made(7)).toMatchObject([{ kind: 'created' }]);
  expect(made(8)).toMatchObject([{ kind: 'refused', error: 'INVALID_REPLICATION_FACTOR' }]);
  const byHand = { numPartitions: -1, replicationFactor: -1 };
  const assigned = (brokerIds: readonly number[]) =>
    decideCreateTopics(state, [
      topicNamed('b', { ...byHand, assignments: [{ partitionIndex: 0, brokerIds }] }),
    ]).result;
  expect(assigned(nodes.slice(1))).toMatchObject([{ kind: 'created' }]);
  expect(assigned(nodes)).toMatchObject([{ kind: 'refused', error: 'INVALID_REPLICA_ASSIGNMENT' }]);
  carryOut(state, decideCreateTopics(state, [topicNamed('c')]));
  const reassigned = (replicas: readonly number[]) => {
    const reassignments = [{ topic: 'c', partition: 0, replicas }];
    return decideReassignments(state, { reassignments, allowReplicationFactorChange: true }).result;
  };
  expect(reassigned(nodes)).toMatchObject([{ kind: 'refused', error: 'INVALID_REPLICA_ASSIGNMENT' }]);
  expect(reassigned(nodes.slice(1))).toEqual([{ kind: 'accepted' }]);
});
