import { expect, it } from 'vitest';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
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
