import { describe, expect, it } from 'vitest';
import { recordWords } from '../../../broker/inspect/record-words.ts';

const record = { offset: 0, timestamp: 0, headers: [] };

function textOf(hex: string): string | undefined {
  return recordWords({ ...record, key: null, value: Buffer.from(hex, 'hex') }, 'text').payload;
}

describe('keys and values as text', () => {
  it('are read as UTF-8', () => {
    expect(textOf('61c3a4e282acf09f9880')).toBe('a\u00e4\u20ac\u{1f600}');
    expect(recordWords({ ...record, key: Buffer.from('k'), value: null }, 'text')).toEqual({
      key: 'k',
      payload: undefined,
    });
  });

  // What `new String(bytes, UTF_8)` gives in a JVM.
  it.each([
    ['a surrogate', '61eda08062', 'a?b'],
    ['the last surrogate', 'edbfbf', '?'],
    ['a surrogate cut by another character', '61eda062', 'a?b'],
    ['a surrogate cut by the end', 'eda0', '?'],
    ['two surrogates', 'eda080edb080', '??'],
    ['what is below the surrogates', 'ed9fbf', '\ud7ff'],
    ['the first of three bytes alone', 'ed41', '?A'],
    ['a surrogate before a cut character', 'eda0f1a1', '??'],
    ['bytes that begin nothing', '80ffc0', '???'],
  ])('has as many replacement characters as Java has: %s', (_what, hex, expected) => {
    expect(textOf(hex)).toBe(expected.replaceAll('?', '\ufffd'));
  });
});
