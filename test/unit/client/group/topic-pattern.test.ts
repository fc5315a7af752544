import { describe, expect, it } from 'vitest';
import { compilePattern, patternText } from '../../../../client/group/topic-pattern.ts';

const names = ['orders', 'orders-eu', 'Orders', 'my-orders', 'x'];

describe('a pattern of topics', () => {
  it.each<[string | RegExp, string, string[]]>([
    ['orders', 'orders', ['orders']],
    ['orders|x', 'orders|x', ['orders', 'x']],
    ['(?i)orders', '(?i)orders', ['orders', 'Orders']],
    [/orders/i, '(?i)orders', ['orders', 'Orders']],
    [/orders.*/, 'orders.*', ['orders', 'orders-eu']],
    [/^orders$/gu, '^orders$', ['orders']],
    [/[a-z]+\.?-[a-z]+/, '[a-z]+\\.?-[a-z]+', ['orders-eu', 'my-orders']],
  ])('%s has to match the whole name, in both forms', (pattern, text, matching) => {
    expect(patternText(pattern)).toBe(text);
    const compiled = compilePattern(pattern);
    // Twice: nothing is kept of the name before.
    for (let round = 0; round < 2; round++)
      expect(names.filter((name) => compiled.test(name))).toEqual(matching);
  });

  it.each(['(', '[a', '(?P<x>a)'])('says what cannot be matched here: %s', (text) => {
    expect(() => compilePattern(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_REGULAR_EXPRESSION', retriable: false }),
    );
  });
});
