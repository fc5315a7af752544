/**
 * Sets of partitions, by topic: what a member has, is to have, or gives up. Immutable; what comes out is a new one, or one of
 * those that went in.
 *
 * Invariant: no topic is kept without partitions, and those of a topic ascend and are there once. So equal sets look the same.
 */

/** Partition numbers by topic id. */
export type AssignedPartitions = ReadonlyMap<string, readonly number[]>;

/** As requests, responses and records have them. */
export type TopicPartitions = readonly { readonly topicId: string; readonly partitions: readonly number[] }[];

export const noPartitions: AssignedPartitions = new Map();

/** A topic may come several times, and partitions in any order. */
export function assignedFrom(topics: TopicPartitions): AssignedPartitions {
  const assigned = new Map<string, number[]>();
  for (const { topicId, partitions } of topics) {
    if (partitions.length === 0) continue;
    assigned.set(
      topicId,
      [...new Set([...(assigned.get(topicId) ?? []), ...partitions])].toSorted(ascending),
    );
  }
  return assigned;
}

export function topicPartitionsOf(
  assigned: AssignedPartitions,
): { readonly topicId: string; readonly partitions: number[] }[] {
  return Array.from(assigned, ([topicId, partitions]) => ({ topicId, partitions: [...partitions] }));
}

export function isSameAssignment(one: AssignedPartitions, other: AssignedPartitions): boolean {
  if (one === other) return true;
  if (one.size !== other.size) return false;
  for (const [topicId, partitions] of one) {
    const others = other.get(topicId);
    if (others?.length !== partitions.length) return false;
    if (!partitions.every((partition, position) => others[position] === partition)) return false;
  }
  return true;
}

/** Of the first what is in the second as well. */
export function intersection(one: AssignedPartitions, other: AssignedPartitions): AssignedPartitions {
  return filtered(one, (topicId) => {
    const others = new Set(other.get(topicId));
    return (partition) => others.has(partition);
  });
}

/** Of the first what is not in the second. */
export function difference(one: AssignedPartitions, other: AssignedPartitions): AssignedPartitions {
  return filtered(one, (topicId) => {
    const others = new Set(other.get(topicId));
    return (partition) => !others.has(partition);
  });
}

export function union(one: AssignedPartitions, other: AssignedPartitions): AssignedPartitions {
  if (one.size === 0) return other;
  if (other.size === 0) return one;
  const both = new Map(one);
  for (const [topicId, partitions] of other) {
    const others = both.get(topicId);
    const merged = others === undefined ? partitions : [...new Set([...others, ...partitions])];
    both.set(topicId, merged.toSorted(ascending));
  }
  return both;
}

/** What `isKept` holds for: asked once for each topic, then for each of its partitions. */
export function filtered(
  assigned: AssignedPartitions,
  isKept: (topicId: string) => (partition: number) => boolean,
): AssignedPartitions {
  const kept = new Map<string, readonly number[]>();
  for (const [topicId, partitions] of assigned) {
    const left = partitions.filter(isKept(topicId));
    if (left.length > 0) kept.set(topicId, left);
  }
  return kept;
}

/** Whether all of the first are in the second. */
export function isSubset(one: AssignedPartitions, other: AssignedPartitions): boolean {
  return difference(one, other).size === 0;
}

function ascending(left: number, right: number): number {
  return left - right;
}
