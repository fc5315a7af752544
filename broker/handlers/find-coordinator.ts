/**
 * FindCoordinator: which node coordinates a group: the leader of the partition of `__consumer_offsets` that the group's id hashes
 * to. The topic is made when the first group is looked for.
 *
 * Versions 0 to 3 ask for one key, 4 and later for several, each answered on its own. Key types: 0 group, 1 transaction
 * (v1+), 2 share (v6+). This broker has no coordinators for transactions and share groups. It says so with
 * INVALID_REQUEST, as Kafka does without a share coordinator: clients report that at once, where they would
 * repeat COORDINATOR_NOT_AVAILABLE until they time out.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { groupsTopic } from '../groups/group-service.ts';
import { partitionView } from './cluster-view.ts';
import { clusterResource, defineHandler } from './handler.ts';
import type { RequestContext } from './handler.ts';

interface Found {
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

const keyTypes = { group: 0, transaction: 1, share: 2 } as const;

export const findCoordinator = defineHandler({
  api: 'FindCoordinator',
  versions: [0, 6],
  async handle(context, request) {
    const { keyType } = request;
    if (context.apiVersion < 4) {
      return { throttleTimeMs: 0, ...(await find(context, keyType, request.key)) };
    }
    const coordinators = await Promise.all(
      request.coordinatorKeys.map(async (key) => ({ key, ...(await find(context, keyType, key)) })),
    );
    return { throttleTimeMs: 0, coordinators };
  },
});

async function find(context: RequestContext, keyType: number, key: string): Promise<Found> {
  const refusal = refusalOf(context, keyType, key);
  if (refusal !== undefined) return refusal;
  const { node } = context;
  const topic = await node.cluster.ensureInternalTopic(groupsTopic);
  if ('kind' in topic) return notFound(ErrorCode.COORDINATOR_NOT_AVAILABLE, topic.message);
  const partition = topic.partitions[node.groups.partitionFor(key)];
  const leader = partition === undefined ? -1 : partitionView(context, topic, partition).leaderId;
  const address = addressOf(context, leader);
  if (address === undefined)
    return notFound(ErrorCode.COORDINATOR_NOT_AVAILABLE, 'The coordinator has no leader.');
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    nodeId: leader,
    host: address.host,
    port: address.port,
  };
}

function refusalOf(context: RequestContext, keyType: number, key: string): Found | undefined {
  switch (keyType) {
    case keyTypes.group:
      if (context.authorize('DESCRIBE', 'GROUP', key)) return undefined;
      return notFound(ErrorCode.GROUP_AUTHORIZATION_FAILED, 'Not authorized to describe this group.');
    case keyTypes.transaction:
      if (context.authorize('DESCRIBE', 'TRANSACTIONAL_ID', key)) {
        return notFound(ErrorCode.INVALID_REQUEST, 'This broker has no transaction coordinator.');
      }
      return notFound(
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        'Not authorized to describe this transactional id.',
      );
    case keyTypes.share:
      if (context.apiVersion >= 6 && !context.authorize('CLUSTER_ACTION', 'CLUSTER', clusterResource)) {
        return notFound(
          ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
          'Not authorized to look for a share coordinator.',
        );
      }
      return notFound(ErrorCode.INVALID_REQUEST, 'This broker has no share coordinator.');
    default:
      return notFound(ErrorCode.INVALID_REQUEST, `There is no coordinator of type ${keyType}.`);
  }
}

function notFound(errorCode: ErrorCode, errorMessage: string | null): Found {
  return { errorCode, errorMessage, nodeId: -1, host: '', port: -1 };
}

/** Where a client of this listener reaches a node; undefined where that node is not known. */
function addressOf(context: RequestContext, nodeId: number): { host: string; port: number } | undefined {
  const { node } = context;
  if (nodeId === node.nodeId) return node.advertisedAddress(context.local);
  return node.cluster.image.brokers.get(nodeId)?.endpoints.find(({ name }) => name === context.listener);
}
