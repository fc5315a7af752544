/**
 * CreatePartitions: more partitions for existing topics; answers when this node's new replicas are open. A topic that
 * stands twice is refused (INVALID_REQUEST). The request's time limit is not needed, as with CreateTopics.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { PartitionsCreation } from '../cluster/controller/create-partitions.ts';
import { defineHandler } from './handler.ts';
import { unlessLogRefuses } from './metadata-log-refusal.ts';

export const createPartitions = defineHandler({
  api: 'CreatePartitions',
  versions: [0, 3],
  async handle(context, request) {
    const names = request.topics.map(({ name }) => name);
    const repeated = new Set(names.filter((name, position) => names.indexOf(name) !== position));
    const allowed = request.topics.filter(
      ({ name }) => !repeated.has(name) && context.authorize('ALTER', 'TOPIC', name),
    );
    const created = await unlessLogRefuses(
      context.node.cluster.createPartitions(allowed, request.validateOnly),
      (refusal) => allowed.map(({ name }) => ({ kind: 'refused' as const, name, ...refusal })),
    );
    const byName = new Map(created.map((result) => [result.name, result]));
    const results = [...new Set(names)].map((name) => {
      if (repeated.has(name)) return refused(name, 'INVALID_REQUEST', 'Duplicate topic name.');
      return answer(name, byName.get(name));
    });
    return { throttleTimeMs: 0, results };
  },
});

function answer(name: string, result: PartitionsCreation | undefined) {
  if (result === undefined) return refused(name, 'TOPIC_AUTHORIZATION_FAILED', null);
  if (result.kind === 'refused') return refused(name, result.error, result.message);
  return { name, errorCode: ErrorCode.NONE, errorMessage: null };
}

function refused(name: string, error: keyof typeof ErrorCode, errorMessage: string | null) {
  return { name, errorCode: ErrorCode[error], errorMessage };
}
