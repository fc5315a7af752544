import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideAlterConfigs } from '../../../../broker/cluster/controller/alter-configs.ts';
import { decideBootstrap, decideProducerIds } from '../../../../broker/cluster/controller/controller.ts';
import { decideCreatePartitions } from '../../../../broker/cluster/controller/create-partitions.ts';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { decideDeleteTopics } from '../../../../broker/cluster/controller/delete-topics.ts';
import { MetadataImage } from '../../../../broker/cluster/metadata/metadata-image.ts';
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
} from '../../../../broker/cluster/metadata/metadata-record.ts';
import { servedFeatures } from '../../../../broker/cluster/controller/features.ts';
import { decideRegistration } from '../../../../broker/cluster/controller/registration.ts';
import { memberId } from '../../../../broker/raft/member.ts';
import { carryOut, contents, registrationOf, stateOf, topicNamed, uuid } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';

/** One random operation; its numbers pick names and counts. */
interface Operation {
  readonly kind: 'create' | 'delete' | 'grow' | 'topic-config' | 'broker-config' | 'producers' | 'register';
  readonly pick: number;
  readonly count: number;
}

const operations: fc.Arbitrary<Operation[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(
      'create',
      'delete',
      'grow',
      'topic-config',
      'broker-config',
      'producers',
      'register',
    ),
    pick: fc.nat(9),
    count: fc.integer({ min: 1, max: 6 }),
  }),
  { maxLength: 60 },
);

function run(state: TestState, { kind, pick, count }: Operation): void {
  const name = `topic.${pick}`;
  switch (kind) {
    case 'create': {
      const replicationFactor = 1 + (pick % 3);
      const configs = pick % 2 === 0 ? [{ name: 'retention.ms', value: String(count) }] : [];
      const topic = topicNamed(name, { numPartitions: count, replicationFactor, configs });
      carryOut(state, decideCreateTopics(state, [topic]));
      return;
    }
    case 'delete':
      carryOut(state, decideDeleteTopics(state, [state.image.topic(name)?.id ?? uuid(0)]));
      return;
    case 'grow':
      carryOut(state, decideCreatePartitions(state, [{ name, count, assignments: null }]));
      return;
    case 'topic-config':
    case 'broker-config': {
      const isTopic = kind === 'topic-config';
      const setting = isTopic ? 'segment.ms' : 'log.roll.ms';
      const configs = [{ name: setting, configOperation: count % 2, value: String(count) }];
      const resource = { resourceType: isTopic ? 2 : 4, resourceName: isTopic ? name : '', configs };
      carryOut(state, decideAlterConfigs(state, [resource]));
      return;
    }
    case 'producers':
      carryOut(state, decideProducerIds(state.image, 1 + (pick % 3)));
      return;
    default:
      carryOut(
        state,
        decideRegistration(state, {
          nodeId: 1 + (pick % 3),
          incarnationId: uuid(5_000 + count),
          endpoints: [],
          rack: `rack-${count}`,
          host: null,
          logDirectories: [uuid(1)],
          features: servedFeatures(),
        }),
      );
  }
}

describe('the metadata image', () => {
  it('is the same after a replay of the log, whatever the operations were', () => {
    fc.assert(
      fc.property(operations, (list) => {
        const state = stateOf({ nodes: [1, 2, 3] });
        for (const operation of list) run(state, operation);
        const replayed = new MetadataImage();
        for (const record of state.log) replayed.apply(decodeMetadataRecord(record));
        expect(contents(replayed)).toEqual(contents(state.image));
        const held = [...state.image.topics()].flatMap(({ partitions }) =>
          partitions.flatMap((p) => p.replicas),
        );
        for (const id of [1, 2, 3]) {
          expect(state.image.replicaCount(id)).toBe(held.filter((replica) => replica === id).length);
        }
      }),
    );
  });

  it('takes a new leader and new replicas for a partition', () => {
    const state = stateOf({ nodes: [1, 2, 3] });
    carryOut(state, decideCreateTopics(state, [topicNamed('t', { replicationFactor: 2 })]));
    const apply = (value: { leader?: number; replicas?: number[]; isr?: number[] }): void => {
      const bytes = encodeMetadataRecord({
        type: 'PartitionChangeRecord',
        value: { partitionId: 0, topicId: uuid(1), ...value },
      });
      state.image.apply(decodeMetadataRecord(bytes));
    };
    apply({ isr: [1] });
    expect(state.image.topic('t')?.partitions[0]).toMatchObject({
      leader: 1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      isr: [1],
    });
    apply({ leader: 3, replicas: [3, 2] });
    expect(state.image.topic('t')?.partitions[0]).toMatchObject({
      leader: 3,
      leaderEpoch: 1,
      partitionEpoch: 1,
      replicas: [3, 2],
      isr: [1],
    });
    expect([1, 2, 3].map((id) => state.image.replicaCount(id))).toEqual([0, 1, 1]);
    expect([1, 2, 3].map((id) => state.image.leaderCount(id))).toEqual([0, 0, 1]);
  });

  it('gives each block of producer ids once', () => {
    const state = stateOf({ nodes: [1, 2] });
    const blocks = [1, 2, 1].map((id) => carryOut(state, decideProducerIds(state.image, id)).result);
    expect(blocks).toEqual([
      { first: 0, count: 1000 },
      { first: 1000, count: 1000 },
      { first: 2000, count: 1000 },
    ]);
  });

  it('holds the features that a new cluster starts with, and forgets one that goes to level 0', () => {
    const state = stateOf({ nodes: [] });
    carryOut(state, decideBootstrap(state.image));
    expect([...state.image.features]).toEqual([
      ['metadata.version', 30],
      ['group.version', 1],
    ]);
    carryOut(state, {
      records: [{ type: 'FeatureLevelRecord', value: { name: 'metadata.version', featureLevel: 0 } }],
      result: undefined,
    });
    expect([...state.image.features]).toEqual([['group.version', 1]]);
  });

  it('knows a node by its last registration, with a new epoch each time', () => {
    const state = stateOf({ nodes: [1, 1] });
    const node = state.image.brokers.get(1);
    expect(node).toMatchObject({ id: 1, epoch: 1, host: 'machine', rack: null, fenced: false });
    carryOut(state, {
      records: [{ type: 'UnregisterBrokerRecord', value: { brokerId: 1 } }],
      result: undefined,
    });
    expect(state.image.brokers.size).toBe(0);
  });

  it('remembers with which directories a node was taken out, also when its number is another one’s, and in a snapshot', () => {
    const state = stateOf({ nodes: [1, 2] });
    const [directory] = state.image.brokers.get(2)!.logDirectories;
    const gone = memberId(2, directory!);
    expect(state.image.isGoneMember(gone)).toBe(false);
    const records = [{ type: 'UnregisterBrokerRecord', value: { brokerId: 2 } }] as const;
    carryOut(state, { records, result: undefined });
    const known = (): boolean[] => {
      const { image } = state;
      const copied = MetadataImage.fromSnapshot(
        [...image.records()].map((record) => decodeMetadataRecord(encodeMetadataRecord(record))),
        image.endOffset,
      );
      return [image, copied].flatMap((each) => [
        each.isGone(2),
        each.isGoneMember(gone),
        each.isGoneMember(memberId(1, directory!)),
      ]);
    };
    expect(known()).toEqual([true, true, false, true, true, false]);
    const features = servedFeatures();
    const other = { ...registrationOf(2, 50), logDirectories: [uuid(77)], features };
    carryOut(state, decideRegistration(state, other));
    expect(known()).toEqual([false, true, false, false, true, false]);
    expect(decideRegistration(state, { ...registrationOf(2, 51), features }).result).toMatchObject({
      error: 'INVALID_REGISTRATION',
    });
  });
});
