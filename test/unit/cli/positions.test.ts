import { describe, expect, it } from 'vitest';
import { CliError } from '../../../cli/cli-error.ts';
import { formatPosition, parsePosition } from '../../../cli/positions.ts';

const now = Date.UTC(2026, 10, 22);

describe('parsePosition', () => {
  it.each([
    ['start', 'start'],
    ['Earliest', 'start'],
    ['end', 'end'],
    ['0', 0],
    ['978307260000', 978_307_260_000],
    ['@978307260000', { timestamp: 978_307_260_000 }],
    ['-100', { beforeEnd: 100 }],
    ['-2h', { timestamp: now - 7_200_000 }],
    ['2001-03-01', { timestamp: Date.UTC(2001, 2, 1) }],
  ] as const)('reads %s', (text, expected) => {
    expect(parsePosition(text, '--from', now)).toEqual(expected);
  });

  it.each(['tomorrow', '', '12abc', '99999999999999999999'])('refuses %j and names the option', (text) => {
    expect(() => parsePosition(text, '--until', now)).toThrow(CliError);
    expect(() => parsePosition(text, '--until', now)).toThrow(/^--until/);
  });

  it('shows positions in words', () => {
    expect(formatPosition('start')).toBe('the start');
    expect(formatPosition({ beforeEnd: 5 })).toBe('5 before the end');
    expect(formatPosition({ timestamp: 0 })).toBe('1970-01-01T00:00:00.000Z');
  });
});
