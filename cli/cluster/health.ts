/** What is wrong with a cluster, and how much that matters. Pure. */
import type { ClusterState, NodeState, PartitionState } from './cluster-state.ts';
import { hasMajority, targetOf } from './cluster-state.ts';

/**
 * 'healthy': all is as it should be. 'degraded': everything works, and less may fail than should. 'unavailable': something does not work:
 * a partition is without a leader or takes no writes with acks=all, or nothing can be changed.
 */
export type HealthStatus = 'healthy' | 'degraded' | 'unavailable';

export interface Health {
  readonly status: HealthStatus;
  /** Without a leader, or without the majority of replicas that a leader needs. */
  readonly offline: readonly PartitionState[];
  /** With a leader and too few in sync for acks=all. */
  readonly underMinInSync: readonly PartitionState[];
  /** A replica that belongs there is not in sync; one that is just being added does not count. */
  readonly underReplicated: readonly PartitionState[];
  readonly fencedNodes: readonly number[];
  /** They do not answer, and the cluster has not noticed yet, or cannot be reached from here. */
  readonly unansweringNodes: readonly number[];
  /** Voters on the metadata that are fenced or not known. */
  readonly silentVoters: readonly number[];
  readonly hasMetadataLeader: boolean;
}

export function healthOf({ nodes, quorum, quorumError, partitions }: ClusterState): Health {
  const unansweringNodes = nodes.filter(({ fenced, answers }) => !fenced && !answers).map(({ id }) => id);
  const hasMetadataLeader = quorumError === null && quorum?.leader !== -1;
  // While nobody decides who is fenced, whoever does not answer counts as gone.
  const isServing = ({ fenced, answers }: NodeState): boolean => !fenced && (answers || hasMetadataLeader);
  const serving = new Set(nodes.filter(isServing).map(({ id }) => id));
  // A leader notices only after a while that a replica falls behind; of a node that is not heard of it is known.
  const isInSync = ({ inSync }: PartitionState, id: number): boolean =>
    inSync.includes(id) && serving.has(id);
  const isLed = (partition: PartitionState): boolean =>
    partition.leader >= 0 && hasMajority(partition, serving);
  const offline = partitions.filter((partition) => !isLed(partition));
  const led = partitions.filter(isLed);
  const underMinInSync = led.filter(
    (partition) => partition.inSync.filter((id) => isInSync(partition, id)).length < partition.minInSync,
  );
  const underReplicated = led.filter((partition) =>
    targetOf(partition).some((id) => !partition.adding.includes(id) && !isInSync(partition, id)),
  );
  const fencedNodes = nodes.filter(({ fenced }) => fenced).map(({ id }) => id);
  const silentVoters = (quorum?.voters ?? []).map(({ id }) => id).filter((id) => !serving.has(id));
  const isUnavailable = offline.length > 0 || underMinInSync.length > 0 || !hasMetadataLeader;
  const isDegraded = [underReplicated, fencedNodes, unansweringNodes, silentVoters].some(
    (list) => list.length > 0,
  );
  return {
    status: isUnavailable ? 'unavailable' : isDegraded ? 'degraded' : 'healthy',
    offline,
    underMinInSync,
    underReplicated,
    fencedNodes,
    unansweringNodes,
    silentVoters,
    hasMetadataLeader,
  };
}
