/**
 * The cluster as a client of this node sees it: the nodes and where they are reached, and who leads each partition.
 *
 * Which nodes hold a partition is the metadata's to say; whether this node leads it, and since which term, is its own
 * replica's, since that is what fences requests.
 */
import { ErrorCode } from '../../protocol/index.ts';
import type { PartitionImage, TopicImage } from '../cluster/metadata-image.ts';
import type { RequestContext } from './handler.ts';

export interface VisibleNode {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

/** The nodes that a client can talk to, this one by the address at which it can be reached from there. */
export function visibleNodes(context: RequestContext): VisibleNode[] {
  const { node } = context;
  const { brokers } = node.cluster.image;
  const own = {
    nodeId: node.nodeId,
    ...node.advertisedAddress(context.local),
    rack: brokers.get(node.nodeId)?.rack ?? null,
  };
  const others = [...brokers.values()].flatMap(({ id, fenced, rack, endpoints }) => {
    const endpoint = endpoints.find(({ name }) => name === context.listener);
    if (id === node.nodeId || fenced || endpoint === undefined) return [];
    return [{ nodeId: id, host: endpoint.host, port: endpoint.port, rack }];
  });
  return [own, ...others];
}

export interface PartitionView {
  readonly errorCode: ErrorCode;
  readonly partitionIndex: number;
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly replicaNodes: readonly number[];
  readonly isrNodes: readonly number[];
  readonly offlineReplicas: readonly number[];
}

export function partitionView(
  context: RequestContext,
  topic: TopicImage,
  partition: PartitionImage,
): PartitionView {
  const { nodeId, partitions } = context.node;
  const base = { partitionIndex: partition.index, replicaNodes: partition.replicas };
  if (!partition.replicas.includes(nodeId)) {
    const { leader, leaderEpoch, isr } = partition;
    return {
      ...base,
      errorCode: ErrorCode.NONE,
      leaderId: leader,
      leaderEpoch,
      isrNodes: isr,
      offlineReplicas: [],
    };
  }
  const replica = partitions.replica(topic.name, partition.index);
  if (replica?.identity.topicId === topic.id && replica.servesReads) {
    return {
      ...base,
      errorCode: ErrorCode.NONE,
      leaderId: nodeId,
      leaderEpoch: replica.term,
      // A damaged replica is named as the leader, so that what it still has can be read; it is not in sync with anything.
      isrNodes: replica.damaged ? partition.isr.filter((id) => id !== nodeId) : partition.isr,
      offlineReplicas: replica.damaged ? [nodeId] : [],
    };
  }
  return {
    ...base,
    errorCode: ErrorCode.LEADER_NOT_AVAILABLE,
    leaderId: -1,
    leaderEpoch: -1,
    isrNodes: partition.isr.filter((id) => id !== nodeId),
    offlineReplicas: [nodeId],
  };
}
