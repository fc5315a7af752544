/** Which replicas belong on a node, and who else holds them, as the image has it. Pure. */
import type { WantedReplica } from '../../partition/replica-places.ts';
import type { IntendedMembers } from '../../partition/replica-types.ts';
import { memberId } from '../../raft/member.ts';
import type { MetadataImage, PartitionImage, TopicImage } from '../metadata/metadata-image.ts';
import { unassignedDirectory } from '../metadata/partition-image.ts';

/** Those of all topics. */
export function allWantedReplicas(image: MetadataImage, nodeId: number): WantedReplica[] {
  return [...image.topics()].flatMap((topic) => wantedReplicas(topic, nodeId));
}

export function wantedReplicas(topic: TopicImage, nodeId: number): WantedReplica[] {
  return topic.partitions.flatMap((partition) => {
    const place = partition.replicas.indexOf(nodeId);
    if (place < 0) return [];
    const directoryId = partition.directories[place];
    const isKnown = directoryId !== undefined && directoryId !== unassignedDirectory;
    return [
      {
        topic: topic.name,
        topicId: topic.id,
        partition: partition.index,
        directoryId: isKnown ? directoryId : undefined,
        intended: intendedMembers(partition, nodeId),
      },
    ];
  });
}

/** Undefined where the node holds the only replica and always has. */
export function intendedMembers(partition: PartitionImage, nodeId: number): IntendedMembers | undefined {
  const { replicas, directories, partitionEpoch, founders } = partition;
  if (replicas.length === 1 && replicas[0] === nodeId && partitionEpoch === 0) return undefined;
  const known = replicas.flatMap((id, place) => {
    const directoryId = directories[place] ?? unassignedDirectory;
    return directoryId === unassignedDirectory ? [] : [memberId(id, directoryId)];
  });
  // Who is not known in full cannot be a quorum of its own: the node then waits for its leader.
  const isWhole = known.length === replicas.length;
  const intended = { members: known, revision: isWhole ? partitionEpoch : Math.max(partitionEpoch, 1) };
  if (founders?.some((founder) => founder.nodeId === nodeId && founder.hasStayed) !== true) return intended;
  return {
    ...intended,
    founders: founders.map((founder) => memberId(founder.nodeId, founder.directoryId)),
  };
}
