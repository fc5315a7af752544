/** Small files that are read whole and replaced whole. */
import type { Disk } from './disk.ts';

export async function readWholeFile(disk: Disk, path: string): Promise<Buffer> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(await file.size());
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}

/** Replaces a small file so that after a crash either the old or the new one is there, whole. Durable when it resolves. */
export async function replaceFile(disk: Disk, directory: string, name: string, bytes: Buffer): Promise<void> {
  const temporary = `${directory}/${name}.tmp`;
  const file = await disk.open(temporary, 'create');
  try {
    await file.truncate(0);
    await file.write([bytes], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(temporary, `${directory}/${name}`);
  await disk.syncDirectory(directory);
}
