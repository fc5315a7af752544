/** What a group has committed, by topic and partition. */
import { noTopicId } from './group-commands.ts';

export interface CommittedOffset {
  readonly offset: number;
  /** -1 where the client did not tell. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly commitTimestampMs: number;
  /** -1 unless the client chose a retention of its own (OffsetCommit up to v4). */
  readonly expireTimestampMs: number;
  /** Zero UUID where it is not known. */
  readonly topicId: string;
}

/** Invariant: no topic is kept without partitions. */
export interface CommittedOffsets {
  readonly topics: Map<string, Map<number, CommittedOffset>>;
}

export function newCommittedOffsets(): CommittedOffsets {
  return { topics: new Map() };
}

export function committedOffset(
  offsets: CommittedOffsets,
  topic: string,
  partition: number,
): CommittedOffset | undefined {
  return offsets.topics.get(topic)?.get(partition);
}

export function setCommittedOffset(
  offsets: CommittedOffsets,
  topic: string,
  partition: number,
  value: CommittedOffset,
): void {
  let partitions = offsets.topics.get(topic);
  if (partitions === undefined) {
    partitions = new Map();
    offsets.topics.set(topic, partitions);
  }
  partitions.set(partition, value);
}

/** False where there was none. */
export function removeCommittedOffset(offsets: CommittedOffsets, topic: string, partition: number): boolean {
  const partitions = offsets.topics.get(topic);
  if (partitions === undefined || !partitions.delete(partition)) return false;
  if (partitions.size === 0) offsets.topics.delete(topic);
  return true;
}

/** What was committed for a topic that has since been deleted does not count for its namesake. */
export function isOfTopic(offset: CommittedOffset | undefined, topicId: string): boolean {
  return (
    offset === undefined ||
    topicId === noTopicId ||
    offset.topicId === noTopicId ||
    offset.topicId === topicId
  );
}
