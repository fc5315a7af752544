import { describe, expect, it } from 'vitest';
import { intendedMembers } from '../../../../broker/cluster/partitions/wanted-replicas.ts';
import {
  partitionAfter,
  partitionImage,
  partitionRecord,
} from '../../../../broker/cluster/metadata/partition-image.ts';
import type { PartitionImage } from '../../../../broker/cluster/metadata/partition-image.ts';
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
} from '../../../../broker/cluster/metadata/metadata-record.ts';
import { firstConfiguration } from '../../../../broker/partition/first-configuration.ts';
import { directoryOf } from '../memory-group.ts';
import { uuid } from '../cluster-fixtures.ts';

const founders = [1, 2, 3].map((id) => `${id}/${directoryOf(id)}`);

function created(): PartitionImage {
  const value = {
    partitionId: 0,
    topicId: uuid(1),
    replicas: [1, 2, 3],
    isr: [],
    leader: 1,
    partitionEpoch: 0,
  };
  const directories = [1, 2, 3].map(directoryOf);
  return read(encodeMetadataRecord({ type: 'PartitionRecord', value: { ...value, directories } }));
}

function read(bytes: Buffer): PartitionImage {
  const record = decodeMetadataRecord(bytes);
  if (record.type !== 'PartitionRecord') throw new Error('It is another record.');
  return partitionImage(record.value);
}

function changed(
  before: PartitionImage,
  change: { replicas?: number[]; directories: string[] },
): PartitionImage {
  const value = { partitionId: 0, topicId: uuid(1), ...change };
  const record = decodeMetadataRecord(encodeMetadataRecord({ type: 'PartitionChangeRecord', value }));
  if (record.type !== 'PartitionChangeRecord') throw new Error('It is another record.');
  return partitionAfter(before, record.value);
}

/** Whom a replica that is opened only now takes for the voters. */
function votersOf(image: PartitionImage, nodeId: number, directory = directoryOf(nodeId)): readonly string[] {
  return firstConfiguration(`${nodeId}/${directory}`, intendedMembers(image, nodeId)).voters;
}

const moving = changed(created(), { replicas: [4, 2, 3, 1], directories: [4, 2, 3, 1].map(directoryOf) });

describe('who a partition was created with', () => {
  it('is known to those of them that come only after the first change, and to nobody else', () => {
    expect(votersOf(created(), 3)).toEqual(founders);
    for (const id of [1, 2, 3]) expect(votersOf(moving, id)).toEqual(founders);
    expect(votersOf(moving, 4)).toEqual([2, 3, 1].map((id) => founders[id - 1]));
    const backAgain = changed(moving, { replicas: [1, 2, 3], directories: [1, 2, 3].map(directoryOf) });
    expect(votersOf(backAgain, 3)).toEqual(founders);
  });

  it('counts one no more that was to have another directory meanwhile, which may hold what it has forgotten', () => {
    const elsewhere = changed(created(), { directories: [directoryOf(1), directoryOf(2), uuid(9)] });
    expect(votersOf(elsewhere, 3, uuid(9))).toEqual(founders.slice(0, 2));
    expect(votersOf(elsewhere, 2)).toEqual(founders);
    const back = changed(elsewhere, { directories: [1, 2, 3].map(directoryOf) });
    expect(votersOf(back, 3)).toEqual(founders.slice(0, 2));
    expect(votersOf(back, 2)).toEqual(founders);
  });

  it('is forgotten once one of them is taken out, as there is a leader then', () => {
    const moved = changed(moving, { replicas: [4, 2, 3], directories: [4, 2, 3].map(directoryOf) });
    expect(moved.founders).toBeUndefined();
    expect(votersOf(moved, 3)).toEqual([`4/${directoryOf(4)}`, founders[1]]);
    const again = changed(moved, { replicas: [1, 2, 3], directories: [1, 2, 3].map(directoryOf) });
    expect(votersOf(again, 1)).toEqual(founders.slice(1));
  });

  it('is in snapshots', () => {
    const restored = read(encodeMetadataRecord(partitionRecord(uuid(1), moving)));
    expect(restored).toEqual(moving);
    expect(restored.founders).toHaveLength(3);
  });
});
