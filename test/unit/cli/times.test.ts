import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CliError } from '../../../cli/cli-error.ts';
import { formatDuration, formatTime, parseDuration, parseTime } from '../../../cli/times.ts';

const now = Date.UTC(2026, 10, 22, 12, 0, 0);

describe('parseTime', () => {
  it.each([
    ['2026-11-22T14:30:00Z', Date.UTC(2026, 10, 22, 14, 30)],
    ['2026-11-22t14:30:00.250z', Date.UTC(2026, 10, 22, 14, 30, 0, 250)],
    ['2026-11-22 14:30', Date.UTC(2026, 10, 22, 14, 30)],
    ['2026-11-22T14:30:00,123456789', Date.UTC(2026, 10, 22, 14, 30, 0, 123)],
    ['2026-11-22T14:30+02:00', Date.UTC(2026, 10, 22, 12, 30)],
    ['2026-11-22T14:30-0530', Date.UTC(2026, 10, 22, 20, 0)],
    ['2026-11-22T14:30+02', Date.UTC(2026, 10, 22, 12, 30)],
    ['2026-11-22', Date.UTC(2026, 10, 22)],
    ['2024-02-29', Date.UTC(2024, 1, 29)],
    ['978307260000', 978_307_260_000],
    ['@978307260000', 978_307_260_000],
    ['@0', 0],
    ['now', now],
    ['-2h', now - 7_200_000],
    ['-1d12h', now - 129_600_000],
    ['+30m', now + 1_800_000],
    ['-500ms', now - 500],
    ['-1.5s', now - 1500],
    ['-1w', now - 604_800_000],
  ])('reads %s', (text, expected) => {
    expect(parseTime(text, now)).toBe(expected);
  });

  it.each([
    'yesterday',
    '',
    '2026-02-30',
    '2025-02-29',
    '2026-13-01',
    '2026-11-22T25:00',
    '2026-11-22T14:60',
    '2026-11-22T14:30:61',
    '2026-11-22T14:30+25:00',
    '22.11.2026',
    '2h',
    '-2x',
    '-',
    '1e12',
  ])('refuses %j with examples, as a usage error', (text) => {
    expect(() => parseTime(text, now)).toThrow(CliError);
    expect(() => parseTime(text, now)).toThrow(/is not a time; write one like 2026-11-22T14:30:00Z/);
    expect(() => parseTime(text, now)).toThrow(expect.objectContaining({ exitCode: 2 }));
  });

  it.each(['20261122', '1795357800', '2026'])('does not guess what the bare number %s means', (text) => {
    expect(() => parseTime(text, now)).toThrow(new RegExp(`write epoch milliseconds as @${text}`));
  });

  it('reads back every time that it shows', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (time) => {
        expect(parseTime(formatTime(time), now)).toBe(time);
        expect(parseTime(`@${time}`, now)).toBe(time);
      }),
    );
  });
});

describe('durations', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['1h30m', 5_400_000],
    ['0.5s', 500],
  ])('reads %s', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it.each(['30', '-2h', 'soon', ''])('refuses %j', (text) => {
    expect(() => parseDuration(text)).toThrow(/is not a length of time/);
  });

  it.each([
    [12, '12 ms'],
    [1234, '1.2 s'],
    [59_400, '59 s'],
    [61_000, '1 min 1 s'],
    [7_260_000, '2 h 1 min'],
    [90_000_000, '1 d 1 h'],
  ])('shows %d ms as %s', (durationMs, expected) => {
    expect(formatDuration(durationMs)).toBe(expected);
  });
});
