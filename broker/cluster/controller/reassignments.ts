/**
 * Other nodes for the replicas of partitions (KIP-455). Pure; see `controller.ts`.
 *
 * A decision only changes the intent: `replicas` becomes the target and, behind it, those that are to go (`removing`), of whom some
 * may vote until the group's own configuration is the target alone. The group's leader brings that about
 * (`membership-driver.ts`) and reports it; then the intent is the target and nothing else. A newer intent may come at any time, a
 * cancellation among them: it is no more than the former replicas as the target. Whoever was to be added then goes the same way
 * as all others that leave, as it may have got a vote meanwhile; its files stay until it has none.
 *
 * Invariants: `adding` and `removing` are parts of `replicas` and have nothing in common; `replicas` without `removing` is the
 * target, in order, and never empty; each change gives the partition a new revision.
 */
import type { ControllerState, Decision, Refusal } from './controller.ts';
import { DirectoryChoice } from './directories.ts';
import { drainedNodeFault } from './drained-nodes.ts';
import type { MetadataImage, PartitionImage, TopicImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';
import { unassignedDirectory } from '../metadata/partition-image.ts';
import { checkCapacity, checkReplicas } from './replica-assignment.ts';

export interface ReassignmentAsked {
  readonly topic: string;
  readonly partition: number;
  /** Node ids, the preferred leader first; null: the reassignment that is under way is taken back. */
  readonly replicas: readonly number[] | null;
}

export interface ReassignmentsAsked {
  readonly reassignments: readonly ReassignmentAsked[];
  readonly allowReplicationFactorChange: boolean;
}

export type ReassignmentOutcome = { readonly kind: 'accepted' } | ({ readonly kind: 'refused' } & Refusal);

/** A group whose committed configuration is the target of this revision, and nobody else. */
export interface CompletedReassignment {
  readonly topicId: string;
  readonly partition: number;
  readonly revision: number;
}

/** The replicas that are to be when nothing is under way any more, the preferred leader first. */
export function targetOf({ replicas, removing }: PartitionImage): number[] {
  return replicas.filter((id) => !removing.includes(id));
}

export function isReassigning({ adding, removing }: PartitionImage): boolean {
  return adding.length > 0 || removing.length > 0;
}

/** One outcome for each, in order. A partition must not stand twice. */
export function decideReassignments(
  state: ControllerState,
  { reassignments, allowReplicationFactorChange }: ReassignmentsAsked,
): Decision<ReassignmentOutcome[]> {
  const records: NewMetadataRecord[] = [];
  const choice = new DirectoryChoice(state);
  const result = reassignments.map((asked): ReassignmentOutcome => {
    const topic = state.image.topic(asked.topic);
    const partition = topic?.partitions[asked.partition];
    if (topic === undefined || partition === undefined) {
      const what =
        topic === undefined
          ? `a topic named ${asked.topic}`
          : `partition ${asked.partition} of ${asked.topic}`;
      return refused('UNKNOWN_TOPIC_OR_PARTITION', `Unable to find ${what}.`);
    }
    const target = asked.replicas ?? formerReplicas(partition);
    const refusal =
      asked.replicas === null
        ? checkCancellation(state.image, partition)
        : checkTarget(state, partition, target, allowReplicationFactorChange);
    if (refusal !== undefined) return { kind: 'refused', ...refusal };
    const record = reassignmentRecord(topic, partition, target, choice);
    if (record !== undefined) records.push(record);
    return { kind: 'accepted' };
  });
  return { records, result };
}

/** The groups' configurations have become the targets. What has been changed again meanwhile, or is gone, is passed over. */
export function decideCompletions(
  image: MetadataImage,
  completed: readonly CompletedReassignment[],
): Decision<void> {
  const records = completed.flatMap(({ topicId, partition: index, revision }): NewMetadataRecord[] => {
    const partition = image.topicById(topicId)?.partitions[index];
    if (partition === undefined || partition.partitionEpoch !== revision || !isReassigning(partition))
      return [];
    const replicas = targetOf(partition);
    return [
      {
        type: 'PartitionChangeRecord',
        value: {
          topicId,
          partitionId: index,
          replicas,
          isr: replicas,
          directories: replicas.map((id) => directoryIn(partition, id)),
          addingReplicas: [],
          removingReplicas: [],
        },
      },
    ];
  });
  return { records, result: undefined };
}

/** Undefined where nothing would change. */
export function reassignmentRecord(
  { id: topicId }: TopicImage,
  partition: PartitionImage,
  target: readonly number[],
  choice: DirectoryChoice,
): NewMetadataRecord | undefined {
  const before = partition.replicas;
  const removing = before.filter((id) => !target.includes(id));
  const adding = target.filter((id) => !before.includes(id) || partition.adding.includes(id));
  const replicas = [...target, ...removing];
  const isSame =
    replicas.every((id, place) => id === before[place]) &&
    removing.length === partition.removing.length &&
    adding.length === partition.adding.length;
  if (isSame) return undefined;
  return {
    type: 'PartitionChangeRecord',
    value: {
      topicId,
      partitionId: partition.index,
      replicas,
      directories: replicas.map((id) =>
        before.includes(id) ? directoryIn(partition, id) : choice.directoryFor(id),
      ),
      addingReplicas: adding,
      removingReplicas: removing,
    },
  };
}

/** As they were before what is under way. */
function formerReplicas({ replicas, adding, removing }: PartitionImage): number[] {
  const stayed = replicas.filter((id) => !adding.includes(id) && !removing.includes(id));
  return [...stayed, ...removing];
}

function checkCancellation(image: MetadataImage, partition: PartitionImage): Refusal | undefined {
  if (partition.adding.length === 0 && partition.removing.length === 0) {
    return { error: 'NO_REASSIGNMENT_IN_PROGRESS', message: 'No partition reassignment is in progress.' };
  }
  const former = formerReplicas(partition);
  const gone = former.find((id) => !image.brokers.has(id));
  if (gone === undefined && former.length > 0) return drainedNodeFault(image, former);
  const message =
    gone === undefined
      ? 'No replica would be left. Name the replicas that the partition is to have instead.'
      : `Broker ${gone}, to which the partition would go back, is not registered any more. Name other replicas.`;
  return { error: 'INVALID_REPLICA_ASSIGNMENT', message };
}

function checkTarget(
  state: ControllerState,
  partition: PartitionImage,
  target: readonly number[],
  allowReplicationFactorChange: boolean,
): Refusal | undefined {
  const refusal = checkReplicas(state, target, undefined);
  if (refusal !== undefined) return refusal;
  const before = targetOf(partition).length;
  if (!allowReplicationFactorChange && target.length !== before) {
    const message = `The replication factor is changed from ${before} to ${target.length}, which the request does not allow.`;
    return { error: 'INVALID_REPLICATION_FACTOR', message };
  }
  const added = target.filter((id) => !partition.replicas.includes(id));
  const capacity = checkCapacity(state, [added]);
  return capacity.kind === 'refused' ? { error: capacity.error, message: capacity.message } : undefined;
}

function directoryIn({ replicas, directories }: PartitionImage, nodeId: number): string {
  return directories[replicas.indexOf(nodeId)] ?? unassignedDirectory;
}

function refused(error: Refusal['error'], message: string): ReassignmentOutcome {
  return { kind: 'refused', error, message };
}
