import {
  compareMembers,
  emptyAssignment,
  type Assignor,
  type GroupAssignment,
  type GroupMember,
} from './assignor.ts';

/** All partitions of all topics are dealt out in turn; members that do not subscribe to a topic are passed over. */
export const roundRobinAssignor: Assignor = {
  name: 'roundrobin',
  mode: 'eager',
  userData: () => null,
  assign(members: readonly GroupMember[], partitionCounts: ReadonlyMap<string, number>): GroupAssignment {
    const assignment = emptyAssignment(members);
    const sorted = members.toSorted(compareMembers);
    let turn = 0;
    for (const topic of [...partitionCounts.keys()].sort()) {
      if (!sorted.some((member) => member.subscription.topics.includes(topic))) continue;
      for (let partition = 0; partition < partitionCounts.get(topic)!; partition++) {
        while (!sorted[turn]!.subscription.topics.includes(topic)) turn = (turn + 1) % sorted.length;
        assignment.get(sorted[turn]!.memberId)!.push({ topic, partition });
        turn = (turn + 1) % sorted.length;
      }
    }
    return assignment;
  },
};
