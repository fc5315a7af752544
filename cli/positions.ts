import type { ReplayPosition } from '../client/replay/range.ts';
import { usageError } from './cli-error.ts';
import { formatTime, parseTime } from './times.ts';

/**
 * Places in a topic, as `--from` and `--until` take them. A whole number is an offset in each partition; epoch
 * milliseconds are written with an @ before them, so that the two cannot be mixed up.
 */

const words: Readonly<Record<string, 'start' | 'end'>> = {
  start: 'start',
  beginning: 'start',
  earliest: 'start',
  end: 'end',
  latest: 'end',
};

/** Throws a usage error with examples for anything else. `option` names the flag in that sentence. */
export function parsePosition(text: string, option: string, nowMs: number): ReplayPosition {
  const word = words[text.trim().toLowerCase()];
  if (word !== undefined) return word;
  const offset = /^([+-]?)(\d+)$/.exec(text.trim());
  if (offset !== null) {
    const count = Number(offset[2]);
    if (!Number.isSafeInteger(count)) throw usageError(`${option} ${text} is larger than any offset.`);
    return offset[1] === '-' ? { beforeEnd: count } : count;
  }
  try {
    return { timestamp: parseTime(text, nowMs) };
  } catch (cause) {
    throw usageError(
      `${option} "${text}" is neither a position nor a time; write start, end, an offset (1200), the last records (-100), ` +
        'or a time: 2026-11-22T14:30:00Z, 2026-11-22 (midnight UTC), @1795357800000 (epoch milliseconds), -2h or now.',
      cause,
    );
  }
}

/** For messages, such as "from the start until 2001-04-01T00:00:00.000Z". */
export function formatPosition(position: ReplayPosition): string {
  if (typeof position === 'string') return `the ${position}`;
  if (typeof position === 'number') return `offset ${position}`;
  return 'beforeEnd' in position ? `${position.beforeEnd} before the end` : formatTime(position.timestamp);
}

/** As it can be given to `--from` or `--until` again, with the same meaning at any later time. */
export function positionArgument(position: ReplayPosition): string {
  if (typeof position === 'object' && 'timestamp' in position) return formatTime(position.timestamp);
  return typeof position === 'object' ? `-${position.beforeEnd}` : String(position);
}
