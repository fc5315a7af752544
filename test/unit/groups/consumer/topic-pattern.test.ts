import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  patternLengthMax,
  patternSizeMax,
  TopicPattern,
  TopicPatternError,
} from '../../../../broker/groups/consumer/topic-pattern.ts';

/** Anything but a TopicPatternError goes through, and fails the test. */
function faultOf(text: string): TopicPatternError | undefined {
  try {
    TopicPattern.compile(text);
  } catch (error) {
    if (error instanceof TopicPatternError) return error;
    throw error;
  }
  return undefined;
}

/** Patterns whose meaning RE2 and JavaScript share, over a small alphabet so that matches are common. */
const commonPattern = fc.letrec<{ atom: string; sequence: string; choice: string }>((tie) => ({
  atom: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom('a', 'b', 'c', '.', '-', '\\.', '[ab]', '[^a]', '[a-c]', '\\d', '\\w', '\\W'),
    fc
      .tuple(tie('choice'), fc.constantFrom('', '*', '+', '?', '{2}', '{0,3}', '{1,}'))
      .map(([inner, repeat]) => `(?:${inner})${repeat}`),
    tie('choice').map((inner) => `(${inner})`),
  ),
  sequence: fc.array(tie('atom'), { maxLength: 3 }).map((atoms) => atoms.join('')),
  choice: fc.array(tie('sequence'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('|')),
})).choice;

const topicName = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '.', '-', '1'), maxLength: 12 });

describe('TopicPattern', () => {
  it.each([
    ['orders', 'orders', true],
    ['orders', 'orders-2', false],
    ['orders', 'my-orders', false],
    ['orders.*', 'orders-2', true],
    ['a|ab', 'ab', true],
    ['^a.c$', 'abc', true],
    ['(?i)ORDERS', 'orders', true],
    ['\\Qa.b\\E', 'a.b', true],
    ['\\Qa.b\\E', 'axb', false],
    ['[[:alpha:]]+', 'abc', true],
    ['\\pL+', 'abc', true],
    ['(?P<kind>[a-z]+)-\\d{4}', 'log-2024', true],
    ['', 'a', false],
  ])('%j against %j: %j', (pattern, name, expected) => {
    expect(TopicPattern.compile(pattern).matches(name)).toBe(expected);
  });

  it('agrees with JavaScript where both mean the same', () => {
    fc.assert(
      fc.property(commonPattern, fc.array(topicName, { minLength: 1, maxLength: 8 }), (text, names) => {
        const expected = new RegExp(`^(?:${text})$`);
        const fault = faultOf(text);
        if (fault !== undefined) {
          expect(fault).toMatchObject({ message: expect.stringMatching(/too large|longer than/) });
          return;
        }
        const pattern = TopicPattern.compile(text);
        expect(names.map((name) => pattern.matches(name))).toEqual(names.map((name) => expected.test(name)));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    '(?=a)b',
    '(?!a)b',
    '(?<=a)b',
    '(?<!a)b',
    '(a)\\1',
    '(?P=a)',
    '*a',
    'a**',
    '(a',
    'a)',
    '[a',
    '(?>a)',
    'a\\',
  ])('refuses %j, with a sentence that names it', (text) => {
    const fault = faultOf(text);
    expect(fault).toBeInstanceOf(TopicPatternError);
    expect(fault).toMatchObject({ pattern: text, name: 'TopicPatternError' });
    expect(fault?.message).toMatch(/^SubscribedTopicRegex `.+` is not a valid regular expression: .+\.$/s);
  });

  it.each([
    ['one repetition of more than a thousand', 'a{1001}', 'invalid repeat count'],
    ['nested ones', '(a{1000}){1000}', 'invalid repeat count'],
    ['many in a row', 'a{1000}'.repeat(20), 'too large'],
    ['one of much', `(${'[a-z]'.repeat(20)}){1000}`, 'too large'],
    ['a pattern that compiles to too much', '(((a)*)*){1000}', 'too large'],
    ['a long one', 'a'.repeat(patternLengthMax + 1), 'longer than 1000 characters'],
    [
      'deep parentheses that are too long',
      `${'('.repeat(5_000)}a${')'.repeat(5_000)}`,
      'longer than 1000 characters',
    ],
  ])('refuses %s', (_, text, reason) => {
    expect(faultOf(text)).toMatchObject({
      name: 'TopicPatternError',
      message: expect.stringContaining(reason),
    });
    expect(faultOf(text)?.message.length).toBeLessThan(300);
  });

  it('compiles any text or refuses it, and no more than is allowed', () => {
    const piece = fc.constantFrom(
      'a',
      '(',
      ')',
      '[',
      ']',
      '{2}',
      '{9,}',
      '{1000}',
      '*',
      '?',
      '|',
      '\\',
      '^',
      'p{L}',
      '-',
      'Q',
      '\u{1F600}',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece).map((pieces) => pieces.join('')),
          fc.string(),
        ),
        (text) => {
          if (faultOf(text) !== undefined) return;
          expect(TopicPattern.compile(text).size).toBeLessThanOrEqual(patternSizeMax);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('takes any of the length allowed that repeats little', () => {
    const pattern = TopicPattern.compile('[a-z]?'.repeat(166));
    expect([pattern.matches('a'.repeat(166)), pattern.matches('a'.repeat(167))]).toEqual([true, false]);
    expect(pattern.size).toBeLessThanOrEqual(patternSizeMax);
  });

  // A backtracking engine takes 2^n steps for these, so that a test of it would not end.
  it.each(['(a+)+$', '(a*)*b', '(a|a)*b', '(a|aa)+$', '(.*)*x', '([a-z]+)*!', '(a?){100}a{100}'])(
    'does not backtrack: %j',
    (text) => {
      const pattern = TopicPattern.compile(text);
      expect(pattern.matches(`${'a'.repeat(20_000)}-`)).toBe(false);
      expect(pattern.size).toBeLessThan(600);
    },
  );
});
