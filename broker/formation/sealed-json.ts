/** Small files of JSON behind a magic number and a CRC-32C: what is read is what was written, or known to be damaged. */
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../platform/whole-files.ts';
import { crc32c } from '../../protocol/index.ts';

/** magic, CRC-32C of the rest */
const headerBytes = 12;

export class DamagedFile extends Error {
  constructor(path: string) {
    super(`${path} is damaged, or of a newer format; restore it from a backup`);
    this.name = 'DamagedFile';
  }
}

/** The file's JSON, as it was written; undefined where there is no such file. `magic` has 8 characters. Rejects with a DamagedFile or a DiskError. */
export async function readSealedJson(disk: Disk, path: string, magic: string): Promise<string | undefined> {
  const bytes = await readWholeFile(disk, path).catch((error: unknown) => {
    if (error instanceof DiskError && error.code === 'not-found') return undefined;
    throw error;
  });
  if (bytes === undefined) return undefined;
  const isWhole =
    bytes.length > headerBytes &&
    bytes.toString('latin1', 0, 8) === magic &&
    bytes.readUInt32BE(8) === crc32c(bytes.subarray(headerBytes));
  if (!isWhole) throw new DamagedFile(path);
  return bytes.toString('utf8', headerBytes);
}

/** Durable when it resolves. Rejects with a DiskError. */
export async function writeSealedJson(
  disk: Disk,
  place: { readonly directory: string; readonly name: string; readonly magic: string },
  value: unknown,
): Promise<void> {
  const content = Buffer.from(JSON.stringify(value));
  const header = Buffer.alloc(headerBytes);
  header.write(place.magic, 'latin1');
  header.writeUInt32BE(crc32c(content), 8);
  await replaceFile(disk, place.directory, place.name, Buffer.concat([header, content]));
}
