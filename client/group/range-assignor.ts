import {
  compareMembers,
  emptyAssignment,
  type Assignor,
  type GroupAssignment,
  type GroupMember,
} from './assignor.ts';

/** Topic by topic, each member gets consecutive partitions; the first members get one more where it does not divide. */
export const rangeAssignor: Assignor = {
  name: 'range',
  mode: 'eager',
  userData: () => null,
  assign(members: readonly GroupMember[], partitionCounts: ReadonlyMap<string, number>): GroupAssignment {
    const assignment = emptyAssignment(members);
    const sorted = members.toSorted(compareMembers);
    for (const topic of [...partitionCounts.keys()].sort()) {
      const takers = sorted.filter((member) => member.subscription.topics.includes(topic));
      const count = partitionCounts.get(topic)!;
      let next = 0;
      takers.forEach((member, index) => {
        const share = Math.floor(count / takers.length) + (index < count % takers.length ? 1 : 0);
        const mine = assignment.get(member.memberId)!;
        for (const end = next + share; next < end; next++) mine.push({ topic, partition: next });
      });
    }
    return assignment;
  },
};
