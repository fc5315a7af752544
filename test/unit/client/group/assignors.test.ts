import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GroupAssignment, GroupMember } from '../../../../client/group/assignor.ts';
import { assignors } from '../../../../client/group/assignors.ts';
import type { TopicPartition } from '../../../../client/messages.ts';

function member(
  memberId: string,
  topics: string[],
  owned: TopicPartition[] = [],
  generation = 1,
): GroupMember {
  return {
    memberId,
    groupInstanceId: null,
    subscription: { topics, owned, generation, userData: assignors.sticky.userData(owned, generation) },
  };
}

const show = (assignment: GroupAssignment): Record<string, string> =>
  Object.fromEntries(
    [...assignment].map(([id, items]) => [id, items.map((item) => item.topic + item.partition).join(' ')]),
  );

const names = ['a', 'b', 'c'];
const groups = fc.record({
  members: fc.array(fc.subarray(names, { minLength: 1 }), { minLength: 1, maxLength: 6 }),
  counts: fc.array(fc.nat(9), { minLength: 3, maxLength: 3 }),
});

describe.each(['range', 'roundrobin', 'sticky', 'cooperative-sticky'] as const)('%s', (name) => {
  it('gives every partition to exactly one member that subscribes to it', () => {
    fc.assert(
      fc.property(groups, ({ members, counts }) => {
        const group = members.map((topics, index) => member(`m${index}`, topics));
        const partitionCounts = new Map(names.map((topic, index) => [topic, counts[index]!]));
        const assignment = assignors[name].assign(group, partitionCounts);
        expect([...assignment.keys()].sort()).toEqual(group.map((item) => item.memberId).sort());
        const given = [...assignment].flatMap(([id, items]) => {
          const { topics } = group.find((item) => item.memberId === id)!.subscription;
          for (const item of items) expect(topics).toContain(item.topic);
          return items.map((item) => `${item.topic}${item.partition}`);
        });
        const wanted = names
          .filter((topic) => members.some((topics) => topics.includes(topic)))
          .flatMap((topic) =>
            Array.from({ length: partitionCounts.get(topic)! }, (_, index) => `${topic}${index}`),
          );
        expect(given.sort()).toEqual(wanted.sort());
      }),
    );
  });
});

describe('range', () => {
  it('deals out topic by topic, the first members getting one more', () => {
    const group = [member('m2', ['a', 'b']), member('m1', ['a', 'b']), member('m3', ['b'])];
    expect(
      show(
        assignors.range.assign(
          group,
          new Map([
            ['b', 4],
            ['a', 3],
          ]),
        ),
      ),
    ).toEqual({
      m1: 'a0 a1 b0 b1',
      m2: 'a2 b2',
      m3: 'b3',
    });
  });

  it('puts static members first', () => {
    const group = [member('m1', ['a']), { ...member('m2', ['a']), groupInstanceId: 'x' }];
    expect(show(assignors.range.assign(group, new Map([['a', 1]])))).toEqual({ m1: '', m2: 'a0' });
  });
});

describe('roundrobin', () => {
  it('deals out all partitions in turn, passing over members that do not subscribe', () => {
    const group = [member('m1', ['a']), member('m2', ['a', 'b'])];
    expect(
      show(
        assignors.roundrobin.assign(
          group,
          new Map([
            ['a', 3],
            ['b', 2],
          ]),
        ),
      ),
    ).toEqual({
      m1: 'a0 a2',
      m2: 'a1 b0 b1',
    });
  });
});

describe.each(['sticky', 'cooperative-sticky'] as const)('%s', (name) => {
  const all = (topic: string, partitions: number[]): TopicPartition[] =>
    partitions.map((partition) => ({ topic, partition }));

  it('leaves an even share as it is', () => {
    const group = [member('m1', ['a'], all('a', [1, 3])), member('m2', ['a'], all('a', [0, 2]))];
    expect(show(assignors[name].assign(group, new Map([['a', 4]])))).toEqual({ m1: 'a1 a3', m2: 'a0 a2' });
  });

  it('takes as little as it can for a new member, and gives it the share of one that left', () => {
    const grown = [
      member('m1', ['a'], all('a', [0, 1, 2])),
      member('m2', ['a'], all('a', [3, 4, 5])),
      member('m3', ['a']),
    ];
    const shares = assignors[name].assign(grown, new Map([['a', 6]]));
    expect(shares.get('m1')).toHaveLength(2);
    expect(shares.get('m2')).toHaveLength(2);
    // Cooperatively, what the others still hold is handed over in the next round.
    expect(shares.get('m3')).toHaveLength(name === 'sticky' ? 2 : 0);
    const left = [member('m1', ['a'], all('a', [0, 1])), member('m3', ['a'], all('a', [4, 5]))];
    expect(show(assignors[name].assign(left, new Map([['a', 6]])))).toEqual({
      m1: 'a0 a1 a2',
      m3: 'a3 a4 a5',
    });
  });

  it('moves nothing between members that stay', () => {
    const numbers = (from: number): number[] => [0, 1, 2, 3, 4, 5].map((number) => from + number);
    const grown = [
      member('m1', ['a'], all('a', numbers(0))),
      member('m2', ['a'], all('a', numbers(6))),
      member('m3', ['a']),
    ];
    const shares = assignors[name].assign(grown, new Map([['a', 12]]));
    for (const [memberId, from] of [
      ['m1', 0],
      ['m2', 6],
    ] as const) {
      const kept = shares.get(memberId)!.map(({ partition }) => partition);
      expect(kept.filter((partition) => numbers(from).includes(partition))).toHaveLength(4);
      expect(kept).toHaveLength(4);
    }
  });

  it('believes the newer of two owners, and neither of two equal ones', () => {
    const old = [member('m1', ['a'], all('a', [0]), 1), member('m2', ['a'], all('a', [0]), 2)];
    expect(assignors[name].assign(old, new Map([['a', 1]])).get('m2')).toEqual(all('a', [0]));
    const equal = [member('m2', ['a'], all('a', [0]), 2), member('m1', ['a'], all('a', [0]), 2)];
    expect(assignors[name].assign(equal, new Map([['a', 1]])).get('m1')).toEqual(all('a', [0]));
  });

  it('ends with counts that differ by at most one where all subscribe to the same', () => {
    const owners = fc.array(fc.nat(4), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(owners, (owner) => {
        let group = [0, 1, 2, 3, 4].map((index) =>
          member(
            `m${index}`,
            ['a'],
            all(
              'a',
              owner.flatMap((who, partition) => (who === index ? [partition] : [])),
            ),
          ),
        );
        let shares: GroupAssignment = new Map();
        // Cooperatively it takes a second round to hand over.
        for (let round = 0; round < 2; round++) {
          shares = assignors[name].assign(group, new Map([['a', owner.length]]));
          group = group.map((item) => member(item.memberId, ['a'], shares.get(item.memberId), 2));
        }
        const counts = [...shares.values()].map((items) => items.length);
        expect(counts.reduce((sum, count) => sum + count)).toBe(owner.length);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
