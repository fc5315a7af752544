/**
 * A node that comes back with another first data directory: the one that it had is lost, and the votes in it. Pure; see `controller.ts`.
 *
 * It is another member of every group from then on. Its registration has the new directory, so that the metadata's group takes it
 * in as a learner and lets the old member go; so do its replicas that lay in the old one, each a new revision of its group's intent,
 * which the group's leader carries out (`membership-driver.ts`). A replica that no other node has stays where it was: what it had is
 * there or nowhere, and an empty one in its place would hide that.
 */
import type { ControllerState, Decision, Refusal } from './controller.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';

export interface LostDirectory {
  readonly nodeId: number;
  /** The first data directory that it has now. */
  readonly directoryId: string;
}

export type Replacement = { readonly kind: 'replaced' } | ({ readonly kind: 'refused' } & Refusal);

/** Refused while the node with the old directory is there: two processes have the same id then. */
export function decideReplacement(
  { image, aliveNodes }: Pick<ControllerState, 'image' | 'aliveNodes'>,
  { nodeId, directoryId }: LostDirectory,
): Decision<Replacement> {
  const known = image.brokers.get(nodeId);
  const lost = known?.logDirectories[0];
  const replaced: Replacement = { kind: 'replaced' };
  if (known === undefined || lost === directoryId) return { records: [], result: replaced };
  if (!known.fenced || aliveNodes.has(nodeId)) {
    const message =
      `Node ${nodeId} is there with another data directory, or has been until just now. If that one runs, give this ` +
      'one a node id of its own; if it is gone, its session ends by itself soon.';
    return {
      records: [],
      result: { kind: 'refused', error: 'DUPLICATE_BROKER_REGISTRATION', message },
    };
  }
  const logDirs = [directoryId, ...known.logDirectories.slice(1)];
  const registration: NewMetadataRecord = {
    type: 'BrokerRegistrationChangeRecord',
    value: { brokerId: nodeId, brokerEpoch: known.epoch, logDirs },
  };
  return {
    records: [registration, ...replicaRecords(image, nodeId, lost, directoryId)],
    result: replaced,
  };
}

function replicaRecords(
  image: MetadataImage,
  nodeId: number,
  lost: string | undefined,
  directoryId: string,
): NewMetadataRecord[] {
  const records: NewMetadataRecord[] = [];
  for (const { id: topicId, partitions } of image.topics()) {
    for (const { index, replicas, directories } of partitions) {
      const place = replicas.indexOf(nodeId);
      if (place < 0 || replicas.length === 1 || directories[place] !== lost) continue;
      records.push({
        type: 'PartitionChangeRecord',
        value: { topicId, partitionId: index, directories: directories.with(place, directoryId) },
      });
    }
  }
  return records;
}
