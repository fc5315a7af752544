/** How the leader of a classic group shares partitions out: what somebody has stays there, or waits until it is given up. */
import { difference, noPartitions, union } from '../../../broker/groups/consumer/assigned-partitions.ts';
import type { AssignedPartitions } from '../../../broker/groups/consumer/assigned-partitions.ts';
import type { TopicsView } from '../../../broker/groups/consumer/topics-view.ts';
import type { JoinedMember } from '../../../broker/groups/group-commands.ts';
import { subscriptionOf } from '../../../broker/groups/migration/embedded-protocol.ts';
import { encodeConsumerAssignment } from '../../../protocol/index.ts';

interface Sharer {
  readonly memberId: string;
  readonly topicNames: ReadonlySet<string>;
  readonly owned: AssignedPartitions;
  assigned: AssignedPartitions;
}

/** As SyncGroup takes it. */
export function sharedOut(
  members: readonly JoinedMember[],
  topics: TopicsView,
): { readonly memberId: string; readonly assignment: Buffer }[] {
  const sharers = members.map(({ memberId, metadata }): Sharer => {
    const { topicNames, owned } = subscriptionOf(metadata, topics)!;
    return { memberId, topicNames: new Set(topicNames), owned, assigned: noPartitions };
  });
  for (const name of new Set(sharers.flatMap(({ topicNames }) => [...topicNames])))
    share(name, sharers, topics);
  return sharers.map((sharer) => {
    let given = sharer.assigned;
    for (const other of sharers) if (other !== sharer) given = difference(given, other.owned);
    const assignment = encodeConsumerAssignment(1, {
      assignedPartitions: namedPartitions(given, topics),
      userData: null,
    });
    return { memberId: sharer.memberId, assignment };
  });
}

/** By name, as the bytes of the protocol have them. */
export function namedPartitions(
  assigned: AssignedPartitions,
  topics: TopicsView,
): { topic: string; partitions: number[] }[] {
  return Array.from(assigned).flatMap(([topicId, partitions]) => {
    const topic = topics.nameOf(topicId);
    return topic === undefined ? [] : [{ topic, partitions: [...partitions] }];
  });
}

/** To whoever has the fewest so far. */
function share(name: string, sharers: readonly Sharer[], topics: TopicsView): void {
  const topicId = topics.idOf(name);
  if (topicId === undefined) return;
  const able = sharers.filter(({ topicNames }) => topicNames.has(name));
  for (let partition = 0; partition < topics.partitionCount(topicId); partition++) {
    const fewest = able.reduce((best, sharer) =>
      sizeOf(sharer.assigned) < sizeOf(best.assigned) ? sharer : best,
    );
    fewest.assigned = union(fewest.assigned, new Map([[topicId, [partition]]]));
  }
}

export function sizeOf(assigned: AssignedPartitions): number {
  let size = 0;
  for (const partitions of assigned.values()) size += partitions.length;
  return size;
}
