import { expect, it } from 'vitest';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { decideDirectories } from '../../../../broker/cluster/controller/directories.ts';
import { decideReplacement } from '../../../../broker/cluster/controller/lost-directories.ts';
import { decideRegistrationChange } from '../../../../broker/cluster/controller/registration.ts';
import { carryOut, stateOf, topicNamed, uuid } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';

const lost = uuid(1002);
const now = uuid(77);

function withReplicas(): TestState {
  const state = stateOf({ nodes: [1, 2, 3] });
  const pairs = [
    [1, 2],
    [3, 2],
    [1, 3],
  ].map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }));
  carryOut(
    state,
    decideCreateTopics(state, [
      topicNamed('pairs', { numPartitions: -1, replicationFactor: -1, assignments: pairs }),
      topicNamed('single', {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 0, brokerIds: [2] }],
      }),
    ]),
  );
  return state;
}

function fence(state: TestState): void {
  const { epoch } = state.image.brokers.get(2)!;
  carryOut(state, decideRegistrationChange(state, { nodeId: 2, epoch, fenced: true }));
}

it('a silent node with another directory is another member of all groups that others are in too', () => {
  const state = withReplicas();
  fence(state);
  const { result } = carryOut(state, decideReplacement(state, { nodeId: 2, directoryId: now }));
  expect(result).toEqual({ kind: 'replaced' });
  expect(state.image.brokers.get(2)!.logDirectories).toEqual([now]);
  expect(state.image.brokers.get(2)!.fenced).toBe(true);
  const places = (name: string): unknown[] =>
    state.image
      .topic(name)!
      .partitions.map(({ replicas, directories, partitionEpoch }) => [
        directories[replicas.indexOf(2)],
        partitionEpoch,
      ]);
  expect(places('pairs')).toEqual([
    [now, 1],
    [now, 1],
    [undefined, 0],
  ]);
  // What only it had is not there; an empty replica would hide that.
  expect(places('single')).toEqual([[lost, 0]]);
  const again = decideReplacement(state, { nodeId: 2, directoryId: now });
  expect(again).toEqual({ records: [], result: { kind: 'replaced' } });
});

it('a node that is there keeps its directory, fenced or not', () => {
  const state = withReplicas();
  const asked = { nodeId: 2, directoryId: now };
  expect(decideReplacement(state, asked)).toMatchObject({
    records: [],
    result: { kind: 'refused', error: 'DUPLICATE_BROKER_REGISTRATION' },
  });
  fence(state);
  const heard = { ...state, aliveNodes: new Set([2]) };
  expect(decideReplacement(heard, asked)).toMatchObject({ records: [], result: { kind: 'refused' } });
});

const [first, second] = [uuid(201), uuid(202)];
const [newFirst, newSecond] = [uuid(211), uuid(212)];

/** Node 2 has two directories, with six replicas in turns; what only it has is in the second. */
function withTwoDirectories(): TestState {
  const state = stateOf({ nodes: [1, 2, 3] });
  const { epoch } = state.image.brokers.get(2)!;
  const value = { brokerId: 2, brokerEpoch: epoch, logDirs: [first, second] };
  carryOut(state, { records: [{ type: 'BrokerRegistrationChangeRecord', value }], result: undefined });
  const settings = { numPartitions: -1, replicationFactor: -1 };
  const pairs = [0, 1, 2, 3, 4, 5].map((partitionIndex) => ({ partitionIndex, brokerIds: [2, 1] }));
  const single = [{ partitionIndex: 0, brokerIds: [2] }];
  carryOut(
    state,
    decideCreateTopics(state, [
      topicNamed('pairs', { ...settings, assignments: pairs }),
      topicNamed('single', { ...settings, assignments: single }),
    ]),
  );
  for (const [name, count] of [['pairs', 6] as const, ['single', 1] as const]) {
    const { id: topicId } = state.image.topic(name)!;
    const assignments = Array.from({ length: count }, (_, partition) => ({
      topic: name,
      topicId,
      partition,
      directoryId: name === 'single' || partition % 2 === 1 ? second : first,
    }));
    carryOut(state, decideDirectories(state.image, 2, assignments));
  }
  fence(state);
  return state;
}

function placesOf(state: TestState, name: string): (string | undefined)[] {
  return state.image
    .topic(name)!
    .partitions.map(({ replicas, directories }) => directories[replicas.indexOf(2)]);
}

it('a node with none of its several directories is another member of all its groups, spread over those that it has', () => {
  const state = withTwoDirectories();
  expect(placesOf(state, 'pairs')).toEqual([first, second, first, second, first, second]);
  const lostAll = { nodeId: 2, directoryId: newFirst, directoryIds: [newFirst, newSecond] };
  carryOut(state, decideReplacement(state, lostAll));
  expect(state.image.brokers.get(2)!.logDirectories).toEqual([newFirst, newSecond]);
  const places = placesOf(state, 'pairs');
  expect(places.filter((place) => place === newFirst)).toHaveLength(3);
  expect(places.filter((place) => place === newSecond)).toHaveLength(3);
  expect(placesOf(state, 'single')).toEqual([second]);
  expect(decideReplacement(state, lostAll).records).toEqual([]);
});

it('a directory that may be there keeps its replicas', () => {
  const asked = { nodeId: 2, directoryId: newFirst };
  for (const directoryIds of [undefined, [newFirst, second], [newFirst, newSecond, second]]) {
    const state = withTwoDirectories();
    carryOut(
      state,
      decideReplacement(state, directoryIds === undefined ? asked : { ...asked, directoryIds }),
    );
    expect(state.image.brokers.get(2)!.logDirectories).toEqual([newFirst, second]);
    expect(placesOf(state, 'pairs')).toEqual([newFirst, second, newFirst, second, newFirst, second]);
  }
});

it('a directory that was offline when the node registered last, and is back, keeps its replicas', () => {
  const state = withTwoDirectories();
  const { epoch } = state.image.brokers.get(2)!;
  const value = { brokerId: 2, brokerEpoch: epoch, logDirs: [first] };
  carryOut(state, { records: [{ type: 'BrokerRegistrationChangeRecord', value }], result: undefined });
  const asked = { nodeId: 2, directoryId: newFirst, directoryIds: [newFirst, second] };
  carryOut(state, decideReplacement(state, asked));
  expect(placesOf(state, 'pairs')).toEqual([newFirst, second, newFirst, second, newFirst, second]);
});
