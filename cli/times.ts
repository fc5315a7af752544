import { usageError } from './cli-error.ts';

/**
 * Times on the command line. A time without a zone is UTC, on every machine; every accepted form is in the README.
 */

const examples =
  '2026-11-22T14:30:00Z, 2026-11-22T14:30+02:00, 2026-11-22 (midnight UTC), 1795357800000 (epoch milliseconds), -2h, -1d12h or now';

const dateTimePattern =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)? ?(Z|[+-]\d{2}(?::?\d{2})?)?$/i;
const relativePattern = /^([+-])((?:\d+(?:\.\d+)?(?:ms|[smhdw]))+)$/i;
const epochPattern = /^@?(-?\d+)$/;
const unitMs: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
/** Plain numbers below this are more likely seconds, a year or an offset than milliseconds since 1970. */
const epochMsMin = 10_000_000_000;

/**
 * Milliseconds since the Unix epoch; throws a usage error with examples for anything that is no time.
 * @param text ISO 8601 (UTC where no zone is given), a date, epoch milliseconds (`@` before it takes any number),
 *   `now`, or a time relative to now such as `-2h` (units: ms, s, m, h, d, w).
 * @param nowMs what `now` and relative times count from.
 */
export function parseTime(text: string, nowMs: number): number {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === 'now') return nowMs;
  const time = parseRelative(trimmed, nowMs) ?? parseDateTime(trimmed) ?? parseEpoch(trimmed);
  if (time === undefined) throw usageError(`"${text}" is not a time; write one like ${examples}.`);
  return time;
}

/** A length of time such as `500ms`, `30s` or `1h30m`, in milliseconds; throws a usage error. */
export function parseDuration(text: string): number {
  const durationMs = sumUnits(text.trim());
  if (durationMs === undefined) {
    throw usageError(`"${text}" is not a length of time; write one like 500ms, 30s, 15m, 2h or 1h30m.`);
  }
  return durationMs;
}

/** A time as it is shown: ISO 8601 in UTC, to the millisecond. */
export function formatTime(timeMs: number): string {
  return Math.abs(timeMs) <= 8.64e15 ? new Date(timeMs).toISOString() : String(timeMs);
}

/** A duration as it is shown: its two largest units. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 60) return durationMs < 10_000 ? `${(durationMs / 1000).toFixed(1)} s` : `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function parseRelative(text: string, nowMs: number): number | undefined {
  const match = relativePattern.exec(text);
  if (match === null) return undefined;
  const durationMs = sumUnits(match[2]!);
  if (durationMs === undefined) return undefined;
  return Math.round(match[1] === '-' ? nowMs - durationMs : nowMs + durationMs);
}

function sumUnits(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/i.test(text)) return undefined;
  let sumMs = 0;
  for (const match of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/gi)) {
    sumMs += Number(match[1]) * unitMs[match[2]!.toLowerCase()]!;
  }
  return sumMs;
}

function parseDateTime(text: string): number | undefined {
  const match = dateTimePattern.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  const milliseconds = Math.floor(Number(`0.${match[7] ?? '0'}`) * 1000);
  const zone = zoneMs(match[8]);
  const date = new Date(Date.UTC(year!, month! - 1, day, hour, minute, second, milliseconds));
  // Date.UTC lets a 31st of February roll over; a time that does not exist is an error here.
  const exists =
    date.getUTCMonth() === month! - 1 && date.getUTCDate() === day && date.getUTCHours() === hour;
  if (!exists || minute! > 59 || second! > 59 || zone === undefined) return undefined;
  return date.getTime() - zone;
}

function zoneMs(zone: string | undefined): number | undefined {
  if (zone === undefined || zone.toUpperCase() === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(':', '') || 0);
  if (hours > 14 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

function parseEpoch(text: string): number | undefined {
  const match = epochPattern.exec(text);
  if (match === null) return undefined;
  const time = Number(match[1]);
  if (!Number.isSafeInteger(time)) return undefined;
  if (!text.startsWith('@') && Math.abs(time) < epochMsMin) {
    throw usageError(
      `"${text}" could be a date, seconds or milliseconds; write epoch milliseconds as @${text}, or a time like ${examples}.`,
    );
  }
  return time;
}
