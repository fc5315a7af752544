import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rangeAssignor } from '../../../../../broker/groups/consumer/assignors/range-assignor.ts';
import { anyGroup, assign, assignmentBy, group, member, settled } from './groups.ts';
import type { Assignment, Group } from './groups.ts';

/** What Kafka's RangeAssignor gives in the cases of its own tests. */
const asKafka: [string, Group, Assignment][] = [
  [
    'two members, the same topics',
    group({ a: 3, c: 2 }, member('A', ['a', 'c']), member('B', ['a', 'c'])),
    { A: { a: [0, 1], c: [0] }, B: { a: [2], c: [1] } },
  ],
  [
    'three members, different topics',
    group({ a: 3, b: 3, c: 2 }, member('A', ['a', 'b']), member('B', ['c']), member('C', ['b', 'c'])),
    { A: { a: [0, 1, 2], b: [0, 1] }, B: { c: [0] }, C: { b: [2], c: [1] } },
  ],
  [
    'more members than partitions',
    group({ a: 3, c: 2 }, member('A', ['a', 'c']), member('B', ['a', 'c']), member('C', ['a', 'c'])),
    { A: { a: [0], c: [0] }, B: { a: [1], c: [1] }, C: { a: [2] } },
  ],
  [
    'a member joins for whom there is nothing',
    group(
      { a: 2, b: 2 },
      member('A', ['a', 'b'], { assigned: { a: [0], b: [0] } }),
      member('B', ['a', 'b'], { assigned: { a: [1], b: [1] } }),
      member('C', ['a', 'b']),
    ),
    { A: { a: [0], b: [0] }, B: { a: [1], b: [1] }, C: {} },
  ],
  [
    'topics have grown',
    group(
      { a: 4, b: 4 },
      member('A', ['a', 'b'], { assigned: { a: [0, 1], b: [0, 1] } }),
      member('B', ['a', 'b'], { assigned: { a: [2], b: [2] } }),
    ),
    { A: { a: [0, 1], b: [0, 1] }, B: { a: [2, 3], b: [2, 3] } },
  ],
  [
    'a member joins',
    group(
      { a: 3, b: 3 },
      member('A', ['a', 'b'], { assigned: { a: [0, 1], b: [0, 1] } }),
      member('B', ['a', 'b'], { assigned: { a: [2], b: [2] } }),
      member('C', ['a', 'b']),
    ),
    { A: { a: [0], b: [0] }, B: { a: [1], b: [1] }, C: { a: [2], b: [2] } },
  ],
  [
    'a member joins for one topic, which has grown',
    group(
      { a: 4, b: 3 },
      member('A', ['a', 'b'], { assigned: { a: [0, 1], b: [0, 1] } }),
      member('B', ['a', 'b'], { assigned: { a: [2], b: [2] } }),
      member('C', ['a']),
    ),
    { A: { a: [0, 1], b: [0, 1] }, B: { a: [2], b: [2] }, C: { a: [3] } },
  ],
  [
    'a member leaves',
    group({ a: 3, b: 3 }, member('B', ['a', 'b'], { assigned: { a: [2], b: [2] } })),
    { B: { a: [0, 1, 2], b: [0, 1, 2] } },
  ],
  [
    'subscriptions change',
    group(
      { a: 3, b: 3, c: 2 },
      member('A', ['a'], { assigned: { a: [0, 1, 2], b: [0] } }),
      member('B', ['a', 'b', 'c'], { assigned: { b: [1] } }),
      member('C', ['b'], { assigned: { b: [2], c: [0, 1] } }),
    ),
    { A: { a: [0, 1] }, B: { a: [2], b: [0, 1], c: [0, 1] }, C: { b: [2] } },
  ],
  [
    'static members come first, by instance id',
    group(
      { a: 5 },
      member('A', ['a'], { instanceId: 'y' }),
      member('B', ['a']),
      member('C', ['a'], { instanceId: 'x' }),
    ),
    { C: { a: [0, 1] }, A: { a: [2, 3] }, B: { a: [4] } },
  ],
];

describe('range assignor', () => {
  it.each(asKafka)('gives what Kafka gives: %s', (_, of, expected) => {
    expect(assignmentBy(rangeAssignor, of)).toEqual(expected);
  });

  it('gives a static member the same ranges when it comes back with another member id', () => {
    const others = [member('B', ['a']), member('C', ['a'], { instanceId: 'c' })];
    const before = assignmentBy(
      rangeAssignor,
      group({ a: 5 }, member('A', ['a'], { instanceId: 'a' }), ...others),
    );
    const after = assignmentBy(
      rangeAssignor,
      group({ a: 5 }, member('Z', ['a'], { instanceId: 'a' }), ...others),
    );
    expect(before).toEqual({ A: { a: [0, 1] }, C: { a: [2, 3] }, B: { a: [4] } });
    expect(after).toEqual({ Z: { a: [0, 1] }, C: { a: [2, 3] }, B: { a: [4] } });
  });

  it('gives each topic in contiguous ranges in the order of its subscribers, the longer ones first', () => {
    fc.assert(
      fc.property(anyGroup, (of) => {
        const assigned = assign(rangeAssignor, of);
        for (const [topicId, count] of of.counts) {
          const ranges = inOrder(of)
            .filter(({ subscribedTopics }) => subscribedTopics.has(topicId))
            .map(({ memberId }) => assigned.get(memberId)!.get(topicId) ?? []);
          if (ranges.length === 0) continue;
          expect(ranges.flat()).toEqual(Array.from({ length: count }, (_, partition) => partition));
          const lengths = ranges.map(({ length }) => length);
          expect(lengths).toEqual(lengths.toSorted((left, right) => right - left));
          expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same numbers of topics that have equally many and the same subscribers', () => {
    fc.assert(
      fc.property(anyGroup, fc.nat(9), (of, count) => {
        const counts = new Map(of.counts).set('a', count).set('twin', count);
        const members = of.members.map((one) => ({
          ...one,
          subscribedTopics: one.subscribedTopics.has('a')
            ? new Set([...one.subscribedTopics, 'twin'])
            : one.subscribedTopics,
        }));
        for (const assigned of assign(rangeAssignor, { counts, members }).values()) {
          expect(assigned.get('twin')).toEqual(assigned.get('a'));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('moves nothing when nothing changes', () => {
    fc.assert(
      fc.property(anyGroup, (of) => {
        const after = settled(rangeAssignor, of);
        expect(assignmentBy(rangeAssignor, after)).toEqual(assignmentBy(rangeAssignor, of));
      }),
    );
  });
});

/** Static members by instance id, then the others by member id. */
function inOrder({ members }: Group): Group['members'] {
  const key = ({ instanceId, memberId }: Group['members'][number]) =>
    instanceId === null ? `1${memberId}` : `0${instanceId}`;
  return members.toSorted((left, right) => (key(left) < key(right) ? -1 : 1));
}
