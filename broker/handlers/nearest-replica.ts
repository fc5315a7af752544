/**
 * Reading from a replica in the client's own rack (KIP-392): the leader names an in-sync follower there, and that serves what it
 * knows to be committed. Only where `replica.selector.class` says so, and for clients that name their rack.
 */
import { rackAwareSelector } from '../config/broker-config.ts';
import { nodeOf } from '../raft/member.ts';
import type { Replica } from '../partition/replica.ts';
import type { RequestContext } from './handler.ts';

/** The first version of Fetch in which a client says its rack. */
const rackSinceVersion = 11;

/** Whether a follower may answer a client of this rack here. */
export function servesRack(context: RequestContext, replica: Replica, rackId: string): boolean {
  const { cluster, nodeId } = context.node;
  return (
    isAsked(context, rackId) &&
    !(replica.failed || replica.damaged || replica.closed) &&
    replica.leaderNode !== undefined &&
    cluster.image.brokers.get(nodeId)?.rack === rackId
  );
}

/**
 * The node of an in-sync follower in the client's rack that knows of everything before the offset, of several the one that is
 * furthest; undefined where the leader itself is as good. One that was named and could not answer would send its reader back here, to
 * and fro.
 */
export function nearerNode(
  context: RequestContext,
  leader: Replica,
  { rackId, fetchOffset }: { readonly rackId: string; readonly fetchOffset: number },
): number | undefined {
  if (!isAsked(context, rackId) || !leader.isLeader) return undefined;
  const { cluster, nodeId } = context.node;
  const { brokers } = cluster.image;
  if (brokers.get(nodeId)?.rack === rackId) return undefined;
  return leader.acknowledgements
    .readableFrom(fetchOffset)
    .map(nodeOf)
    .find((id) => brokers.get(id)?.rack === rackId && !brokers.get(id)?.fenced);
}

function isAsked(context: RequestContext, rackId: string): boolean {
  const { replicaSelectorClass } = context.node.config;
  return (
    rackId !== '' && context.apiVersion >= rackSinceVersion && replicaSelectorClass === rackAwareSelector
  );
}
