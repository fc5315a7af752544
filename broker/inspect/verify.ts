/** `kappalog log verify`: everything that recovery and scrubbing check, over all files, without changing any. */
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile } from '../../platform/whole-files.ts';
import { readFloors } from '../log/sync/durable-floors.ts';
import { decodeHeaders, halvesPosition } from '../log/sync/sync-journal-format.ts';
import { journalName } from '../log/sync/sync-journal-replay.ts';
import { readVotes } from '../partition/vote-records.ts';
import { dumpTarget } from './dump.ts';
import { advices } from './findings.ts';
import type { Finding, VerifiedCounts } from './findings.ts';
import { offsetOfName, parentOf } from './inspected-files.ts';
import type { InspectedDirectory, InspectedFile, InspectedPartition, Target } from './inspected-files.ts';
import { verifyPartition } from './verify-partition.ts';
import type { PartitionSurroundings, VerifiedPartition } from './verify-partition.ts';
import { checkLog } from './verify-segments.ts';

/** Tells each finding as it comes. Rejects with a DiskError. */
export async function verifyTarget(
  disk: Disk,
  target: Target,
  counts: VerifiedCounts,
  tell: (finding: Finding) => void,
): Promise<void> {
  switch (target.kind) {
    case 'file':
      await verifyFile(disk, target.file, counts, tell);
      return;
    case 'partition': {
      const surroundings = await surroundingsOf(disk, target.partition);
      await tellPartition(target.partition, { disk, counts, ...surroundings }, tell);
      return;
    }
    case 'data-directory':
      await verifyDirectory(disk, target.directory, counts, tell);
      return;
    default:
  }
}

async function verifyDirectory(
  disk: Disk,
  directory: InspectedDirectory,
  counts: VerifiedCounts,
  tell: (finding: Finding) => void,
): Promise<void> {
  const { path, names } = directory;
  const writer = await writerOf(disk, path);
  const holdsWrites = await verifyJournal(disk, path, tell);
  if (names.includes('votes')) {
    const { faults } = readVotes(await readWholeFile(disk, `${path}/votes`));
    for (const { position, reason } of faults)
      tell({
        kind: 'damage',
        file: `${path}/votes`,
        position,
        cause: reason,
        advice:
          'restore the file from a backup, or remove the data directory and let the node join as a new one',
      });
  }
  if (names.includes('floors')) {
    const { damagedSlots } = readFloors(await readWholeFile(disk, `${path}/floors`));
    for (const position of damagedSlots)
      tell({
        kind: 'repairable',
        file: `${path}/floors`,
        position,
        cause: 'neither copy of a floor is whole, and it is not known how far that log was durable',
        advice: advices.startsAnew,
      });
  }
  for (const partition of directory.partitions) {
    await tellPartition(partition, { disk, counts, writer, isJournalInUse: holdsWrites }, tell);
  }
}

/** A broker that runs removes and replaces files meanwhile: one that has just gone says nothing about the log. */
async function tellPartition(
  partition: InspectedPartition,
  surroundings: PartitionSurroundings,
  tell: (finding: Finding) => void,
): Promise<void> {
  try {
    const { findings } = await verifyPartition(partition, surroundings);
    findings.forEach(tell);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'not-found') throw error;
    const cause = 'it went away while the partition was being checked, which was left at that';
    tell({ kind: 'note', file: error.path, cause, advice: 'verify again, or while no broker runs' });
  }
}

/** Tells whether the journal holds what the segments do not have yet. */
async function verifyJournal(
  disk: Disk,
  directory: string,
  tell: (finding: Finding) => void,
): Promise<boolean> {
  const path = `${directory}/${journalName}`;
  const header = await readJournalHeader(disk, path);
  if (header === 'damaged') {
    const cause = 'neither copy of its header is whole: what it held cannot be brought into the segments';
    tell({ kind: 'damage', file: path, position: 0, cause, advice: advices.restore });
  }
  if (header !== 'in-use') return false;
  const cause = 'it holds writes that are not in the segments yet';
  tell({ kind: 'note', file: path, cause, advice: 'the next start of the broker brings them in' });
  return true;
}

export async function isJournalInUse(disk: Disk, directory: string): Promise<boolean> {
  return (await readJournalHeader(disk, `${directory}/${journalName}`)) === 'in-use';
}

async function readJournalHeader(disk: Disk, path: string): Promise<'in-use' | 'done' | 'damaged'> {
  if (!(await disk.exists(path))) return 'done';
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(halvesPosition);
    const header = decodeHeaders(bytes.subarray(0, await file.read(bytes, 0)));
    if (header === undefined) return 'damaged';
    return header !== 'empty' && header.isInUse ? 'in-use' : 'done';
  } finally {
    await file.close();
  }
}

/** Of a partition's directory alone: its data directory is the one above, if it is one. */
export async function surroundingsOf(
  disk: Disk,
  partition: InspectedPartition,
): Promise<Omit<PartitionSurroundings, 'disk' | 'counts'>> {
  const parent = parentOf(partition.path);
  if (await disk.exists(`${parent}/meta.properties`)) {
    return { writer: await writerOf(disk, parent), isJournalInUse: await isJournalInUse(disk, parent) };
  }
  // Kafka keeps no replica-state, and Kappalog is never without for long.
  const isOwn = partition.names.includes('replica-state');
  return { writer: isOwn ? 'kappalog' : 'kafka', isJournalInUse: false };
}

/** Whose data directory it is, by its meta.properties. */
export async function writerOf(disk: Disk, directory: string): Promise<'kappalog' | 'kafka'> {
  const path = `${directory}/meta.properties`;
  if (!(await disk.exists(path))) return 'kafka';
  return (await readWholeFile(disk, path)).includes('kappalog.format') ? 'kappalog' : 'kafka';
}

/** One file alone: a segment with its indexes, or whether another file can be read. */
async function verifyFile(
  disk: Disk,
  file: InspectedFile,
  counts: VerifiedCounts,
  tell: (finding: Finding) => void,
): Promise<void> {
  const isSegment = /^\d{20}\.(log|index|timeindex|txnindex)$/.test(file.name);
  const directory = parentOf(file.path);
  if (isSegment && (await disk.exists(`${directory}/${file.name.slice(0, 20)}.log`))) {
    const names = await disk.list(directory);
    const base = offsetOfName(file.name);
    const { writer } = await surroundingsOf(disk, { path: directory, name: '', names });
    const start = { offset: base };
    const checked = await checkLog({ disk, directory, bases: [base], rules: { writer }, start, counts });
    for (const segment of checked.segments) tellSegment(segment, directory, tell);
    return;
  }
  counts.files++;
  const options = {
    records: 'none',
    decoder: 'text',
    skipRecordMetadata: false,
    maxBytes: undefined,
  } as const;
  await dumpTarget(disk, { kind: 'file', file }, options, async ({ json }) => {
    if (json['type'] !== 'fault') return;
    const { position, reason } = json;
    tell({
      kind: 'damage',
      file: file.path,
      position: Number(position),
      cause: String(reason),
      advice: advices.startsAnew,
    });
  });
}

function tellSegment(
  { segment, fault, indexFaults, transactionFault }: VerifiedPartition['log']['segments'][number],
  directory: string,
  tell: (finding: Finding) => void,
): void {
  const base = `${directory}/${String(segment.baseOffset).padStart(20, '0')}`;
  if (fault !== undefined)
    tell({
      kind: fault.isZeros ? 'note' : 'damage',
      file: segment.path,
      position: fault.position,
      offset: fault.offset,
      cause: fault.isZeros ? 'zeros follow that were never written' : fault.reason,
      advice: fault.isZeros ? advices.none : 'verify its whole directory, which tells a torn end from damage',
    });
  for (const { index, entry, reason } of indexFaults)
    tell({
      kind: 'repairable',
      file: `${base}.${index}`,
      cause: `entry ${entry}: ${reason}`,
      advice: advices.repair,
    });
  if (transactionFault !== undefined)
    tell({ kind: 'repairable', file: `${base}.txnindex`, cause: transactionFault, advice: advices.repair });
}
