/**
 * The cluster as a client of this node sees it: the nodes and where they are reached, and who leads each partition.
 *
 * Which nodes hold a partition is the metadata's to say; whether this node leads it, and since which term, is its own
 * replica's, since that is what fences requests. What others lead is what they say; one that is fenced leads nothing, and is in
 * sync with nothing, as with Kafka, though its leader would give it `replica.lag.time.max.ms`.
 */
import { ErrorCode } from '../../protocol/index.ts';
import { isStanding } from '../cluster/partitions/leaderships.ts';
import type { PartitionImage, TopicImage } from '../cluster/metadata/metadata-image.ts';
import { nodeOf } from '../raft/member.ts';
import type { RequestContext } from './handler.ts';

export interface VisibleNode {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
  readonly isFenced: boolean;
}

/** The nodes that a client can talk to, this one by the address at which it can be reached from there. */
export function visibleNodes(context: RequestContext, withFenced = false): VisibleNode[] {
  const { node } = context;
  const { brokers } = node.cluster.image;
  const own = {
    nodeId: node.nodeId,
    ...node.advertisedAddress(context.local),
    rack: brokers.get(node.nodeId)?.rack ?? null,
    // Whoever is asked is there.
    isFenced: false,
  };
  const others = [...brokers.values()].flatMap(({ id, fenced, rack, endpoints }) => {
    const endpoint = endpoints.find(({ name }) => name === context.listener);
    if (id === node.nodeId || (fenced && !withFenced) || endpoint === undefined) return [];
    return [{ nodeId: id, host: endpoint.host, port: endpoint.port, rack, isFenced: fenced }];
  });
  return [own, ...others];
}

/** The node that leads the metadata log, where clients can reach it; else this one, as any node takes what is meant for it. */
export function visibleController(context: RequestContext): number {
  const { nodeId, cluster } = context.node;
  const { controllerNode, image } = cluster;
  const broker = controllerNode === undefined ? undefined : image.brokers.get(controllerNode);
  const isVisible =
    broker?.fenced === false && broker.endpoints.some(({ name }) => name === context.listener);
  return isVisible ? broker.id : nodeId;
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
  const { nodeId, partitions, cluster, leaderships } = context.node;
  const { brokers } = cluster.image;
  const isAlive = (id: number): boolean => brokers.get(id)?.fenced === false;
  const replica = partitions.replica(topic.name, partition.index);
  const isHere = partition.replicas.includes(nodeId);
  const isUsable = replica?.identity.topicId === topic.id && !replica.failed && !replica.damaged;
  const base = {
    partitionIndex: partition.index,
    replicaNodes: partition.replicas,
    offlineReplicas: partition.replicas.filter((id) => (id === nodeId ? isHere && !isUsable : !isAlive(id))),
  };
  if (replica?.identity.topicId === topic.id && replica.servesReads) {
    return {
      ...base,
      errorCode: ErrorCode.NONE,
      leaderId: nodeId,
      leaderEpoch: replica.term,
      // A damaged replica is named as the leader, so that what it still has can be read; it is not in sync with anything.
      isrNodes: replica.acknowledgements
        .inSyncMembers()
        .map(nodeOf)
        .filter((id) => id === nodeId || isAlive(id)),
    };
  }
  const said = leaderships.of(topic.id, partition.index);
  if (isStanding(said, brokers) && said.leader !== nodeId) {
    const { leader, term, inSync } = said;
    return {
      ...base,
      errorCode: ErrorCode.NONE,
      leaderId: leader,
      leaderEpoch: term,
      isrNodes: inSync.filter(isAlive),
    };
  }
  return {
    ...base,
    errorCode: ErrorCode.LEADER_NOT_AVAILABLE,
    leaderId: -1,
    leaderEpoch: said?.term ?? -1,
    isrNodes: (said?.inSync ?? []).filter((id) => id !== said?.leader && id !== nodeId),
  };
}

/** Who leads a partition that this node does not lead, as far as it knows; for answers that send a client on (KIP-951). */
export function currentLeader(
  context: RequestContext,
  topicId: string,
  partition: number,
): { readonly leaderId: number; readonly leaderEpoch: number } {
  const { leaderships, cluster, nodeId } = context.node;
  const said = leaderships.of(topicId, partition);
  if (!isStanding(said, cluster.image.brokers) || said.leader === nodeId)
    return { leaderId: -1, leaderEpoch: -1 };
  return { leaderId: said.leader, leaderEpoch: said.term };
}
