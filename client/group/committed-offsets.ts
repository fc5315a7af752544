/** Reads and writes a group's commits. */
import { ErrorCode } from '../../protocol/index.ts';
import { onceAtCoordinator, atCoordinator } from '../cluster/at-coordinator.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { NodeInfo } from '../cluster/metadata-cache.ts';
import { brokerError, KafkaError } from '../errors.ts';
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
  /** Or, in a group of KIP-848, the member's epoch. */
  readonly generation: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

/** Who asks for offsets. In a group of KIP-848 a member says who it is, so that it learns nothing that it has missed a change for. */
export interface OffsetReader {
  readonly memberId: string | null;
  /** -1 where it is not said. */
  readonly memberEpoch: number;
}

export const anyReader: OffsetReader = { memberId: null, memberEpoch: -1 };

/** A member hears of these before or soon after by its heartbeats; then it asks under another epoch, or has lost what it asks for. */
const memberErrors: ReadonlySet<number> = new Set([
  ErrorCode.STALE_MEMBER_EPOCH,
  ErrorCode.UNKNOWN_MEMBER_ID,
]);

/** `reader` is called for each try. */
export async function fetchCommitted(
  cluster: Cluster,
  { groupId, reader = () => anyReader }: { readonly groupId: string; readonly reader?: () => OffsetReader },
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
        ...(version < manyGroupsFrom ? { groupId, topics } : { groups: [{ groupId, topics, ...reader() }] }),
        ...(version < requireStableFrom ? {} : { requireStable: true }),
      }),
      { target: node },
    );
    const group = response.groups[0] ?? response;
    if (memberErrors.has(group.errorCode)) throw retriable(brokerError(group.errorCode, doing));
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

function retriable({ code, message }: KafkaError): KafkaError {
  return new KafkaError(code, message, { retriable: true });
}

/** An offset that was not taken, and why. */
export interface RefusedOffset extends TopicPartition {
  readonly error: KafkaError;
}

/** One attempt; returns what was refused of it. Rejects where all of it was, with the first refusal. */
export async function commitOnce(
  cluster: Cluster,
  committer: Committer,
  offsets: readonly CommittedOffset[],
  limits: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number | undefined } = {},
): Promise<readonly RefusedOffset[]> {
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
  const commit = async (node: NodeInfo): Promise<readonly RefusedOffset[]> => {
    const { topics } = await cluster.request('OffsetCommit', body, { target: node, ...limits });
    const refused = topics.flatMap(({ name, partitions }) =>
      partitions.flatMap(({ partitionIndex, errorCode }): RefusedOffset[] => {
        if (errorCode === ErrorCode.NONE) return [];
        const doing = `commit the offset of ${name}-${partitionIndex} for the group ${groupId}`;
        return [{ topic: name, partition: partitionIndex, error: refusal(errorCode, doing) }];
      }),
    );
    if (refused[0] !== undefined && refused.length >= offsets.length) throw refused[0].error;
    return refused;
  };
  return onceAtCoordinator(cluster, groupId, commit, limits.signal);
}

/** A topic that was read from and is not there any more has been deleted: asking again does not help. */
function refusal(errorCode: number, doing: string): KafkaError {
  const error = brokerError(errorCode, doing);
  if (error.code !== 'UNKNOWN_TOPIC_OR_PARTITION') return error;
  return new KafkaError(error.code, error.message, { retriable: false });
}
