/**
 * A node that comes back with another first data directory: the one that it had is lost, and the votes in it. Pure; see `controller.ts`.
 *
 * It is another member of every group from then on. Its registration has the new directory, so that the metadata's group takes it
 * in as a learner and lets the old member go; so do its replicas that lay in the old one, each a new revision of its group's intent,
 * which the group's leader carries out (`membership-driver.ts`). A replica that no other node has stays where it was: what it had is
 * there or nowhere, and an empty one in its place would hide that.
 *
 * Of its other directories those are lost as well only where it says which ones it has, and none that the metadata knows is among
 * them: the whole machine is another one then. Where a part is missing it may come back, and its replicas are offline until then.
 */
import { chooseDirectory } from '../../partition/directory-choice.ts';
import type { ControllerState, Decision, Refusal } from './controller.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';
import { unassignedDirectory } from '../metadata/partition-image.ts';

export interface LostDirectory {
  readonly nodeId: number;
  /** The first data directory that it has now. */
  readonly directoryId: string;
  /** All that it has now, in its order; undefined where one of them cannot be read, so that it may be any of the known ones. */
  readonly directoryIds?: readonly string[];
}

export type Replacement = { readonly kind: 'replaced' } | ({ readonly kind: 'refused' } & Refusal);

/** Refused while the node with the old directory is there: two processes have the same id then. */
export function decideReplacement(
  { image, aliveNodes }: Pick<ControllerState, 'image' | 'aliveNodes'>,
  { nodeId, directoryId, directoryIds }: LostDirectory,
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
  const before = new Set([...known.logDirectories, ...directoriesOfReplicas(image, nodeId)]);
  const hasNone = directoryIds !== undefined && !directoryIds.some((id) => before.has(id));
  const logDirs = hasNone ? directoryIds : [directoryId, ...known.logDirectories.slice(1)];
  const registration: NewMetadataRecord = {
    type: 'BrokerRegistrationChangeRecord',
    value: { brokerId: nodeId, brokerEpoch: known.epoch, logDirs },
  };
  return {
    records: [
      registration,
      ...(hasNone
        ? replicaRecords(image, nodeId, { lost: before, now: directoryIds })
        : replicaRecords(image, nodeId, { lost: new Set([lost]), now: [directoryId] })),
    ],
    result: replaced,
  };
}

/** Also of those that were offline when it registered last. */
function directoriesOfReplicas(image: MetadataImage, nodeId: number): Set<string> {
  const found = new Set<string>();
  for (const { partitions } of image.topics()) {
    for (const { replicas, directories } of partitions) {
      const place = replicas.indexOf(nodeId);
      const directory = place < 0 ? undefined : directories[place];
      if (directory !== undefined && directory !== unassignedDirectory) found.add(directory);
    }
  }
  return found;
}

/** Spread evenly over the directories that it has now: they are empty. */
function replicaRecords(
  image: MetadataImage,
  nodeId: number,
  { lost, now }: { readonly lost: ReadonlySet<string | undefined>; readonly now: readonly string[] },
): NewMetadataRecord[] {
  const loads = now.map((directory) => ({ directory, usableBytes: 0, replicas: 0 }));
  const records: NewMetadataRecord[] = [];
  for (const { id: topicId, partitions } of image.topics()) {
    for (const { index, replicas, directories } of partitions) {
      const place = replicas.indexOf(nodeId);
      if (place < 0 || replicas.length === 1 || !lost.has(directories[place])) continue;
      const value = {
        topicId,
        partitionId: index,
        directories: directories.with(place, chooseDirectory(loads)),
      };
      records.push({ type: 'PartitionChangeRecord', value });
    }
  }
  return records;
}
