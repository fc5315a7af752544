import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignors } from '../../../../../broker/groups/consumer/assignors/assignor.ts';
import { anyGroup, ascending, assign, assignmentBy, group, inputOf, member, partitionsOf } from './groups.ts';
import type { Group } from './groups.ts';

describe('assignors', () => {
  it('are there by the names that Kafka gives them, its default first', () => {
    expect(Array.from(assignors, ([name, assignor]) => [name, assignor.name])).toEqual([
      ['uniform', 'uniform'],
      ['range', 'range'],
    ]);
  });
});

describe.each([...assignors.values()])('assignor $name', (assignor) => {
  it('gives each partition of what is subscribed to, and no other, to one member that subscribes to it', () => {
    fc.assert(
      fc.property(anyGroup, (of) => {
        const assigned = assign(assignor, of);
        expect([...assigned.keys()].toSorted()).toEqual(
          of.members.map(({ memberId }) => memberId).toSorted(),
        );
        for (const { memberId, subscribedTopics } of of.members) {
          for (const [topicId, partitions] of assigned.get(memberId)!) {
            expect(subscribedTopics).toContain(topicId);
            expect(partitions).not.toHaveLength(0);
            expect(partitions).toEqual(partitions.toSorted(ascending));
          }
        }
        const given = [...assigned.values()].flatMap(partitionsOf);
        expect(given.toSorted()).toEqual(subscribedPartitions(of).toSorted());
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same in whatever order members, topics and what they had come', () => {
    fc.assert(
      fc.property(anyGroup, fc.infiniteStream(fc.nat()), (of, numbers) => {
        const mixed = mixedGroup(of, numbers);
        expect(assignor.assign(inputOf(mixed))).toEqual(assignor.assign(inputOf(of)));
      }),
      { numRuns: 300 },
    );
  });

  it('leaves its input as it is', () => {
    fc.assert(
      fc.property(anyGroup, (of) => {
        const before = structuredClone(of);
        assign(assignor, of);
        expect(of).toEqual(before);
      }),
    );
  });

  it('has an answer for groups without members, topics or partitions', () => {
    expect(assignmentBy(assignor, group({ a: 3 }))).toEqual({});
    expect(assignmentBy(assignor, group({ a: 3 }, member('A', [])))).toEqual({ A: {} });
    expect(assignmentBy(assignor, group({}, member('A', ['a']), member('B', ['b'])))).toEqual({
      A: {},
      B: {},
    });
  });

  it('forgets partitions and topics that are gone', () => {
    const assigned = { a: [0, 1, 2, 3], gone: [0, 1] };
    expect(assignmentBy(assignor, group({ a: 2 }, member('A', ['a', 'gone'], { assigned })))).toEqual({
      A: { a: [0, 1] },
    });
    expect(assignmentBy(assignor, group({ a: 2, b: 1 }, member('A', ['b'], { assigned })))).toEqual({
      A: { b: [0] },
    });
  });
});

function subscribedPartitions({ counts, members }: Group): string[] {
  return Array.from(counts, ([topicId, count]) =>
    members.some(({ subscribedTopics }) => subscribedTopics.has(topicId))
      ? Array.from({ length: count }, (_, partition) => `${topicId}:${partition}`)
      : [],
  ).flat();
}

function mixedGroup({ counts, members }: Group, numbers: Iterator<number>): Group {
  const mixed = <T>(items: Iterable<T>): T[] =>
    Array.from(items, (item): [T, number] => [item, numbers.next().value])
      .toSorted(([, left], [, right]) => left - right)
      .map(([item]) => item);
  return {
    counts,
    members: mixed(members).map((one) => ({
      ...one,
      subscribedTopics: new Set(mixed(one.subscribedTopics)),
      assigned: new Map(mixed(one.assigned)),
    })),
  };
}
