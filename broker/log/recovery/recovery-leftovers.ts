/**
 * What a crash leaves in a partition's directory beside whole segments: the first step of opening a log (storage-format.md,
 * "Leftovers"). Names tell what each file is; nothing else is looked at but the header of a cleaned segment that was being put
 * in. May be interrupted anywhere and begun again.
 */
import { DiskError } from '../../../platform/disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import { verifyBatchCrc } from '../../../protocol/index.ts';
import { cleanedHeaderBytes, readCleanedHeader } from '../segments/cleaned-header.ts';
import type { CleanedHeader } from '../segments/cleaned-header.ts';
import { finishReplacement, replacementName } from '../log-replacement.ts';
import type { ReplacedLog } from '../log-replacement.ts';
import { stateFileName } from './replica-state-file.ts';
import { finishSwap, swapSuffix } from '../segments/segment-swap.ts';
import { segmentFiles, segmentPath } from '../segments/segment.ts';

/** The valid beginning of a damaged segment, before it takes that one's name. */
export const validSuffix = '.valid';
/** Files of segments, or a replacement, that were set aside; a number may follow. */
const damagedPattern = /^(\d{20}\.log|log-replacement)\.damaged(\.\d+)?$/;
const segmentPattern = /^(\d{20})\.(log|index|timeindex|txnindex)$/;
const pairPattern = /^(\d{20})\.(log|index|timeindex|txnindex)\.(deleted|cleaned|swap|valid)$/;
/** Kafka's own file: a log that has it was written by Kafka, at least at first. */
export const kafkaEpochFile = 'leader-epoch-checkpoint';

export interface FoundFiles {
  /** Of segments, ascending. */
  readonly bases: readonly number[];
  /** Index files there are. */
  readonly names: ReadonlySet<string>;
  /** Cleaned segments whose swap was finished just now. */
  readonly swaps: readonly CleanedHeader[];
  /** Logs of segments, and replacements, that were set aside earlier. */
  readonly damaged: readonly string[];
  readonly hasState: boolean;
  readonly isAdopted: boolean;
}

/** Makes the directory where there is none. Rejects with a DiskError. */
export async function settleLeftovers(log: ReplacedLog): Promise<FoundFiles> {
  const { disk, directory } = log;
  let names = await listOrMake(disk, directory);
  if (names.includes(replacementName)) {
    await finishReplacement(log);
    names = await disk.list(directory);
  }
  const swaps: CleanedHeader[] = [];
  if (names.some((name) => isLeftover(name))) {
    for (const name of names) {
      if (!name.endsWith(`.log${swapSuffix}`)) continue;
      const header = await swapIn(disk, directory, name, names);
      if (header !== undefined) swaps.push(header);
    }
    await restoreValid(disk, directory, names);
    names = await disk.list(directory);
    await removeLeftovers(disk, directory, names);
    names = await disk.list(directory);
  }
  const bases = names.filter((name) => /^\d{20}\.log$/.test(name)).map((name) => Number(name.slice(0, 20)));
  names = await removeOrphans(disk, directory, { names, bases });
  return {
    bases,
    names: new Set(names),
    swaps,
    damaged: names.filter((name) => damagedPattern.test(name)),
    hasState: names.includes(stateFileName),
    isAdopted: names.includes(kafkaEpochFile),
  };
}

async function listOrMake(disk: Disk, directory: string): Promise<string[]> {
  try {
    return await disk.list(directory);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== 'not-found') throw error;
    await disk.makeDirectory(directory);
    await disk.syncDirectory(directory.slice(0, Math.max(1, directory.lastIndexOf('/'))));
    return [];
  }
}

function isLeftover(name: string): boolean {
  return pairPattern.test(name) || name.endsWith('.tmp');
}

/**
 * `.log.swap` is there: the cleaned segment counts, and all segments in the places that it stands for are old. One whose header
 * cannot be read is set aside: what it should have replaced is there still, or is found missing.
 */
async function swapIn(
  disk: Disk,
  directory: string,
  name: string,
  names: readonly string[],
): Promise<CleanedHeader | undefined> {
  const path = `${directory}/${name}`;
  const header = await headerOf(disk, path);
  if (header === undefined || header.baseOffset !== Number(name.slice(0, 20))) {
    await disk.rename(path, path.replace(swapSuffix, '.damaged'));
    await disk.syncDirectory(directory);
    return undefined;
  }
  for (const old of names) {
    const base = Number(segmentPattern.exec(old)?.[1] ?? NaN);
    if (base >= header.baseOffset && base < header.endOffset) await disk.remove(`${directory}/${old}`);
  }
  await disk.syncDirectory(directory);
  await finishSwap(disk, { directory, baseOffset: header.baseOffset });
  return header;
}

async function headerOf(disk: Disk, path: string): Promise<CleanedHeader | undefined> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(cleanedHeaderBytes);
    if ((await file.read(bytes, 0)) < bytes.length) return undefined;
    // The length is the header's own first, as the CRC reaches as far as it says.
    const hasItsLength = bytes.readInt32BE(8) === cleanedHeaderBytes - 12;
    return hasItsLength && verifyBatchCrc(bytes) ? readCleanedHeader(bytes, 0) : undefined;
  } finally {
    await file.close();
  }
}

/** A damaged segment has been renamed, and its valid beginning was about to take its name. */
async function restoreValid(disk: Disk, directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = `${directory}/${name}`;
    const final = path.slice(0, -validSuffix.length);
    if (!name.endsWith(`.log${validSuffix}`) || (await disk.exists(final))) continue;
    await disk.rename(path, final);
    await disk.syncDirectory(directory);
  }
}

async function removeLeftovers(disk: Disk, directory: string, names: readonly string[]): Promise<void> {
  const useless = names.filter((name) => isLeftover(name));
  // `.log.swap` is gone from here; what is left of any other swap never counted.
  for (const name of useless) await disk.remove(`${directory}/${name}`);
  if (useless.length > 0) await disk.syncDirectory(directory);
}

/** Index files without a segment would be taken for those of a later one of that name. */
async function removeOrphans(
  disk: Disk,
  directory: string,
  found: { readonly names: readonly string[]; readonly bases: readonly number[] },
): Promise<string[]> {
  const bases = new Set(found.bases);
  const kept: string[] = [];
  for (const name of found.names) {
    const base = segmentPattern.exec(name)?.[1];
    if (base === undefined || bases.has(Number(base))) kept.push(name);
    else await disk.remove(`${directory}/${name}`);
  }
  if (kept.length < found.names.length) await disk.syncDirectory(directory);
  return kept;
}

/** Removes the files of segments that the log does without; the `.log` first. Durable when it resolves. */
export async function removeSegments(disk: Disk, directory: string, bases: readonly number[]): Promise<void> {
  for (const base of bases) {
    for (const kind of segmentFiles.toReversed()) {
      const path = segmentPath(directory, base, kind);
      if (await disk.exists(path)) await disk.remove(path);
    }
  }
  if (bases.length > 0) await disk.syncDirectory(directory);
}
