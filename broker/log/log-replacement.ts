/**
 * Puts another log in the place of a log: one that was copied from another node, or an empty one that begins after a snapshot
 * (storage-format.md, "Replacing a log"). The new files lie in `catch-up/` inside the log's directory, whole and synced. Then:
 *
 *   1. `log-replacement` is written, which names them: from here on the new log counts; before, the old one does.
 *   2. The durable floor becomes the new log's end, as what the old one may have held beyond is gone with it.
 *   3. The old log's files are removed, the new ones take their names; the directory is synced.
 *   4. `log-replacement` is removed, then `catch-up/`.
 *
 * Steps 2 to 4 may be interrupted anywhere and begun again, by the next opening of the log. What was set aside as damaged is kept
 * under a name that ends in `.given-up`: the new log is whole.
 */
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../platform/whole-files.ts';
import { Reader, Writer, crc32c } from '../../protocol/index.ts';
import type { DurableFloor, Floor } from './sync/durable-floors.ts';

/** What the new log consists of. */
export interface LogReplacement {
  /** Names in `catch-up/`, and then in the log's directory. */
  readonly files: readonly string[];
  /** Where the new log ends. */
  readonly floor: Floor;
}

export interface ReplacedLog {
  readonly disk: Disk;
  readonly directory: string;
  readonly floor?: DurableFloor;
}

export const replacementName = 'log-replacement';
const magic = Buffer.from('KLREPLC1', 'latin1');
/** magic, CRC-32C of the rest */
const prefixBytes = 12;
/** What belongs to a log, whoever wrote it; `partition.metadata` says whose the directory is, and stays. */
const logFilePattern =
  /^(\d{20}\.(log|index|timeindex|txnindex|snapshot)(\.(deleted|cleaned|swap|valid))?|\d{20}-\d{10}\.checkpoint|replica-state|raft-configuration|leader-epoch-checkpoint|.*\.tmp)$/;
const damagedPattern = /^(.*)\.damaged(\.\d+)?$/;

/** Where the files of a log that is to take this one's place are gathered. */
export function stagingDirectory(directory: string): string {
  return `${directory}/catch-up`;
}

/** Step 1. The files are whole and synced, and so are their names. Rejects with a DiskError. */
export async function commitReplacement(
  disk: Disk,
  directory: string,
  replacement: LogReplacement,
): Promise<void> {
  await disk.syncDirectory(stagingDirectory(directory));
  // `catch-up` is a name in it.
  await disk.syncDirectory(directory);
  await replaceFile(disk, directory, replacementName, encode(replacement));
}

/** Whether this failure of step 1, or of what goes before it, says for certain that the old log counts: there was no space. */
export function isNotCommitted(error: unknown, directory: string): boolean {
  return (
    error instanceof DiskError &&
    error.path === `${directory}/${replacementName}.tmp` &&
    (error.code === 'no-space' || error.code === 'too-many-open-files')
  );
}

/** Steps 2 to 4, where step 1 has happened; says whether it had. Rejects with a DiskError. */
export async function finishReplacement(log: ReplacedLog): Promise<boolean> {
  const { disk, directory, floor } = log;
  const replacement = await readReplacement(disk, directory);
  if (replacement === undefined) return false;
  if (replacement === 'damaged') {
    // What the log is now cannot be told: with this file in it, it is damaged.
    await disk.rename(`${directory}/${replacementName}`, `${directory}/${replacementName}.damaged`);
    await disk.syncDirectory(directory);
    return false;
  }
  await floor?.lower(replacement.floor);
  await removeOld(disk, directory, new Set(replacement.files));
  const staging = stagingDirectory(directory);
  for (const name of replacement.files) {
    if (await disk.exists(`${staging}/${name}`))
      await disk.rename(`${staging}/${name}`, `${directory}/${name}`);
  }
  // The new names before the old ones are gone.
  await disk.syncDirectory(directory);
  await disk.remove(`${directory}/${replacementName}`);
  await disk.syncDirectory(directory);
  await disk.removeDirectory(staging);
  return true;
}

/** What `log-replacement` says; undefined where there is none. */
export async function readReplacement(
  disk: Disk,
  directory: string,
): Promise<LogReplacement | 'damaged' | undefined> {
  try {
    return decodeReplacement(await readWholeFile(disk, `${directory}/${replacementName}`)) ?? 'damaged';
  } catch (error) {
    if (error instanceof DiskError && error.code === 'not-found') return undefined;
    throw error;
  }
}

async function removeOld(disk: Disk, directory: string, kept: ReadonlySet<string>): Promise<void> {
  for (const name of await disk.list(directory)) {
    const damaged = damagedPattern.exec(name)?.[1];
    if (damaged !== undefined)
      await disk.rename(`${directory}/${name}`, await givenUp(disk, directory, damaged));
    else if (logFilePattern.test(name) && !kept.has(name)) await disk.remove(`${directory}/${name}`);
  }
}

async function givenUp(disk: Disk, directory: string, name: string): Promise<string> {
  for (let number = 1; ; number++) {
    const path = `${directory}/${name}.given-up${number === 1 ? '' : `.${number}`}`;
    if (!(await disk.exists(path))) return path;
  }
}

function encode({ files, floor }: LogReplacement): Buffer {
  const writer = new Writer(512);
  writer.int32(floor.term);
  writer.int64(floor.endIndex);
  writer.compactCount(files.length);
  for (const name of files) writer.compactString(name);
  const content = writer.finish();
  const prefix = Buffer.alloc(prefixBytes);
  magic.copy(prefix);
  prefix.writeUInt32BE(crc32c(content), magic.length);
  return Buffer.concat([prefix, content]);
}

/** Undefined where it is not whole. */
export function decodeReplacement(bytes: Buffer): LogReplacement | undefined {
  if (bytes.length < prefixBytes || !bytes.subarray(0, magic.length).equals(magic)) return undefined;
  const content = bytes.subarray(prefixBytes);
  if (bytes.readUInt32BE(magic.length) !== crc32c(content)) return undefined;
  const reader = new Reader(content);
  const floor = { term: reader.int32(), endIndex: reader.int64() };
  const files: string[] = [];
  for (let count = reader.compactCount(2); count > 0; count--) files.push(reader.compactString());
  return { files, floor };
}
