/**
 * The file `boot` in a partition's directory: in which run of the operating system the replica acknowledges what is not synced
 * (storage-format.md). There while that may be so; not after a clean stop, nor where everything is synced first.
 */
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../platform/whole-files.ts';
import { crc32c } from '../../protocol/index.ts';

const name = 'boot';
const magic = Buffer.from('KLBOOTS1', 'latin1');
/** magic, CRC-32C of the rest */
const fixedBytes = 12;

export type FoundBoot =
  | { readonly kind: 'none' }
  /** `id` undefined: the system did not tell. */
  | { readonly kind: 'kept'; readonly id: string | undefined }
  /** It was there; of which run is not known. */
  | { readonly kind: 'damaged' };

/** Rejects with a DiskError. */
export async function readBootFile(disk: Disk, directory: string): Promise<FoundBoot> {
  const bytes = await readWholeFile(disk, `${directory}/${name}`).catch((error: unknown) => {
    if (error instanceof DiskError && error.code === 'not-found') return undefined;
    throw error;
  });
  if (bytes === undefined) return { kind: 'none' };
  const isWhole =
    bytes.length >= fixedBytes &&
    bytes.subarray(0, magic.length).equals(magic) &&
    bytes.readUInt32BE(magic.length) === crc32c(bytes.subarray(fixedBytes));
  if (!isWhole) return { kind: 'damaged' };
  const id = bytes.toString('utf8', fixedBytes);
  return { kind: 'kept', id: id === '' ? undefined : id };
}

/** Durable when it resolves. Rejects with a DiskError. */
export async function writeBootFile(disk: Disk, directory: string, id: string | undefined): Promise<void> {
  const content = Buffer.from(id ?? '');
  const bytes = Buffer.alloc(fixedBytes + content.length);
  magic.copy(bytes);
  content.copy(bytes, fixedBytes);
  bytes.writeUInt32BE(crc32c(content), magic.length);
  await replaceFile(disk, directory, name, bytes);
}

/** Gone, durably, when it resolves. Rejects with a DiskError. */
export async function removeBootFile(disk: Disk, directory: string): Promise<void> {
  await disk.remove(`${directory}/${name}`);
  await disk.syncDirectory(directory);
}
