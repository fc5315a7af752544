/**
 * InitProducerId: an identity for an idempotent producer, from a block that is durable before it is used, so that no two
 * producers ever share one. Without a transactional id each call gives a fresh id at epoch 0, whatever id the client had.
 * With one it needs a transaction coordinator, which this node does not have: TRANSACTIONAL_ID_NOT_FOUND would invite a
 * retry, so the answer is INVALID_REQUEST, which clients do not repeat.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { clusterResource, defineHandler } from './handler.ts';
import { unlessLogRefuses } from './metadata-log-refusal.ts';

const none = { producerId: -1, producerEpoch: -1, throttleTimeMs: 0 };

export const initProducerId = defineHandler({
  api: 'InitProducerId',
  versions: [0, 5],
  async handle(context, request) {
    if (request.transactionalId !== null) {
      return { ...none, errorCode: ErrorCode.INVALID_REQUEST };
    }
    if (!context.authorize('IDEMPOTENT_WRITE', 'CLUSTER', clusterResource)) {
      return { ...none, errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED };
    }
    const allocated = context.node.cluster.allocateProducerId();
    return unlessLogRefuses(
      allocated.then((producerId) => ({ ...none, errorCode: ErrorCode.NONE, producerId, producerEpoch: 0 })),
      ({ error }) => ({ ...none, errorCode: ErrorCode[error] }),
    );
  },
});
