/**
 * Looks at logs on the disk without a broker: what `kappalog log` is made of. A composition root of its own: it takes the
 * machine's disk, and the lock of a data directory before it changes anything in it.
 */
import { resolve } from 'node:path';
import { holderOfDirectory, lockDirectory } from '../../platform/real/directory-lock.ts';
import { RealClock } from '../../platform/real/real-clock.ts';
import { RealDisk } from '../../platform/real/real-disk.ts';
import { dumpTarget } from './dump.ts';
import type { DumpOptions, DumpSink } from './dump.ts';
import { noCounts } from './findings.ts';
import type { Finding, FindingKind, VerifiedCounts } from './findings.ts';
import { findTarget, parentOf } from './inspected-files.ts';
import type { Target } from './inspected-files.ts';
import { dataDirectoryOf, repairTarget } from './repair.ts';
import type { RepairEvents, RepairOptions } from './repair.ts';
import { verifyTarget } from './verify.ts';

export { DirectoryLocked } from '../../platform/real/directory-lock.ts';
export { RepairRefused } from './repair.ts';
export type { RepairEvents, RepairOptions } from './repair.ts';

export { sentenceOf } from './findings.ts';
export type { Finding, FindingKind, VerifiedCounts } from './findings.ts';
export type { DumpedItem, DumpOptions, DumpSink } from './dump.ts';
export type { RecordDecoder } from './record-words.ts';

/** A path that names nothing that can be inspected; nothing was done. */
export class NothingToInspect extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NothingToInspect';
  }
}

/** A broker's process has the data directory of one of the paths. */
export interface RunningBroker {
  readonly directory: string;
  readonly pid: number;
}

/** Prints what the paths hold; resolves with the number of faults. Rejects with NothingToInspect and DiskError. */
export async function dumpLogs(
  paths: readonly string[],
  options: DumpOptions,
  sink: DumpSink,
): Promise<number> {
  const disk = new RealDisk();
  let faults = 0;
  for (const target of await targetsOf(disk, paths)) faults += await dumpTarget(disk, target, options, sink);
  return faults;
}

export interface Verified {
  readonly counts: VerifiedCounts;
  readonly found: Readonly<Record<FindingKind, number>>;
}

/** Checks everything below the paths; tells each finding as it comes. Rejects with NothingToInspect and DiskError. */
export async function verifyLogs(
  paths: readonly string[],
  tell: (finding: Finding) => void,
): Promise<Verified> {
  const disk = new RealDisk();
  const counts = noCounts();
  const found = { damage: 0, repairable: 0, note: 0 };
  for (const target of await targetsOf(disk, paths)) {
    await verifyTarget(disk, target, counts, (finding) => {
      found[finding.kind]++;
      tell(finding);
    });
  }
  return { counts, found };
}

/**
 * Repairs what the paths name, which no broker may use. Rejects with NothingToInspect, RepairRefused, DirectoryLocked (each
 * before anything has been changed in the path it is about) and DiskError.
 */
export async function repairLogs(
  paths: readonly string[],
  options: RepairOptions,
  events: RepairEvents,
): Promise<void> {
  const platform = { disk: new RealDisk(), clock: new RealClock() };
  for (const target of await targetsOf(platform.disk, paths)) {
    const directory = await dataDirectoryOf(platform.disk, target);
    if (target.kind === 'file') continue;
    const unlock = directory === undefined ? () => undefined : lockDirectory(directory);
    try {
      await repairTarget(platform, target, options, events);
    } finally {
      unlock();
    }
  }
}

/** Brokers that run on the paths: what is read of their newest segments may be half written. */
export function brokersOn(paths: readonly string[]): RunningBroker[] {
  const running = new Map<string, number>();
  for (const path of paths.map((each) => resolve(each))) {
    // A data directory, a partition in one, or a file in either.
    for (const directory of [path, parentOf(path), parentOf(parentOf(path))]) {
      const pid = holderOfDirectory(directory);
      if (pid !== undefined) running.set(directory, pid);
    }
  }
  return [...running].map(([directory, pid]) => ({ directory, pid }));
}

/** All are looked up before anything is done with one. */
async function targetsOf(disk: RealDisk, paths: readonly string[]): Promise<Target[]> {
  const targets: Target[] = [];
  for (const path of paths) {
    const target = await findTarget(disk, resolve(path));
    if (typeof target === 'string') throw new NothingToInspect(target);
    targets.push(target);
  }
  return targets;
}
