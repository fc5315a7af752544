/**
 * Nodes that are to hold nothing (`kappalog.drained.nodes`): a setting of the cluster as a whole, kept with the metadata, so that it
 * outlives every node and any node can be asked to change it. Pure.
 *
 * Invariant: no partition's target names a drained node. Who puts a node on the list moves its replicas away in the same decision
 * (`drain.ts`), and nothing that comes later places any there until it is off the list again.
 */
import type { Refusal } from './controller.ts';
import { ConfigResourceType } from '../metadata/metadata-image.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';

export const drainedNodesSetting = 'kappalog.drained.nodes';

export function drainedNodes(image: MetadataImage): ReadonlySet<number> {
  return new Set(listed(image).map(Number));
}

/** What stands in the way of these nodes' getting a replica, if anything. */
export function drainedNodeFault(image: MetadataImage, nodeIds: readonly number[]): Refusal | undefined {
  const drained = drainedNodes(image);
  const nodeId = nodeIds.find((id) => drained.has(id));
  if (nodeId === undefined) return undefined;
  return {
    error: 'INVALID_REPLICA_ASSIGNMENT',
    message: `Node ${nodeId} is drained and takes no replicas. Name another node, or undo its drain.`,
  };
}

/** The records that take a node off the list. */
export function withoutDrained(image: MetadataImage, nodeId: number): NewMetadataRecord[] {
  const before = listed(image);
  const after = before.filter((id) => Number(id) !== nodeId);
  if (after.length === before.length) return [];
  return [
    {
      type: 'ConfigRecord',
      value: {
        resourceType: ConfigResourceType.BROKER,
        resourceName: '',
        name: drainedNodesSetting,
        value: after.length === 0 ? null : after.join(','),
      },
    },
  ];
}

function listed(image: MetadataImage): string[] {
  const text = image.settings(ConfigResourceType.BROKER, '').get(drainedNodesSetting) ?? '';
  return text
    .split(',')
    .map((id) => id.trim())
    .filter((id) => id !== '');
}
