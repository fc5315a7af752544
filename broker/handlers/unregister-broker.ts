/**
 * UnregisterBroker: a node is out of the cluster for good. One that is alive and still holds replicas is refused, as they would be
 * lost without a word (INVALID_REQUEST); Kafka takes it out and leaves its partitions short of replicas.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { clusterResource, defineHandler } from './handler.ts';
import { unlessLogRefuses } from './metadata-log-refusal.ts';

export const unregisterBroker = defineHandler({
  api: 'UnregisterBroker',
  versions: [0, 0],
  async handle(context, request) {
    if (!context.authorize('ALTER', 'CLUSTER', clusterResource)) {
      const errorMessage = 'Cluster authorization failed.';
      return { throttleTimeMs: 0, errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED, errorMessage };
    }
    const outcome = await unlessLogRefuses(context.node.cluster.unregister(request.brokerId), (refusal) => ({
      kind: 'refused' as const,
      ...refusal,
    }));
    if (outcome.kind === 'unregistered')
      return { throttleTimeMs: 0, errorCode: ErrorCode.NONE, errorMessage: null };
    return { throttleTimeMs: 0, errorCode: ErrorCode[outcome.error], errorMessage: outcome.message };
  },
});
