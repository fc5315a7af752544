import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearestName } from '../../../cli/suggest.ts';

describe('nearestName', () => {
  const topics = ['orders', 'payments', 'flights', 'flights-corrected'];

  it.each([
    ['order', 'orders'],
    ['Orders', 'orders'],
    ['fligths', 'flights'],
    ['paymetns', 'payments'],
    ['flights-corected', 'flights-corrected'],
  ])('suggests for %s the name %s', (typed, meant) => {
    expect(nearestName(typed, topics)).toBe(meant);
  });

  it.each(['customers', 'x', ''])('suggests nothing for %j', (typed) => {
    expect(nearestName(typed, topics)).toBeUndefined();
  });
});

describe('editDistance', () => {
  it('is a distance', () => {
    const text = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b) === 0).toBe(a === b);
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });

  it('counts a swap of neighbours once', () => {
    expect(editDistance('topic', 'toipc')).toBe(1);
    expect(editDistance('kitten', 'sitting')).toBe(3);
  });
});
