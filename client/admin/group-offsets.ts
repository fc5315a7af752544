import { ErrorCode } from '../../protocol/index.ts';
import { atCoordinator } from '../cluster/at-coordinator.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { brokerError } from '../errors.ts';
import type { CallOptions } from '../options.ts';
import type { TopicPartition } from '../messages.ts';
import type { GroupOffset, GroupOffsetInput, PartitionResult } from './admin-types.ts';

/** From this version on, one request asks for many groups. */
const manyGroupsFrom = 8;
/** Standalone commits carry no generation. */
const noGeneration = -1;

export interface FetchGroupOffsetsOptions extends CallOptions {
  /** All of the group's topics where absent. */
  readonly topics?: readonly string[] | undefined;
}

export async function fetchGroupOffsets(
  cluster: Cluster,
  groupId: string,
  options: FetchGroupOffsetsOptions,
): Promise<GroupOffset[]> {
  const doing = `read the offsets of the group ${groupId}`;
  const offsets = await atCoordinator(cluster, groupId, { doing, signal: options.signal }, async (node) => {
    const response = await cluster.request(
      'OffsetFetch',
      (version) =>
        version < manyGroupsFrom ? { groupId, topics: null } : { groups: [{ groupId, topics: null }] },
      { target: node, signal: options.signal },
    );
    const group = response.groups[0] ?? response;
    if (group.errorCode !== ErrorCode.NONE) throw brokerError(group.errorCode, doing);
    return (group.topics ?? []).flatMap(({ name, partitions }) =>
      partitions.map((partition): GroupOffset => {
        if (partition.errorCode !== ErrorCode.NONE) throw brokerError(partition.errorCode, doing);
        return {
          topic: name,
          partition: partition.partitionIndex,
          offset: partition.committedOffset,
          leaderEpoch: partition.committedLeaderEpoch,
          metadata: partition.metadata ?? '',
        };
      }),
    );
  });
  const isWanted = ({ topic, offset }: GroupOffset): boolean =>
    offset >= 0 && (options.topics === undefined || options.topics.includes(topic));
  return offsets
    .filter(isWanted)
    .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
}

export async function commitGroupOffsets(
  cluster: Cluster,
  groupId: string,
  offsets: readonly GroupOffsetInput[],
  options: CallOptions,
): Promise<void> {
  const doing = `set the offsets of the group ${groupId}`;
  const body = {
    groupId,
    generationIdOrMemberEpoch: noGeneration,
    topics: [...Map.groupBy(offsets, (item) => item.topic)].map(([name, items]) => ({
      name,
      partitions: items.map(({ partition, offset, metadata }) => ({
        partitionIndex: partition,
        committedOffset: offset,
        committedMetadata: metadata ?? '',
      })),
    })),
  };
  await atCoordinator(cluster, groupId, { doing, ...options }, async (node) => {
    const response = await cluster.request('OffsetCommit', body, { target: node, signal: options.signal });
    for (const { partitions } of response.topics) {
      for (const { errorCode } of partitions)
        if (errorCode !== ErrorCode.NONE) throw brokerError(errorCode, doing);
    }
  });
}

/** Of a live group only what none of its members reads can be deleted. In the order of `partitions`. */
export async function deleteGroupOffsets(
  cluster: Cluster,
  groupId: string,
  partitions: readonly TopicPartition[],
  options: CallOptions,
): Promise<PartitionResult[]> {
  const doing = `delete offsets of the group ${groupId}`;
  const body = {
    groupId,
    topics: [...Map.groupBy(partitions, ({ topic }) => topic)].map(([name, items]) => ({
      name,
      partitions: items.map(({ partition }) => ({ partitionIndex: partition })),
    })),
  };
  const answered = await atCoordinator(cluster, groupId, { doing, ...options }, async (node) => {
    const response = await cluster.request('OffsetDelete', body, { target: node, signal: options.signal });
    if (response.errorCode !== ErrorCode.NONE) throw brokerError(response.errorCode, doing);
    return response.topics.flatMap(({ name, partitions: answers }) =>
      answers.map(({ partitionIndex, errorCode }) => [`${name}/${partitionIndex}`, errorCode] as const),
    );
  });
  const errors = new Map(answered);
  return partitions.map(({ topic, partition }): PartitionResult => {
    const errorCode = errors.get(`${topic}/${partition}`) ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    if (errorCode === ErrorCode.NONE) return { topic, partition, error: null };
    return { topic, partition, error: brokerError(errorCode, `${doing} for ${topic}-${partition}`) };
  });
}
