/**
 * The file `repair-floor` in a partition's directory: how far the log of a damaged replica once reached (storage-format.md). There
 * until the replica holds as much again, as a log that was copied from another node may end before that, and what the group has
 * committed since counts on what this replica acknowledged.
 */
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../platform/whole-files.ts';
import { crc32c } from '../../protocol/index.ts';

/** Of the last entry that was durable. */
export interface RepairFloor {
  readonly term: number;
  readonly index: number;
}

const name = 'repair-floor';
const magic = Buffer.from('KLREPFL1', 'latin1');
/** magic, CRC-32C of the rest, term, index */
const fileBytes = 24;

export class DamagedRepairFloor extends Error {
  constructor(directory: string) {
    super(
      `${directory}/${name} is damaged: how much of the log is missing is not known; where others hold the partition, ` +
        'remove its directory, else the file',
    );
    this.name = 'DamagedRepairFloor';
  }
}

/** What of a log tells how far it reaches. */
export interface ReachedLog {
  readonly directory: string;
  readonly endIndex: number;
  readonly lastTerm: number;
}

/**
 * How far this log, which now is open, once reached, where it does not any more; durable when this resolves. `found`: what the opening
 * has met. Rejects with a DamagedRepairFloor or a DiskError.
 */
export async function lastingFloor(
  disk: Disk,
  log: ReachedLog,
  found: RepairFloor | undefined,
): Promise<RepairFloor | undefined> {
  const kept = await readRepairFloor(disk, log.directory);
  if (found !== undefined) {
    if (kept !== undefined && isAsHigh(kept, found)) return kept;
    await writeRepairFloor(disk, log.directory, found);
    return found;
  }
  // An entry of a later term says that nothing of the older ones follows it in any leader's log.
  const isWhole = kept !== undefined && (log.endIndex > kept.index || log.lastTerm > kept.term);
  if (!isWhole) return kept;
  await removeRepairFloor(disk, log.directory);
  return undefined;
}

export function isAsHigh(one: RepairFloor, other: RepairFloor): boolean {
  return one.term === other.term ? one.index >= other.index : one.term > other.term;
}

/** Undefined where nothing is to be repaired. Rejects with a DamagedRepairFloor or a DiskError. */
export async function readRepairFloor(disk: Disk, directory: string): Promise<RepairFloor | undefined> {
  const bytes = await readWholeFile(disk, `${directory}/${name}`).catch((error: unknown) => {
    if (error instanceof DiskError && error.code === 'not-found') return undefined;
    throw error;
  });
  if (bytes === undefined) return undefined;
  const isWhole =
    bytes.length === fileBytes &&
    bytes.subarray(0, magic.length).equals(magic) &&
    bytes.readUInt32BE(magic.length) === crc32c(bytes.subarray(12));
  if (!isWhole) throw new DamagedRepairFloor(directory);
  return { term: bytes.readInt32BE(12), index: Number(bytes.readBigInt64BE(16)) };
}

/** Durable when it resolves. Rejects with a DiskError. */
export async function writeRepairFloor(disk: Disk, directory: string, floor: RepairFloor): Promise<void> {
  const bytes = Buffer.alloc(fileBytes);
  magic.copy(bytes);
  bytes.writeInt32BE(floor.term, 12);
  bytes.writeBigInt64BE(BigInt(floor.index), 16);
  bytes.writeUInt32BE(crc32c(bytes.subarray(12)), magic.length);
  await replaceFile(disk, directory, name, bytes);
}

/** Gone, durably, when it resolves; it need not be there. Rejects with a DiskError. */
export async function removeRepairFloor(disk: Disk, directory: string): Promise<void> {
  try {
    await disk.remove(`${directory}/${name}`);
  } catch (error) {
    if (error instanceof DiskError && error.code === 'not-found') return;
    throw error;
  }
  await disk.syncDirectory(directory);
}
