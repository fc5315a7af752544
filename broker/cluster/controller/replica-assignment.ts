/** Which nodes get the replicas of new partitions: chosen here, or by the user and checked here. Pure. */
import type { ControllerState, Refusal } from './controller.ts';
import type { BrokerImage } from '../metadata/broker-image.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';
import { DirectoryChoice } from './directories.ts';
import { drainedNodeFault, drainedNodes } from './drained-nodes.ts';
import { place } from './placement.ts';
import type { PlaceableNode } from './placement.ts';

export type Assigned =
  | { readonly kind: 'assigned'; readonly replicas: readonly (readonly number[])[] }
  | ({ readonly kind: 'refused' } & Refusal);

/** Of one partition. More cost every write more, and outlive nothing that so many do not. */
export const replicationFactorMax = 7;

/**
 * Chooses nodes for `partitionCount` partitions of `replicationFactor` replicas each. Nodes that are away take replicas where there are not
 * enough others, as with one of three nodes down, and never lead at first; a majority has to be there, or nobody could lead.
 */
export function chooseReplicas(
  state: ControllerState,
  partitionCount: number,
  replicationFactor: number,
): Assigned {
  if (replicationFactor > replicationFactorMax) {
    return refused(
      `A partition has at most ${replicationFactorMax} replicas, and ${replicationFactor} are asked for.`,
    );
  }
  const present = placeableNodes(state);
  const away = awayNodes(state);
  const nodeCount = present.length + away.length;
  if (replicationFactor > nodeCount) {
    return refused(
      `Unable to replicate the partition ${replicationFactor} time(s): the cluster has ${nodeCount} node(s) that take replicas, ` +
        `and each replica needs one of its own. Ask for ${nodeCount} or fewer.`,
    );
  }
  if (2 * Math.min(present.length, replicationFactor) <= replicationFactor) {
    return refused(
      `Unable to replicate the partition ${replicationFactor} time(s): ${present.length} of ${nodeCount} node(s) that take replicas are ` +
        'there now, and a partition has a leader only with a majority of its replicas. Start the others, or ask for fewer replicas.',
    );
  }
  const isSilent = ({ id }: PlaceableNode): boolean => state.silentNodes.has(id);
  const tiers = [present.filter((node) => !isSilent(node)), present.filter(isSilent), away];
  let replicas: number[][] = Array.from({ length: partitionCount }, () => []);
  let missing = replicationFactor;
  for (const nodes of tiers) {
    const taken = Math.min(missing, nodes.length);
    if (taken === 0) continue;
    const placed = place({ nodes, partitionCount, replicationFactor: taken });
    replicas = replicas.map((ids, partition) => [...ids, ...placed[partition]!]);
    missing -= taken;
  }
  return checkCapacity(state, replicas);
}

function refused(message: string): Assigned {
  return { kind: 'refused', error: 'INVALID_REPLICATION_FACTOR', message };
}

/** The nodes that take new replicas: those that are there, and neither about to stop nor drained. */
export function placeableNodes({ image }: Pick<ControllerState, 'image'>): PlaceableNode[] {
  return takingNodes(image, (broker) => !isAway(broker));
}

/** Those that take new replicas only where there is nobody else: they are fenced, or about to stop, and expected back. */
function awayNodes({ image }: Pick<ControllerState, 'image'>): PlaceableNode[] {
  return takingNodes(image, isAway);
}

function isAway({ fenced, inControlledShutdown }: BrokerImage): boolean {
  return fenced || inControlledShutdown;
}

function takingNodes(image: MetadataImage, isWanted: (broker: BrokerImage) => boolean): PlaceableNode[] {
  const drained = drainedNodes(image);
  return [...image.brokers.values()]
    .filter((broker) => isWanted(broker) && !drained.has(broker.id))
    .map(({ id, rack, host }) => ({
      id,
      rack,
      host,
      replicaCount: image.replicaCount(id),
      leaderCount: image.leaderCount(id),
    }));
}

/** Checks the nodes that a user chose for one partition; `replicationFactor` is that of the partitions before it. */
export function checkReplicas(
  state: ControllerState,
  nodeIds: readonly number[],
  replicationFactor: number | undefined,
): Refusal | undefined {
  const invalid = (message: string): Refusal => ({ error: 'INVALID_REPLICA_ASSIGNMENT', message });
  if (nodeIds.length === 0) {
    return invalid('The manual partition assignment includes an empty replica list. Name at least one node.');
  }
  if (nodeIds.length > replicationFactorMax) {
    return invalid(
      `A partition has at most ${replicationFactorMax} replicas, and ${nodeIds.length} nodes are named.`,
    );
  }
  const unknown = nodeIds.find((id) => !state.image.brokers.has(id));
  if (unknown !== undefined) {
    const known = [...state.image.brokers.keys()].join(', ');
    return invalid(
      `The manual partition assignment includes broker ${unknown}, but no such broker is registered. ` +
        `Registered: ${known}.`,
    );
  }
  const repeated = nodeIds.find((id, position) => nodeIds.indexOf(id) !== position);
  if (repeated !== undefined) {
    return invalid(`The manual partition assignment includes the broker ${repeated} more than once.`);
  }
  if (replicationFactor !== undefined && nodeIds.length !== replicationFactor) {
    return invalid(
      `The manual partition assignment includes a partition with ${nodeIds.length} replica(s), while other ` +
        `partitions of the topic have ${replicationFactor}. Give all the same number.`,
    );
  }
  return drainedNodeFault(state.image, nodeIds);
}

/** Refuses what would put more replicas on a node than it can carry. */
export function checkCapacity(state: ControllerState, replicas: readonly (readonly number[])[]): Assigned {
  const most = state.limits.replicasPerNodeMax;
  const added = new Map<number, number>();
  for (const id of replicas.flat()) added.set(id, (added.get(id) ?? 0) + 1);
  for (const [id, count] of added) {
    const held = state.image.replicaCount(id);
    if (held + count <= most) continue;
    return {
      kind: 'refused',
      error: 'POLICY_VIOLATION',
      message:
        `Node ${id} would hold ${held + count} replicas, and ${most} is the most that a node takes. ` +
        'Ask for fewer partitions, delete topics, or add nodes.',
    };
  }
  return { kind: 'assigned', replicas };
}

/** The records that make these partitions, numbered from `firstPartition`. */
export function partitionRecords(
  state: ControllerState,
  topicId: string,
  firstPartition: number,
  replicas: readonly (readonly number[])[],
): NewMetadataRecord[] {
  const choice = new DirectoryChoice(state);
  return replicas.map((nodeIds, position) => ({
    type: 'PartitionRecord',
    value: {
      partitionId: firstPartition + position,
      topicId,
      replicas: nodeIds,
      isr: nodeIds,
      leader: nodeIds[0] ?? -1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      directories: nodeIds.map((id) => choice.directoryFor(id)),
    },
  }));
}
