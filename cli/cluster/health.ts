/** What is wrong with a cluster, and how much that matters. Pure. */
import type { ClusterState, PartitionState } from './cluster-state.ts';
import { targetOf } from './cluster-state.ts';

/**
 * 'healthy': all is as it should be. 'degraded': everything works, and less may fail than should. 'unavailable': something does not work:
 * a partition is without a leader or takes no writes with acks=all, or nothing can be changed.
 */
export type HealthStatus = 'healthy' | 'degraded' | 'unavailable';

export interface Health {
  readonly status: HealthStatus;
  /** Without a leader. */
  readonly offline: readonly PartitionState[];
  /** With a leader and too few in sync for acks=all. */
  readonly underMinInSync: readonly PartitionState[];
  /** A replica that belongs there is not in sync; one that is just being added does not count. */
  readonly underReplicated: readonly PartitionState[];
  readonly fencedNodes: readonly number[];
  /** Voters on the metadata that are fenced or not known. */
  readonly silentVoters: readonly number[];
  readonly hasMetadataLeader: boolean;
}

export function healthOf({ nodes, quorum, quorumError, partitions }: ClusterState): Health {
  const serving = new Set(nodes.filter(({ fenced }) => !fenced).map(({ id }) => id));
  // A leader notices only after a while that a replica falls behind; of a node that is not heard of it is known.
  const isInSync = ({ inSync }: PartitionState, id: number): boolean =>
    inSync.includes(id) && serving.has(id);
  const offline = partitions.filter(({ leader }) => leader < 0);
  const led = partitions.filter(({ leader }) => leader >= 0);
  const underMinInSync = led.filter(
    (partition) => partition.inSync.filter((id) => isInSync(partition, id)).length < partition.minInSync,
  );
  const underReplicated = led.filter((partition) =>
    targetOf(partition).some((id) => !partition.adding.includes(id) && !isInSync(partition, id)),
  );
  const fencedNodes = nodes.filter(({ fenced }) => fenced).map(({ id }) => id);
  const silentVoters = (quorum?.voters ?? []).map(({ id }) => id).filter((id) => !serving.has(id));
  const hasMetadataLeader = quorumError === null && quorum?.leader !== -1;
  const isUnavailable = offline.length > 0 || underMinInSync.length > 0 || !hasMetadataLeader;
  const isDegraded = underReplicated.length > 0 || fencedNodes.length > 0 || silentVoters.length > 0;
  return {
    status: isUnavailable ? 'unavailable' : isDegraded ? 'degraded' : 'healthy',
    offline,
    underMinInSync,
    underReplicated,
    fencedNodes,
    silentVoters,
    hasMetadataLeader,
  };
}
