import { pino } from 'pino';
import type { Logger } from '../../broker/index.ts';
import type { LogLevel } from './start-options.ts';

/**
 * The broker's log on stderr, written at once, so that the last line before an end is there: JSON lines for machines, and
 * plain ones where a terminal reads them.
 */
export function createLogger(level: LogLevel, stderr: NodeJS.WriteStream): Logger {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (!stderr.isTTY) return pino(options, pino.destination({ fd: 2, sync: true }));
  return pino(options, { write: (line: string) => stderr.write(readable(line)) });
}

/** `12:30:01.250 warn  the sentence  key=value` */
function readable(line: string): string {
  const { time, level, msg, ...fields }: Record<string, unknown> = JSON.parse(line);
  const label = typeof level === 'number' ? (pino.levels.labels[level] ?? level) : '';
  const pairs = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${String(time).slice(11, 23)} ${String(label).padEnd(5)} ${[String(msg), ...pairs].join('  ')}\n`;
}
