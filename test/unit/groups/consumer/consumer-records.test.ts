/** Kafka's own bytes of the records of consumer groups: test/vectors/GroupRecordVectors.java made them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type {
  ConsumerGroupRecord,
  CurrentAssignment,
  MemberMetadata,
} from '../../../../broker/groups/consumer/consumer-records.ts';
import {
  decodeConsumerRecord,
  encodeConsumerRecord,
} from '../../../../broker/groups/consumer/consumer-records.ts';
import { durablePart, MachineDriver } from '../machine-driver.ts';

interface Vector {
  readonly name: string;
  readonly key: string;
  readonly value: string | null;
}

const file = join(import.meta.dirname, '../../../vectors/group-records.json');
const vectors: Vector[] = JSON.parse(readFileSync(file, 'utf8'));

const one = 'AAECAwQFBgcICQoLDA0ODw';
const two = '8PHy8_T19vf4-fr7_P3-_w';
const group = 'g';
const memberId = 'm';

function member(change: Partial<MemberMetadata> = {}): ConsumerGroupRecord {
  const value = {
    instanceId: null,
    rackId: null,
    clientId: 'c',
    clientHost: '/127.0.0.1',
    rebalanceTimeoutMs: 300_000,
    serverAssignor: null,
    topicNames: ['t1', 't2'],
    topicRegex: '',
    classic: null,
    ...change,
  };
  return { kind: 'member', group, memberId, value };
}

function current(change: Partial<CurrentAssignment> = {}): ConsumerGroupRecord {
  const value: CurrentAssignment = {
    epoch: 7,
    previousEpoch: 6,
    state: 'stable',
    assigned: new Map([[one, [0, 2]]]),
    pendingRevocation: new Map(),
    ...change,
  };
  return { kind: 'current', group, memberId, value };
}

const records: Readonly<Record<string, ConsumerGroupRecord>> = {
  group: { kind: 'consumer-group', group, value: { epoch: 7, metadataHash: 1_234_567_890_123 } },
  'group gone': { kind: 'consumer-group', group, value: null },
  'member by names': member(),
  'member by a pattern': member({
    instanceId: 'i',
    rackId: 'r',
    topicNames: [],
    topicRegex: '^t.*',
    serverAssignor: 'range',
  }),
  'member of the classic protocol': member({
    classic: {
      sessionTimeoutMs: 45_000,
      protocols: [
        { name: 'range', metadata: Buffer.from([1, 2, 3]) },
        { name: 'cooperative-sticky', metadata: Buffer.alloc(0) },
      ],
    },
  }),
  'member gone': { kind: 'member', group, memberId, value: null },
  'target metadata': {
    kind: 'target-metadata',
    group,
    value: { epoch: 7, assignedAtMs: 1_700_000_000_000 },
  },
  'target metadata gone': { kind: 'target-metadata', group, value: null },
  target: {
    kind: 'target',
    group,
    memberId,
    value: new Map([
      [one, [0, 2]],
      [two, [1]],
    ]),
  },
  'target of nothing': { kind: 'target', group, memberId, value: new Map() },
  'target gone': { kind: 'target', group, memberId, value: null },
  'current, stable': current(),
  'current, unrevoked_partitions': current({
    state: 'unrevoked',
    pendingRevocation: new Map([[two, [1]]]),
  }),
  'current, unreleased_partitions': current({ state: 'unreleased' }),
  'current gone': { kind: 'current', group, memberId, value: null },
  pattern: {
    kind: 'pattern',
    group,
    pattern: '^t.*',
    value: { topics: ['t1', 't2'], resolvedAtMs: 1_700_000_000_001 },
  },
  'pattern gone': { kind: 'pattern', group, pattern: '^t.*', value: null },
};

function bytesOf({ key, value }: Vector): { key: Buffer; value: Buffer | null } {
  return { key: Buffer.from(key, 'hex'), value: value === null ? null : Buffer.from(value, 'hex') };
}

function vector(name: string): { key: Buffer; value: Buffer | null } {
  const found = vectors.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no vector of ${name}`);
  return bytesOf(found);
}

describe('records of consumer groups', () => {
  test('every vector is looked at', () => {
    const others = [
      'group with a hash of 64 bits',
      'current, stable, with assignment epochs',
      'partition metadata of Kafka 3.7 to 4.0',
    ];
    expect(vectors.map(({ name }) => name).toSorted()).toEqual(
      [...Object.keys(records), ...others].toSorted(),
    );
  });

  test.each(Object.keys(records))('%s: the same bytes as Kafka’s, both ways', (name) => {
    const { key, value } = vector(name);
    expect(decodeConsumerRecord(key, value)).toEqual(records[name]);
    const encoded = encodeConsumerRecord(records[name]!);
    expect([encoded.key.toString('hex'), encoded.value?.toString('hex')]).toEqual([
      key.toString('hex'),
      value?.toString('hex'),
    ]);
  });

  test('since when a partition is a member’s is read over', () => {
    const { key, value } = vector('current, stable, with assignment epochs');
    expect(decodeConsumerRecord(key, value)).toEqual(current());
  });

  test('a member of Kafka 3.7, whose record says nothing of the classic protocol, takes no part by it', () => {
    const { key, value } = vector('member by names');
    const [withNull, without] = ['01000100', '00'];
    const hex = value?.toString('hex') ?? '';
    expect(hex.endsWith(withNull)).toBe(true);
    const shorter = Buffer.from(hex.slice(0, -withNull.length) + without, 'hex');
    expect(decodeConsumerRecord(key, shorter)).toEqual(member());
  });

  test('the partitions of topics that Kafka kept once are read over', () => {
    const { key, value } = vector('partition metadata of Kafka 3.7 to 4.0');
    expect(decodeConsumerRecord(key, value)).toBeUndefined();
  });

  test('a hash of topics that takes all of 64 bits is no obstacle', () => {
    const { key, value } = vector('group with a hash of 64 bits');
    const record = decodeConsumerRecord(key, value);
    expect(record).toMatchObject({ kind: 'consumer-group', value: { epoch: 8 } });
  });

  test('a group that Kafka wrote goes on', () => {
    const names = ['group', 'member by names', 'target metadata', 'target', 'current, unreleased_partitions'];
    const driver = new MachineDriver({}, names.map(vector));
    expect(durablePart(driver)).toBeDefined();
    expect(driver.machine.groups.get('g')?.state).toBe('Reconciling');
  });
});
