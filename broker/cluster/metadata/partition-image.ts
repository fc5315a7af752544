/** A partition as the metadata has it: who is to hold it. Pure; part of `metadata-image.ts`. */
import { foundersAfter, foundersField, foundersOf, recordedFounders } from './founders.ts';
import type { Founder } from './founders.ts';
import type { NewMetadataRecord, RecordValue } from './metadata-record.ts';

export interface PartitionImage {
  readonly index: number;
  /** Node ids, those to be added and to be removed among them; the first is the preferred leader. */
  readonly replicas: readonly number[];
  /** As the records say; who is in sync now is the replicas' to say. */
  readonly isr: readonly number[];
  readonly leader: number;
  readonly leaderEpoch: number;
  /** The revision of the intent: grows with each change of `replicas`, `adding`, `removing` or a directory that was known. */
  readonly partitionEpoch: number;
  /** The log directory of each replica, in the order of `replicas`. */
  readonly directories: readonly string[];
  /** Members of `replicas` that a reassignment brings in; empty without one. */
  readonly adding: readonly number[];
  /** Members of `replicas` that a reassignment takes out. */
  readonly removing: readonly number[];
  /** Whom it was created with, after a change of that and until it is carried out for the first time. */
  readonly founders: readonly Founder[] | undefined;
}

/** Kafka's DirectoryId.UNASSIGNED. */
export const unassignedDirectory = 'AAAAAAAAAAAAAAAAAAAAAA';

/** In a PartitionChangeRecord: the leader stays as it is. */
const leaderUnchanged = -2;

export function partitionImage(value: RecordValue<'PartitionRecord'>): PartitionImage {
  return {
    index: value.partitionId,
    replicas: value.replicas,
    isr: value.isr,
    leader: value.leader,
    leaderEpoch: value.leaderEpoch,
    partitionEpoch: value.partitionEpoch,
    directories: value.directories,
    adding: value.addingReplicas,
    removing: value.removingReplicas,
    founders: recordedFounders(value.unknownTaggedFields),
  };
}

export function partitionAfter(
  before: PartitionImage,
  value: RecordValue<'PartitionChangeRecord'>,
): PartitionImage {
  const leaderChanges = value.leader !== leaderUnchanged;
  const directories = value.directories ?? before.directories;
  const replicas = value.replicas ?? before.replicas;
  const intentChanges =
    value.replicas !== null ||
    value.addingReplicas !== null ||
    value.removingReplicas !== null ||
    before.directories.some((id, at) => id !== unassignedDirectory && id !== directories[at]);
  const isFirstChange = intentChanges && before.partitionEpoch === 0;
  const founders = isFirstChange ? foundersOf(before, unassignedDirectory) : before.founders;
  return {
    index: before.index,
    replicas,
    isr: value.isr ?? before.isr,
    leader: leaderChanges ? value.leader : before.leader,
    leaderEpoch: before.leaderEpoch + (leaderChanges ? 1 : 0),
    partitionEpoch: before.partitionEpoch + (intentChanges ? 1 : 0),
    directories,
    adding: value.addingReplicas ?? before.adding,
    removing: value.removingReplicas ?? before.removing,
    founders: foundersAfter(founders, { replicas, directories }),
  };
}

/** The record that makes this partition as it is. */
export function partitionRecord(topicId: string, partition: PartitionImage): NewMetadataRecord {
  const { index, adding, removing, founders, ...rest } = partition;
  const value = {
    ...rest,
    topicId,
    partitionId: index,
    addingReplicas: adding,
    removingReplicas: removing,
    ...(founders === undefined ? {} : { unknownTaggedFields: foundersField(founders) }),
  };
  return { type: 'PartitionRecord', value };
}
