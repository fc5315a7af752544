/**
 * Gives each topic's partitions in contiguous ranges to the members that subscribe to it, as Kafka's server-side RangeAssignor does:
 * ranges differ by at most one partition, and the first members have the longer ones. So topics of equal size with the same
 * subscribers are co-partitioned: a member has the same numbers of each, and can join them.
 *
 * It does not look at what members had before. What keeps partitions in place is the order of the members: those with an instance id
 * come first, by it, and so a static member has the same ranges when it comes back with another member id.
 */
import type { Assignor, AssignorInput, AssignorMember } from './assignor.ts';
import { subscribersByTopic } from './subscribers.ts';

export const rangeAssignor: Assignor = { name: 'range', assign };

function assign({ members, partitionCount }: AssignorInput): ReadonlyMap<string, Map<string, number[]>> {
  const ordered = [...members.values()].toSorted(compareMembers);
  const assigned = ordered.map(() => new Map<string, number[]>());
  const subscribers = subscribersByTopic(ordered);
  for (const topicId of [...subscribers.keys()].toSorted()) {
    const positions = subscribers.get(topicId)!;
    const ranges = rangesOf(partitionCount(topicId), positions.length);
    ranges.forEach((range, index) => assigned[positions[index]!]!.set(topicId, range));
  }
  return new Map(ordered.map(({ memberId }, position) => [memberId, assigned[position]!]));
}

/** None of them is empty: fewer than members where there are fewer partitions. */
function rangesOf(partitionCount: number, memberCount: number): number[][] {
  const length = Math.floor(partitionCount / memberCount);
  const longerCount = partitionCount % memberCount;
  const rangeCount = Math.min(partitionCount, memberCount);
  return Array.from({ length: rangeCount }, (_, position) => {
    const start = position * length + Math.min(position, longerCount);
    const ownLength = length + (position < longerCount ? 1 : 0);
    return Array.from({ length: ownLength }, (_, offset) => start + offset);
  });
}

/** By UTF-16 code units, as Java compares strings. */
function compareMembers(left: AssignorMember, right: AssignorMember): number {
  if (left.instanceId !== null && right.instanceId !== null && left.instanceId !== right.instanceId) {
    return left.instanceId < right.instanceId ? -1 : 1;
  }
  if ((left.instanceId === null) !== (right.instanceId === null)) return left.instanceId === null ? 1 : -1;
  return left.memberId < right.memberId ? -1 : 1;
}
