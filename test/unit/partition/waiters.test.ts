import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Waiters } from '../../../broker/partition/waiters.ts';

describe('Waiters', () => {
  it('tells each exactly once, in order, when its end is reached', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 3 }), { maxLength: 3000 }),
        fc.array(fc.nat({ max: 9000 })),
        (steps, reaches) => {
          const waiters = new Waiters();
          const told: number[] = [];
          let end = 0;
          const ends = steps.map((step) => (end += step));
          ends.forEach((endIndex, i) => waiters.add(endIndex, (reached) => told.push(reached ? i : -1)));
          const sorted = reaches.sort((a, b) => a - b);
          for (const reach of sorted) {
            waiters.reached(reach);
            expect(told).toEqual(ends.flatMap((endIndex, i) => (endIndex <= reach ? [i] : [])));
          }
          const before = told.length;
          waiters.fail();
          expect(told.slice(before)).toEqual(ends.slice(before).map(() => -1));
          expect(waiters.count).toBe(0);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('takes a new waiter from within an outcome', () => {
    const waiters = new Waiters();
    const told: string[] = [];
    waiters.add(1, () => {
      told.push('first');
      waiters.add(5, () => told.push('second'));
    });
    waiters.reached(3);
    expect(told).toEqual(['first']);
    waiters.reached(5);
    expect(told).toEqual(['first', 'second']);
  });

  it('tells one that comes late in the order of the ends, also after others have been told', () => {
    const waiters = new Waiters();
    const told: string[] = [];
    for (const end of [1, 5, 9]) waiters.add(end, () => told.push(`${end}`));
    waiters.reached(1);
    for (const end of [5, 4, 9, 2]) waiters.add(end, () => told.push(`${end} again`));
    waiters.reached(4);
    expect(told).toEqual(['1', '2 again', '4 again']);
    waiters.reached(9);
    expect(told.slice(3)).toEqual(['5', '5 again', '9', '9 again']);
    expect(waiters.count).toBe(0);
  });
});
