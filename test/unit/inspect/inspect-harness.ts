/** A data directory in memory with one partition's log in it, which is written by the log itself and then spoilt. */
import { DurableFloors } from '../../../broker/log/sync/durable-floors.ts';
import type { Finding } from '../../../broker/inspect/findings.ts';
import { noCounts } from '../../../broker/inspect/findings.ts';
import { findTarget } from '../../../broker/inspect/inspected-files.ts';
import { repairTarget } from '../../../broker/inspect/repair.ts';
import type { RepairOptions } from '../../../broker/inspect/repair.ts';
import { verifyTarget } from '../../../broker/inspect/verify.ts';
import { openSyncer } from '../../../broker/log/sync/open-syncer.ts';
import type { Disk } from '../../../platform/disk.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { replaceFile } from '../../../platform/whole-files.ts';
import { appendValues, directory, flushed, openLog, startTerm } from '../log/log-harness.ts';
import type { Opened } from '../log/log-harness.ts';

export const dataDirectory = '/data';
const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ';
const config = { segmentBytes: 1500, indexIntervalBytes: 100 };

/** Opens the log with its durable floor. */
export async function openWithFloor(
  disk: Disk,
): Promise<Opened & { readonly floors: DurableFloors; readonly close: () => Promise<void> }> {
  const clock = new ManualClock();
  const syncer = await openSyncer({ disk, clock, directory: dataDirectory, concurrencyMax: 1 });
  const floors = await DurableFloors.open({
    disk,
    clock,
    directory: dataDirectory,
    syncer,
    onFailure: () => undefined,
  });
  const opened = await openLog({ disk, config, clock, floor: floors.floor({ topicId, partition: 0 }) });
  const close = async (): Promise<void> => {
    await opened.log.flushAndClose();
    await floors.close();
    await syncer.close();
  };
  return { ...opened, floors, close };
}

export interface Built {
  readonly disk: MemoryDisk;
  /** Base offsets. */
  readonly bases: readonly number[];
  readonly endOffset: number;
}

/** Batches 'v0', 'v1' ... of two records, several terms and segments, closed cleanly. */
export async function build(batches = 60): Promise<Built> {
  const disk = new MemoryDisk();
  await disk.makeDirectory(directory);
  await replaceFile(disk, dataDirectory, 'meta.properties', Buffer.from('version=1\nkappalog.format=1\n'));
  const metadata = Buffer.from(`version: 0\ntopic_id: ${topicId}\n`);
  await replaceFile(disk, directory, 'partition.metadata', metadata);
  const { log, close } = await openWithFloor(disk);
  startTerm(log, 1);
  for (let batch = 0; batch < batches; batch++) {
    if (batch % 17 === 16) startTerm(log, log.lastTerm + 1);
    appendValues(log, [`v${2 * batch}`, `v${2 * batch + 1}`], 1000 + ((batch * 13) % batches));
  }
  await flushed(log);
  const bases = log.segments().map(({ baseOffset }) => baseOffset);
  const endOffset = log.logEndOffset;
  await close();
  return { disk, bases, endOffset };
}

export function pathOf(base: number, kind: string): string {
  return `${directory}/${String(base).padStart(20, '0')}.${kind}`;
}

/** What verify finds, notes left out unless asked for. */
export async function verify(disk: Disk, path = dataDirectory, withNotes = false): Promise<Finding[]> {
  const target = await findTarget(disk, path);
  if (typeof target === 'string') throw new Error(target);
  const findings: Finding[] = [];
  await verifyTarget(disk, target, noCounts(), (finding) => findings.push(finding));
  return findings.filter(({ kind }) => withNotes || kind !== 'note');
}

export interface Repaired {
  readonly steps: readonly string[];
  readonly refusals: readonly string[];
}

export async function repair(disk: Disk, options: Partial<RepairOptions> = {}): Promise<Repaired> {
  const target = await findTarget(disk, dataDirectory);
  if (typeof target === 'string' || target.kind === 'file') throw new Error('no data directory');
  const steps: string[] = [];
  const refusals: string[] = [];
  const all = { acceptDataLoss: false, dryRun: false, indexIntervalBytes: 100, ...options };
  await repairTarget({ disk, clock: new ManualClock() }, target, all, {
    stepped: (what) => steps.push(what),
    refused: (why) => refusals.push(why),
  });
  return { steps, refusals };
}

export async function truncateFile(disk: Disk, path: string, sizeBytes: number): Promise<void> {
  const file = await disk.open(path, 'write');
  await file.truncate(sizeBytes);
  await file.close();
}

export async function appendBytes(disk: Disk, path: string, bytes: Buffer): Promise<void> {
  const file = await disk.open(path, 'create');
  await file.write([bytes], await file.size());
  await file.close();
}
