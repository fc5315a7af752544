import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppliedMetadata } from '../../../../broker/cluster/metadata/applied-metadata.ts';
import { decideAlterConfigs } from '../../../../broker/cluster/controller/alter-configs.ts';
import { decideProducerIds } from '../../../../broker/cluster/controller/controller.ts';
import { decideCreatePartitions } from '../../../../broker/cluster/controller/create-partitions.ts';
import { decideCreateTopics } from '../../../../broker/cluster/controller/create-topics.ts';
import { decideDeleteTopics } from '../../../../broker/cluster/controller/delete-topics.ts';
import { MetadataImage } from '../../../../broker/cluster/metadata/metadata-image.ts';
import type { MetadataChange } from '../../../../broker/cluster/metadata/metadata-image.ts';
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
} from '../../../../broker/cluster/metadata/metadata-record.ts';
import type { NewMetadataRecord } from '../../../../broker/cluster/metadata/metadata-record.ts';
import { MetadataSnapshots } from '../../../../broker/cluster/metadata/metadata-snapshots.ts';
import { decideUnregistration } from '../../../../broker/cluster/controller/registration.ts';
import { ReplicaMetadataLog } from '../../../../broker/cluster/metadata/replica-metadata-log.ts';
import { SnapshotStore } from '../../../../broker/partition/consensus/catch-up/snapshot-store.ts';
import type { SnapshotPoint } from '../../../../broker/partition/consensus/catch-up/snapshot-store.ts';
import { ManualClock } from '../../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../../platform/memory-disk.ts';
import { carryOut, contents, stateOf, topicNamed } from '../cluster-fixtures.ts';
import type { TestState } from '../cluster-fixtures.ts';
import { settle } from '../memory-cluster.ts';
import { MemoryGroup } from '../memory-group.ts';

interface Step {
  readonly kind:
    | 'create'
    | 'delete'
    | 'grow'
    | 'config'
    | 'unset'
    | 'producers'
    | 'fence'
    | 'unregister'
    | 'move';
  readonly pick: number;
  readonly count: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(
    ...(['create', 'create', 'delete', 'grow', 'config', 'unset', 'producers', 'fence', 'move'] as const),
    'unregister',
  ),
  pick: fc.nat(5),
  count: fc.integer({ min: 1, max: 4 }),
});

function take(state: TestState, { kind, pick, count }: Step): MetadataChange[] {
  const name = `topic.${pick}`;
  const topic = state.image.topic(name);
  const write = (...records: NewMetadataRecord[]): MetadataChange[] =>
    carryOut(state, { records, result: undefined }).changes;
  switch (kind) {
    case 'create': {
      const configs = pick % 2 === 0 ? [{ name: 'retention.ms', value: String(count) }] : [];
      return carryOut(state, decideCreateTopics(state, [topicNamed(name, { numPartitions: count, configs })]))
        .changes;
    }
    case 'delete':
      return carryOut(state, decideDeleteTopics(state, topic === undefined ? [] : [topic.id])).changes;
    case 'grow':
      return carryOut(state, decideCreatePartitions(state, [{ name, count, assignments: null }])).changes;
    case 'config':
    case 'unset': {
      const configs = [
        { name: 'segment.ms', configOperation: kind === 'unset' ? 1 : 0, value: String(count) },
      ];
      return carryOut(state, decideAlterConfigs(state, [{ resourceType: 2, resourceName: name, configs }]))
        .changes;
    }
    case 'producers':
      return carryOut(state, decideProducerIds(state.image, 1)).changes;
    case 'fence': {
      const broker = state.image.brokers.get(1 + (pick % 3));
      if (broker === undefined) return [];
      const { id: brokerId, epoch: brokerEpoch } = broker;
      const value = {
        brokerId,
        brokerEpoch,
        fenced: broker.fenced ? -1 : 1,
        inControlledShutdown: count % 2,
      };
      return write({ type: 'BrokerRegistrationChangeRecord', value });
    }
    case 'unregister':
      return carryOut(state, decideUnregistration(state, 1 + (pick % 3))).changes;
    default: {
      if (topic === undefined) return [];
      const value = {
        topicId: topic.id,
        partitionId: 0,
        replicas: [1, 2, 3].slice(0, count),
        addingReplicas: [2].slice(0, count - 1),
        removingReplicas: pick % 2 === 0 ? [1] : null,
      };
      return write({ type: 'PartitionChangeRecord', value });
    }
  }
}

function snapshotOf(image: MetadataImage): Buffer[] {
  return [...image.records()].map((record) => encodeMetadataRecord(record));
}

/** All that an image holds, what it remembers of the past among it. */
function all(image: MetadataImage): object {
  return { ...contents(image), records: snapshotOf(image).map(String) };
}

describe('a snapshot of the image', () => {
  it('with the records after it makes the image that all records make', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(step, { maxLength: 20 }), (before, after) => {
        const state = stateOf({ nodes: [1, 2, 3] });
        for (const each of before) take(state, each);
        const records = snapshotOf(state.image).map((record) => decodeMetadataRecord(record));
        const restored = MetadataImage.fromSnapshot(records, state.image.endOffset);
        expect(all(restored)).toEqual(all(state.image));
        const from = state.log.length;
        for (const each of after) take(state, each);
        for (const record of state.log.slice(from)) restored.apply(decodeMetadataRecord(record));
        expect(all(restored)).toEqual(all(state.image));
      }),
    );
  });

  it('that takes the place of an image tells what is different, so that who follows has the same', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.array(step, { maxLength: 20 }), (before, after) => {
        const state = stateOf({ nodes: [1, 2, 3] });
        const applied = new AppliedMetadata(new ManualClock());
        for (const each of before) take(state, each);
        applied.apply({ records: state.log, endOffset: state.log.length });
        // A follower that knows only what it is told.
        const told = new Map<string, string>();
        const partition = ({
          topic,
          partition: index,
        }: {
          topic: { id: string };
          partition: number;
        }): void => {
          told.set(
            `${topic.id}-${index}`,
            JSON.stringify(applied.image.topicById(topic.id)?.partitions[index]),
          );
        };
        const config = (type: number, name: string): void => {
          told.set(`config ${type} ${name}`, JSON.stringify([...applied.image.settings(type, name)]));
        };
        const hear = (changes: readonly MetadataChange[]): void => {
          for (const change of changes) {
            if (change.kind === 'partition-created' || change.kind === 'partition-changed') partition(change);
            else if (change.kind === 'config-changed') config(change.resourceType, change.resourceName);
            else if (change.kind === 'broker-changed') {
              told.set(`broker ${change.nodeId}`, JSON.stringify(change.broker ?? null));
            } else if (change.kind === 'topic-deleted') {
              told.delete(`config 2 ${change.topic.name}`);
              for (const { index } of change.topic.partitions) told.delete(`${change.topic.id}-${index}`);
            }
          }
        };
        for (const topic of applied.image.topics()) {
          for (const { index } of topic.partitions) partition({ topic, partition: index });
          config(2, topic.name);
        }
        for (const [id, broker] of applied.image.brokers) told.set(`broker ${id}`, JSON.stringify(broker));
        applied.onChanges(hear);
        for (const each of after) take(state, each);
        applied.install({ records: snapshotOf(state.image), endOffset: state.image.endOffset });
        expect(all(applied.image)).toEqual(all(state.image));
        for (const topic of state.image.topics()) {
          for (const each of topic.partitions) {
            expect(told.get(`${topic.id}-${each.index}`)).toBe(JSON.stringify(each));
            told.delete(`${topic.id}-${each.index}`);
          }
          const settings = JSON.stringify([...state.image.settings(2, topic.name)]);
          expect(told.get(`config 2 ${topic.name}`) ?? '[]').toBe(settings);
          told.delete(`config 2 ${topic.name}`);
        }
        for (const id of [1, 2, 3]) {
          expect(told.get(`broker ${id}`) ?? 'null').toBe(
            JSON.stringify(state.image.brokers.get(id) ?? null),
          );
          told.delete(`broker ${id}`);
        }
        expect([...told.keys()]).toEqual([]);
      }),
    );
  });
});

const alone = { voters: ['1/a'], outgoing: [], learners: [], revision: 0 } as const;

function pointAt(endOffset: number): SnapshotPoint {
  return {
    endOffset,
    lastIndex: endOffset,
    lastTerm: 1,
    configuration: { index: 0, configuration: alone },
  };
}

interface Life {
  readonly log: ReplicaMetadataLog;
  readonly applied: AppliedMetadata;
  readonly store: SnapshotStore;
  readonly written: number[];
  readonly failures: unknown[];
}

/** A life of the one node of a group, on a disk of snapshots. */
async function live(group: MemoryGroup, disk: MemoryDisk): Promise<Life> {
  const clock = new ManualClock();
  const store = await SnapshotStore.open(disk, '/log');
  const applied = new AppliedMetadata(clock);
  const written: number[] = [];
  const failures: unknown[] = [];
  const snapshots = new MetadataSnapshots({
    store,
    take: async (endOffset, records) => {
      await store.write(pointAt(endOffset), 0, records);
      written.push(endOffset);
    },
    onFailure: (error) => failures.push(error),
    logBytesMin: 1_000,
  });
  const log = new ReplicaMetadataLog(group.replicas.get(1)!, clock, snapshots);
  await log.start({
    committed: (batch) => applied.apply(batch),
    installed: (snapshot) => applied.install(snapshot),
    snapshot: () => snapshotOf(applied.image),
    moved: () => {},
    failed: (error) => failures.push(error),
  });
  return { log, applied, store, written, failures };
}

async function openGroup(): Promise<{ group: MemoryGroup; disk: MemoryDisk }> {
  const group = new MemoryGroup([1]);
  const replica = group.replicas.get(1)!;
  group.elect(replica, [replica]);
  const disk = new MemoryDisk();
  await disk.makeDirectory('/log');
  return { group, disk };
}

/** Topics, one to an operation. */
async function write({ log, applied }: Life, count: number): Promise<void> {
  for (let made = 0; made < count; made++) {
    const state = { ...stateOf({ nodes: [1] }), image: applied.image };
    const name = `t${applied.image.endOffset}`;
    state.newTopicId = () => Buffer.from(name.padEnd(16, '.')).toString('base64url');
    const { records } = decideCreateTopics({ ...state, image: applied.image }, [
      topicNamed(name, { assignments: [], numPartitions: 1 }),
    ]);
    await log.append(records.map((record) => encodeMetadataRecord(record)));
    await settle();
  }
}

async function register({ log, applied }: Life): Promise<void> {
  const records = [...stateOf({ nodes: [1] }).image.records()].slice(0, 1);
  await log.append(records.map((record) => encodeMetadataRecord(record)));
  expect(applied.image.brokers.size).toBe(1);
}

describe('snapshots of the metadata log', () => {
  it('are written as the log grows, and a start goes on from the newest', async () => {
    const { group, disk } = await openGroup();
    const first = await live(group, disk);
    await register(first);
    await write(first, 20);
    await first.log.close();
    expect(first.written.length).toBeGreaterThan(1);
    expect(first.failures).toEqual([]);
    const replica = group.replicas.get(1)!;
    // The log may lose what the snapshot has.
    replica.logStartOffset = first.written.at(-1)!;
    const second = await live(group, disk);
    expect(all(second.applied.image)).toEqual(all(first.applied.image));
    await write(second, 3);
    expect(second.applied.image.topicCount).toBe(23);
    await second.log.close();
  });

  it('take the place of the image where the log was replaced by one that begins later', async () => {
    const { group, disk } = await openGroup();
    const ahead = await live(group, disk);
    await register(ahead);
    await write(ahead, 20);
    await ahead.log.close();
    const replica = group.replicas.get(1)!;
    const [entries, committed] = [replica.entries, replica.committed];
    replica.entries = entries.slice(0, 4);
    replica.committed = 4;
    const behindDisk = new MemoryDisk();
    await behindDisk.makeDirectory('/log');
    const behind = await live(group, behindDisk);
    expect(behind.applied.image.topicCount).toBeLessThan(4);
    // What consensus does when a leader has sent its snapshot: the file is there, then the log begins after it.
    const { newest } = ahead.store;
    await behind.store.write(newest!, 0, await ahead.store.records(newest!));
    replica.logStartOffset = newest!.endOffset;
    replica.entries = entries;
    replica.committed = committed;
    replica.moved();
    for (let round = 0; round < 10; round++) await settle();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    for (let round = 0; round < 10; round++) await settle();
    expect(all(behind.applied.image)).toEqual(all(ahead.applied.image));
    expect(behind.failures).toEqual([]);
    await behind.log.close();
  });

  it('that are missing where the log does not reach back are no reason to begin with less', async () => {
    const { group, disk } = await openGroup();
    const first = await live(group, disk);
    await register(first);
    await first.log.close();
    group.replicas.get(1)!.logStartOffset = 1;
    await expect(live(group, disk)).rejects.toMatchObject({
      code: 'failed',
      message: 'the metadata log begins at 1, and no snapshot reaches that far',
    });
  });

  it('that cannot be read are left for the one before, and told', async () => {
    const { group, disk } = await openGroup();
    const first = await live(group, disk);
    await register(first);
    await write(first, 20);
    await first.log.close();
    const names = (await disk.list('/log')).filter((name) => name.endsWith('.checkpoint')).toSorted();
    expect(names).toHaveLength(2);
    const file = await disk.open(`/log/${names[1]!}`, 'write');
    await file.write([Buffer.from('rot')], 150);
    await file.close();
    const second = await live(group, disk);
    expect(all(second.applied.image)).toEqual(all(first.applied.image));
    expect((await disk.list('/log')).filter((name) => name.endsWith('.damaged'))).toHaveLength(1);
    await second.log.close();
  });
});
