import { ErrorCode } from '../../protocol/index.ts';
import { brokerError } from '../errors.ts';
import type { Cluster } from './cluster.ts';
import type { NodeInfo } from './metadata-cache.ts';

/** Asks any broker which one coordinates the group; one attempt. From version 4 on, one request asks for many. */
export async function findCoordinator(
  cluster: Cluster,
  groupId: string,
  signal?: AbortSignal,
): Promise<NodeInfo> {
  const response = await cluster.request(
    'FindCoordinator',
    (version) => (version < 4 ? { key: groupId } : { coordinatorKeys: [groupId] }),
    { target: 'any', signal },
  );
  const answer = response.coordinators[0] ?? response;
  if (answer.errorCode !== ErrorCode.NONE) {
    throw brokerError(answer.errorCode, `find the coordinator of the group ${groupId}`, answer.errorMessage);
  }
  return { id: answer.nodeId, host: answer.host, port: answer.port, rack: null };
}
