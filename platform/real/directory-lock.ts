/**
 * One process at a time in a data directory. The file `.lock` names the process that holds it: its id, when it started and
 * the boot of the operating system, so that the lock of a process that was killed, or whose id has passed to another, is
 * known to be free at once.
 */
import { closeSync, linkSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { errnoOf } from './errno.ts';
import { realBoot } from './real-boot.ts';

/** Another living process holds the directory. */
export class DirectoryLocked extends Error {
  readonly pid: number;

  constructor(directory: string, pid: number) {
    super(
      `another broker (process ${pid}) runs on the data directory ${directory}; stop it, or choose another directory`,
    );
    this.name = 'DirectoryLocked';
    this.pid = pid;
  }
}

interface Holder {
  readonly pid: number;
  /** Clock ticks between the boot and the start of the process; '' where the system does not tell. */
  readonly started: string;
  readonly boot: string;
}

/**
 * Takes the lock or throws DirectoryLocked; the function returned gives it back, and never throws: where the disk has failed,
 * the file stays, and is stale as soon as this process has ended.
 */
export function lockDirectory(directory: string): () => void {
  const path = `${directory}/.lock`;
  const self: Holder = { pid: process.pid, started: startOf(process.pid), boot: bootId() };
  const candidate = `${path}.${process.pid}.${process.hrtime.bigint()}`;
  const file = openSync(candidate, 'wx');
  writeSync(file, JSON.stringify(self));
  closeSync(file);
  try {
    // Linking fails where the name exists, and shows the whole content at once where it does not.
    while (!tryLink(candidate, path)) {
      const holder = readHolder(path);
      if (holder === undefined) continue;
      if (isAlive(holder)) throw new DirectoryLocked(directory, holder.pid);
      removeStale(path, holder, candidate);
    }
  } finally {
    unlinkSync(candidate);
  }
  let held = true;
  return () => {
    if (!held) return;
    held = false;
    try {
      unlinkSync(path);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  };
}

/** The living process that holds a directory; undefined where none does, or there is no such directory. Takes nothing. */
export function holderOfDirectory(directory: string): number | undefined {
  const holder = readHolder(`${directory}/.lock`);
  return holder !== undefined && isAlive(holder) ? holder.pid : undefined;
}

function tryLink(candidate: string, path: string): boolean {
  try {
    linkSync(candidate, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Two processes may find the same stale lock. The bad sequence: both read it, one removes it and links its own, the other
 * then removes that one. So the stale file is first renamed away, and if what was renamed is not what was read, it is put
 * back: linking it again fails only if a third has the lock by then.
 */
function removeStale(path: string, stale: Holder, candidate: string): void {
  const aside = `${candidate}.stale`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  const moved = readHolder(aside);
  if (moved !== undefined && (moved.pid !== stale.pid || moved.started !== stale.started))
    tryLink(aside, path);
  unlinkSync(aside);
}

/** Undefined where the file has gone; a file that nobody can read counts as stale. */
function readHolder(path: string): Holder | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
  const match = /^\{"pid":(\d+),"started":"(\d*)","boot":"([\w-]*)"\}$/.exec(text);
  return { pid: Number(match?.[1] ?? 0), started: match?.[2] ?? '', boot: match?.[3] ?? 'unreadable' };
}

function isAlive(holder: Holder): boolean {
  if (holder.boot !== bootId() || holder.pid === 0) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
  return holder.started === startOf(holder.pid);
}

/**
 * From /proc/PID/stat: the 22nd field, counted after the name, which may hold spaces and brackets. '' for a process that has
 * ended and that its parent has not asked after yet (state Z or X): it holds nothing any more.
 */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? '' : (fields[19] ?? '');
  } catch {
    // No /proc, or the process has just ended: the id alone has to do.
    return '';
  }
}

/** '' where the system does not tell: locks then outlive a reboot only if the process id is in use again. */
function bootId(): string {
  return realBoot().id ?? '';
}
