/**
 * The file `member` in the directory of a partition that was moved to another data directory: by which directory its group knows the
 * member that it belongs to, and in which one the file holds. Who takes the files elsewhere by hand leaves the member's votes behind, so
 * that the file counts for nothing there: it is another member then.
 */
import { DiskError } from '../../../platform/disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../../platform/whole-files.ts';

export const memberFileName = 'member';

const content = /^version: 0\nmade_in: ([\w-]{22})\nlies_in: ([\w-]{22})\nmove: (\d{1,10})\n$/;

export interface MovedMember {
  /** The directory that the member was made in. */
  readonly madeIn: string;
  /** The number of the move that brought it here. */
  readonly move: number;
}

/** Undefined: the member was made in this directory and never moved. Rejects with a DiskError, or an Error that names the file. */
export async function readMemberFile(
  disk: Disk,
  directory: string,
  homeId: string | undefined,
): Promise<MovedMember | undefined> {
  const path = `${directory}/${memberFileName}`;
  const bytes = await readWholeFile(disk, path).catch((error: unknown) => {
    if (error instanceof DiskError && error.code === 'not-found') return undefined;
    throw error;
  });
  if (bytes === undefined) return undefined;
  const [, madeIn, liesIn, move] = content.exec(bytes.toString('latin1')) ?? [];
  if (madeIn === undefined) throw new Error(`${path} cannot be read: it does not say which member this is`);
  return liesIn === homeId ? { madeIn, move: Number(move) } : undefined;
}

/** Durable when it resolves. Rejects with a DiskError. */
export async function writeMemberFile(
  disk: Disk,
  directory: string,
  { madeIn, move, liesIn }: MovedMember & { readonly liesIn: string },
): Promise<void> {
  const text = `version: 0\nmade_in: ${madeIn}\nlies_in: ${liesIn}\nmove: ${move}\n`;
  await replaceFile(disk, directory, memberFileName, Buffer.from(text, 'latin1'));
}
