/**
 * How many files this process may have open. A listener asks before it keeps a connection: where the limit is met while
 * accepting, libuv closes connections without a word, and the logs would find no file descriptor left for a new segment.
 */
import { readFileSync } from 'node:fs';
import { errnoOf } from './errno.ts';

/** Descriptors that connections leave to files. */
const reservedMax = 64;

/** From this descriptor on connections are not kept; Infinity where the system does not tell its limit. */
export function connectionDescriptorLimit(): number {
  const limit = openFilesLimit();
  return limit - Math.min(reservedMax, Math.ceil(limit / 8));
}

/** How many files of one kind may be kept open: as many as asked for, or a quarter of what the system allows. */
export function filesOpenMax(wanted: number): number {
  return Math.max(16, Math.min(wanted, Math.floor(openFilesLimit() / 4)));
}

function openFilesLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return soft === undefined ? Infinity : Number(soft);
  } catch (error) {
    // Only Linux tells it in a file.
    if (errnoOf(error) === undefined) throw error;
    return Infinity;
  }
}
