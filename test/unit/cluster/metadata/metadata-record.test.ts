import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
  hostField,
  registeredHost,
} from '../../../../broker/cluster/metadata/metadata-record.ts';
import type { RecordKind } from '../../../../broker/cluster/metadata/metadata-record.ts';
import { uuid } from '../cluster-fixtures.ts';

/** Every kind there is: the compiler sees to it. */
const kinds: Record<RecordKind, () => Buffer> = {
  RegisterBrokerRecord: () => encodeMetadataRecord({ type: 'RegisterBrokerRecord', value: {} }),
  UnregisterBrokerRecord: () => encodeMetadataRecord({ type: 'UnregisterBrokerRecord', value: {} }),
  TopicRecord: () => encodeMetadataRecord({ type: 'TopicRecord', value: {} }),
  PartitionRecord: () => encodeMetadataRecord({ type: 'PartitionRecord', value: {} }),
  ConfigRecord: () => encodeMetadataRecord({ type: 'ConfigRecord', value: {} }),
  PartitionChangeRecord: () => encodeMetadataRecord({ type: 'PartitionChangeRecord', value: {} }),
  RemoveTopicRecord: () => encodeMetadataRecord({ type: 'RemoveTopicRecord', value: {} }),
  FeatureLevelRecord: () => encodeMetadataRecord({ type: 'FeatureLevelRecord', value: {} }),
  ProducerIdsRecord: () => encodeMetadataRecord({ type: 'ProducerIdsRecord', value: {} }),
  BrokerRegistrationChangeRecord: () =>
    encodeMetadataRecord({ type: 'BrokerRegistrationChangeRecord', value: {} }),
};

describe('metadata records', () => {
  it('have the frame of Kafka: frame version, type, version, body', () => {
    const bytes = encodeMetadataRecord({ type: 'TopicRecord', value: { name: 'foo', topicId: uuid(7) } });
    const name = [4, ...Buffer.from('foo')];
    const id = [...Buffer.from(uuid(7), 'base64url')];
    expect([...bytes]).toEqual([1, 2, 0, ...name, ...id, 0]);
  });

  it('come back as they were written', () => {
    const partition = {
      partitionId: 3,
      topicId: uuid(7),
      replicas: [2, 1],
      isr: [2, 1],
      leader: 2,
      leaderEpoch: 0,
      partitionEpoch: 0,
      directories: [uuid(102), uuid(101)],
    };
    const read = decodeMetadataRecord(encodeMetadataRecord({ type: 'PartitionRecord', value: partition }));
    expect(read.type).toBe('PartitionRecord');
    expect(read.value).toMatchObject(partition);
    const config = { resourceType: 2, resourceName: 'foo', name: 'retention.ms', value: null };
    expect(decodeMetadataRecord(encodeMetadataRecord({ type: 'ConfigRecord', value: config }))).toEqual({
      type: 'ConfigRecord',
      value: config,
    });
  });

  it('keep the machine that a node runs on beside the fields of Kafka', () => {
    const value = { brokerId: 1, incarnationId: uuid(1), unknownTaggedFields: hostField('zebra-7') };
    const read = decodeMetadataRecord(encodeMetadataRecord({ type: 'RegisterBrokerRecord', value }));
    expect(read.type === 'RegisterBrokerRecord' && registeredHost(read.value)).toBe('zebra-7');
    const bare = decodeMetadataRecord(
      encodeMetadataRecord({ type: 'RegisterBrokerRecord', value: { brokerId: 1 } }),
    );
    expect(bare.type === 'RegisterBrokerRecord' && registeredHost(bare.value)).toBeNull();
  });

  it('are those that storage-format.md lists, by number and version', () => {
    const document = readFileSync(join(import.meta.dirname, '../../../../storage-format.md'), 'utf8');
    const rows = [...document.matchAll(/^\| (\d+) \| (\w+Record) \| (\d+) \|/gm)];
    const listed = rows.map(([, number, name, version]) => [name, Number(number), Number(version)]);
    const written = Object.entries(kinds).map(([type, encode]) => {
      const bytes = encode();
      expect(decodeMetadataRecord(bytes).type).toBe(type);
      return [type, bytes[1], bytes[2]];
    });
    expect(listed).toEqual(written);
  });

  it.each([
    ['nothing at all', [], 'short'],
    ['a frame without a version', [1, 2], 'short'],
    ['a frame of the future', [2, 2, 0, 4], 'unsupported-version'],
    ['a type that nobody knows', [1, 99, 0, 4], 'unknown-message'],
    ['a type of Kafka that has no place here', [1, 11, 0, 4], 'unknown-message'],
    ['a version of the future', [1, 2, 9, 4], 'unsupported-version'],
    ['a body that is cut', [1, 2, 0, 4, 102], 'short'],
    [
      'bytes behind the body',
      [...Buffer.from('0109000000000000000000000000000000000000ff', 'hex')],
      'trailing-bytes',
    ],
  ])('are refused by name: %s', (_, bytes, code) => {
    expect(() => decodeMetadataRecord(Buffer.from(bytes))).toThrowError(expect.objectContaining({ code }));
  });
});
