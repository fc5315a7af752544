/** Reads and writes a group's commits. */
import { ErrorCode } from '../../protocol/index.ts';
import { onceAtCoordinator, atCoordinator } from '../cluster/at-coordinator.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { brokerError } from '../errors.ts';
import type { TopicPartition } from '../messages.ts';

/** From this version on, one request asks for many groups. */
const manyGroupsFrom = 8;
/** From this version on, the broker can be told to wait for commits of open transactions. */
const requireStableFrom = 7;

export interface CommittedOffset extends TopicPartition {
  /** The next one to read; -1 where none is committed. */
  readonly offset: number;
  readonly leaderEpoch: number;
}

/** Who commits: a member of the group, or (generation -1) somebody outside of an empty one. */
export interface Committer {
  readonly groupId: string;
  readonly generation: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

export async function fetchCommitted(
  cluster: Cluster,
  groupId: string,
  partitions: readonly TopicPartition[],
): Promise<CommittedOffset[]> {
  const doing = `read the offsets of the group ${groupId}`;
  const topics = [...Map.groupBy(partitions, (item) => item.topic)].map(([name, items]) => ({
    name,
    partitionIndexes: items.map((item) => item.partition),
  }));
  return atCoordinator(cluster, groupId, { doing }, async (node) => {
    const response = await cluster.request(
      'OffsetFetch',
      (version) => ({
        ...(version < manyGroupsFrom ? { groupId, topics } : { groups: [{ groupId, topics }] }),
        ...(version < requireStableFrom ? {} : { requireStable: true }),
      }),
      { target: node },
    );
    const group = response.groups[0] ?? response;
    if (group.errorCode !== ErrorCode.NONE) throw brokerError(group.errorCode, doing);
    return (group.topics ?? []).flatMap(({ name, partitions: answers }) =>
      answers.map(({ partitionIndex, committedOffset, committedLeaderEpoch, errorCode }) => {
        if (errorCode !== ErrorCode.NONE) throw brokerError(errorCode, doing);
        return {
          topic: name,
          partition: partitionIndex,
          offset: committedOffset,
          leaderEpoch: committedLeaderEpoch,
        };
      }),
    );
  });
}

/** One attempt; rejects with the first refusal, which says for one partition what holds for all in practice. */
export async function commitOnce(
  cluster: Cluster,
  committer: Committer,
  offsets: readonly CommittedOffset[],
  limits: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number | undefined } = {},
): Promise<void> {
  const { groupId, generation, memberId, groupInstanceId } = committer;
  const body = {
    groupId,
    generationIdOrMemberEpoch: generation,
    memberId,
    ...(groupInstanceId === null ? {} : { groupInstanceId }),
    topics: [...Map.groupBy(offsets, (item) => item.topic)].map(([name, items]) => ({
      name,
      partitions: items.map(({ partition, offset, leaderEpoch }) => ({
        partitionIndex: partition,
        committedOffset: offset,
        committedLeaderEpoch: leaderEpoch,
        committedMetadata: '',
      })),
    })),
  };
  await onceAtCoordinator(
    cluster,
    groupId,
    async (node) => {
      const response = await cluster.request('OffsetCommit', body, { target: node, ...limits });
      for (const { name, partitions } of response.topics) {
        for (const { partitionIndex, errorCode } of partitions) {
          if (errorCode === ErrorCode.NONE) continue;
          throw brokerError(
            errorCode,
            `commit the offset of ${name}-${partitionIndex} for the group ${groupId}`,
          );
        }
      }
    },
    limits.signal,
  );
}
