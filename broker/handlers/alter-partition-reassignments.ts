/**
 * AlterPartitionReassignments (KIP-455): other replicas for partitions, or null to take back what is under way. Answers when the
 * metadata has it; the leaders of the partitions then carry it out, and ListPartitionReassignments tells how far that is. From
 * version 1 a client may forbid that the number of replicas changes. A partition that stands twice is refused
 * (INVALID_REQUEST). The request's time limit is not needed.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { Refusal } from '../cluster/controller/controller.ts';
import type { ReassignmentAsked, ReassignmentOutcome } from '../cluster/controller/reassignments.ts';
import { clusterResource, defineHandler } from './handler.ts';
import { unlessLogRefuses } from './metadata-log-refusal.ts';

export const alterPartitionReassignments = defineHandler({
  api: 'AlterPartitionReassignments',
  versions: [0, 1],
  async handle(context, request) {
    const { allowReplicationFactorChange, topics } = request;
    const head = { throttleTimeMs: 0, allowReplicationFactorChange };
    if (!context.authorize('ALTER', 'CLUSTER', clusterResource)) {
      const errorMessage = 'Cluster authorization failed.';
      return { ...head, errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED, errorMessage, responses: [] };
    }
    const asked = topics.flatMap(({ name, partitions }): ReassignmentAsked[] =>
      partitions.map(({ partitionIndex, replicas }) => ({
        topic: name,
        partition: partitionIndex,
        replicas,
      })),
    );
    const counts = new Map<string, number>();
    for (const each of asked) counts.set(keyOf(each), (counts.get(keyOf(each)) ?? 0) + 1);
    const reassignments = asked.filter((each) => counts.get(keyOf(each)) === 1);
    const outcomes = await unlessLogRefuses(
      context.node.cluster.reassign({ reassignments, allowReplicationFactorChange }),
      (refusal) => reassignments.map(() => ({ kind: 'refused' as const, ...refusal })),
    );
    const byKey = new Map(reassignments.map((each, place) => [keyOf(each), outcomes[place]]));
    const responses = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        ...answer(byKey.get(keyOf({ topic: name, partition: partitionIndex })) ?? repeated),
      })),
    }));
    return { ...head, errorCode: ErrorCode.NONE, errorMessage: null, responses };
  },
});

const repeated: { readonly kind: 'refused' } & Refusal = {
  kind: 'refused',
  error: 'INVALID_REQUEST',
  message: 'The partition stands in the request more than once.',
};

function answer(outcome: ReassignmentOutcome): { errorCode: ErrorCode; errorMessage: string | null } {
  if (outcome.kind === 'accepted') return { errorCode: ErrorCode.NONE, errorMessage: null };
  return { errorCode: ErrorCode[outcome.error], errorMessage: outcome.message };
}

function keyOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}:${partition}`;
}
