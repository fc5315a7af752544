import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AssignedPartitions } from '../../../../../broker/groups/consumer/assigned-partitions.ts';
import { uniformAssignor } from '../../../../../broker/groups/consumer/assignors/uniform-assignor.ts';
import {
  anyGroup,
  assign,
  assignmentBy,
  byId,
  equalGroup,
  group,
  member,
  partitionsOf,
  settled,
  validHolders,
} from './groups.ts';
import type { Group } from './groups.ts';

describe('uniform assignor, equal subscriptions', () => {
  it('gives everybody equally many, or one more', () => {
    fc.assert(
      fc.property(equalGroup, (of) => {
        const totals = totalsOf(assign(uniformAssignor, of));
        expect(Math.max(...totals) - Math.min(...totals)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });

  it('leaves as many partitions where they were as any even assignment can', () => {
    fc.assert(
      fc.property(equalGroup, (of) => {
        const holders = validHolders(of);
        const kept = Array.from(assign(uniformAssignor, of), ([memberId, assigned]) =>
          partitionsOf(assigned).filter((partition) => holders.get(partition) === memberId),
        ).flat();
        expect(kept).toHaveLength(keptMax(of, holders));
      }),
      { numRuns: 500 },
    );
  });

  it('moves nothing but what a member had that leaves', () => {
    fc.assert(
      fc.property(equalGroup, fc.nat(), (of, number) => {
        fc.pre(of.members.length > 1);
        const before = settled(uniformAssignor, of);
        const leaver = before.members[number % before.members.length];
        const after = { ...before, members: before.members.filter((one) => one !== leaver) };
        const assigned = assign(uniformAssignor, after);
        for (const one of after.members) {
          expect(partitionsOf(assigned.get(one.memberId))).toEqual(
            expect.arrayContaining(partitionsOf(one.assigned)),
          );
        }
      }),
      { numRuns: 300 },
    );
  });

  it('moves only to a member that joins, and no more than it has to have', () => {
    fc.assert(
      fc.property(equalGroup, fc.constantFrom('first', 'm35', 'z'), (of, memberId) => {
        const before = settled(uniformAssignor, of);
        const joiner = member(memberId, [...of.counts.keys()]);
        const after = { ...before, members: [joiner, ...before.members] };
        const assigned = assign(uniformAssignor, after);
        for (const one of before.members) {
          expect(partitionsOf(one.assigned)).toEqual(
            expect.arrayContaining(partitionsOf(assigned.get(one.memberId))),
          );
        }
        const partitionCount = [...of.counts.values()].reduce((sum, count) => sum + count, 0);
        expect(partitionsOf(assigned.get(memberId))).toHaveLength(
          Math.floor(partitionCount / after.members.length),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('spreads each topic over the members, when they begin and when one joins', () => {
    const topics = ['a', 'b'];
    const before = settled(uniformAssignor, group({ a: 6, b: 6 }, member('A', topics), member('B', topics)));
    expect(assignmentBy(uniformAssignor, before)).toEqual({
      A: { a: [0, 1, 2], b: [0, 1, 2] },
      B: { a: [3, 4, 5], b: [3, 4, 5] },
    });
    const after = { ...before, members: [...before.members, member('C', topics)] };
    expect(assignmentBy(uniformAssignor, after)).toEqual({
      A: { a: [0, 1], b: [0, 1] },
      B: { a: [3, 4], b: [3, 4] },
      C: { a: [2, 5], b: [2, 5] },
    });
  });

  it('gives one more to those that have it already', () => {
    const of = group(
      { a: 4 },
      member('A', ['a'], { assigned: { a: [0] } }),
      member('B', ['a'], { assigned: { a: [1] } }),
      member('C', ['a'], { assigned: { a: [2, 3] } }),
    );
    expect(assignmentBy(uniformAssignor, of)).toEqual({ A: { a: [0] }, B: { a: [1] }, C: { a: [2, 3] } });
  });
});

describe('uniform assignor, any subscriptions', () => {
  it('leaves no partition, and no chain of them, whose move would make counts more even', () => {
    fc.assert(
      fc.property(anyGroup, (of) => {
        const assigned = assign(uniformAssignor, of);
        for (const { memberId } of of.members) {
          const total = partitionsOf(assigned.get(memberId)).length;
          for (const other of receiversOf(of, assigned, memberId)) {
            expect(partitionsOf(assigned.get(other)).length).toBeGreaterThanOrEqual(total - 1);
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('is as even as the most even of all assignments', () => {
    fc.assert(
      fc.property(anyGroup, (of) => {
        const small = smallGroup(of);
        expect(unevenness(totalsOf(assign(uniformAssignor, small)))).toBe(leastUnevenness(small));
      }),
      { numRuns: 300 },
    );
  });

  it('moves nothing when nothing changes', () => {
    fc.assert(
      fc.property(anyGroup, (of) => {
        const after = settled(uniformAssignor, of);
        expect(assignmentBy(uniformAssignor, after)).toEqual(assignmentBy(uniformAssignor, of));
      }),
      { numRuns: 500 },
    );
  });

  it('hands on where nobody that has less subscribes to what the heaviest member has', () => {
    const of = group(
      { a: 4, b: 2 },
      member('A', ['a'], { assigned: { a: [0, 1] } }),
      member('B', ['a', 'b'], { assigned: { a: [2, 3], b: [0, 1] } }),
      member('C', ['b']),
    );
    expect(assignmentBy(uniformAssignor, of)).toEqual({
      A: { a: [0, 1] },
      B: { a: [2, 3] },
      C: { b: [0, 1] },
    });
    const chained = group(
      { a: 3, b: 2 },
      member('A', ['a'], { assigned: { a: [0, 1, 2] } }),
      member('B', ['a', 'b'], { assigned: { b: [0, 1] } }),
      member('C', ['b']),
    );
    expect(assignmentBy(uniformAssignor, chained)).toEqual({
      A: { a: [0, 1] },
      B: { a: [2], b: [0] },
      C: { b: [1] },
    });
  });

  it('takes nothing from anybody who has no more than the others, when subscriptions change', () => {
    const of = group(
      { a: 4, b: 2 },
      member('A', ['a'], { assigned: { a: [0, 1] } }),
      member('B', ['a', 'b'], { assigned: { a: [2, 3] } }),
      member('C', ['a', 'b'], { assigned: {} }),
    );
    expect(assignmentBy(uniformAssignor, of)).toEqual({
      A: { a: [0, 1] },
      B: { a: [2, 3] },
      C: { b: [0, 1] },
    });
  });
});

function totalsOf(assigned: ReadonlyMap<string, AssignedPartitions>): number[] {
  return Array.from(assigned.values(), (of) => partitionsOf(of).length);
}

/** The sum of squares: least where totals are as even as can be. */
function unevenness(totals: readonly number[]): number {
  return totals.reduce((sum, total) => sum + total ** 2, 0);
}

/** How many partitions can stay in an even assignment, whoever has one more. */
function keptMax({ counts, members }: Group, holders: ReadonlyMap<string, string>): number {
  const partitionCount = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const quota = Math.floor(partitionCount / members.length);
  const held = byId(members).map(
    ({ memberId }) => [...holders.values()].filter((holder) => holder === memberId).length,
  );
  let most = 0;
  for (let choice = 0; choice < 2 ** members.length; choice++) {
    const extras = held.map((_, index) => (choice >> index) & 1);
    if (extras.reduce((sum, extra) => sum + extra, 0) !== partitionCount % members.length) continue;
    const kept = held.map((count, index) => Math.min(count, quota + extras[index]!));
    most = Math.max(
      most,
      kept.reduce((sum, count) => sum + count, 0),
    );
  }
  return most;
}

/** Members that can have one more for one less of this one, over whatever others. */
function receiversOf(
  { members }: Group,
  assigned: ReadonlyMap<string, AssignedPartitions>,
  memberId: string,
): ReadonlySet<string> {
  const reached = new Set([memberId]);
  for (const giver of reached) {
    for (const topicId of assigned.get(giver)!.keys()) {
      for (const other of members) if (other.subscribedTopics.has(topicId)) reached.add(other.memberId);
    }
  }
  return reached;
}

/** Of the group at most four members and two partitions of each topic. */
function smallGroup({ counts, members }: Group): Group {
  return {
    counts: new Map(Array.from(counts, ([topicId, count]) => [topicId, Math.min(count, 2)])),
    members: members.slice(0, 4),
  };
}

/** Of all assignments there are. */
function leastUnevenness({ counts, members }: Group): number {
  const choices = Array.from(counts, ([topicId, count]) => {
    const subscribers = [...members.keys()].filter((index) => members[index]!.subscribedTopics.has(topicId));
    return subscribers.length === 0 ? [] : Array.from({ length: count }, () => subscribers);
  }).flat();
  let totals = new Map([[members.map(() => 0).join(), members.map(() => 0)]]);
  for (const subscribers of choices) {
    const next = new Map<string, number[]>();
    for (const before of totals.values()) {
      for (const subscriber of subscribers) {
        const after = before.with(subscriber, before[subscriber]! + 1);
        next.set(after.join(), after);
      }
    }
    totals = next;
  }
  return Math.min(...Array.from(totals.values(), unevenness));
}
