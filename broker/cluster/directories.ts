/**
 * In which data directory of its node each replica lies, as the metadata has it (KIP-858). Pure; see `controller.ts`.
 *
 * A node with one directory puts everything there, and that is known at creation. One with several chooses by what it has
 * free, and notes its choice before the creation is answered: a directory that is missing at a later start is then known
 * to hold the replica, which must not begin anew elsewhere.
 */
import type { DirectoryAssignment } from '../partition/partitions.ts';
import type { Decision } from './controller.ts';
import type { MetadataImage } from './metadata-image.ts';
import type { NewMetadataRecord } from './metadata-record.ts';
import { unassignedDirectory } from './partition-image.ts';

/** What a new partition's record says of its replica on this node. */
export function directoryOnCreation(image: MetadataImage, nodeId: number): string {
  const directories = image.brokers.get(nodeId)?.logDirectories ?? [];
  return directories.length === 1 ? directories[0]! : unassignedDirectory;
}

export interface DirectoriesToAssign {
  readonly nodeId: number;
  readonly assignments: readonly DirectoryAssignment[];
}

/** Notes where replicas of a node lie; those that are gone meanwhile, or known to lie there, are passed over. */
export function decideDirectories(
  image: MetadataImage,
  nodeId: number,
  assignments: readonly DirectoryAssignment[],
): Decision<void> {
  const records = assignments.flatMap(({ topicId, partition, directoryId }): NewMetadataRecord[] => {
    const known = image.topicById(topicId)?.partitions[partition];
    const place = known?.replicas.indexOf(nodeId) ?? -1;
    if (known === undefined || place < 0 || known.directories[place] === directoryId) return [];
    const directories = known.replicas.map((_, at) =>
      at === place ? directoryId : (known.directories[at] ?? unassignedDirectory),
    );
    return [{ type: 'PartitionChangeRecord', value: { topicId, partitionId: partition, directories } }];
  });
  return { records, result: undefined };
}
