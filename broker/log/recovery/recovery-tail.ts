/** What is left of a segment's file after the last whole batch: bytes that were cut off, or zeros that were never written over. */
import type { Disk } from '../../../platform/disk.ts';

export interface Rest {
  readonly tornBytes: number;
  readonly zeroBytes: number;
}

const chunkBytes = 64 * 1024;

/** Rejects with a DiskError. */
export async function restOf(disk: Disk, path: string, position: number, sizeBytes: number): Promise<Rest> {
  const restBytes = sizeBytes - position;
  const areZeros = await isZero(disk, path, position, sizeBytes);
  return areZeros ? { tornBytes: 0, zeroBytes: restBytes } : { tornBytes: restBytes, zeroBytes: 0 };
}

async function isZero(disk: Disk, path: string, from: number, to: number): Promise<boolean> {
  const chunk = Buffer.alloc(Math.min(chunkBytes, to - from));
  const zeros = Buffer.alloc(chunk.length);
  const file = await disk.open(path, 'read');
  try {
    for (let position = from; position < to; position += chunk.length) {
      const read = await file.read(chunk.subarray(0, Math.min(chunk.length, to - position)), position);
      if (chunk.compare(zeros, 0, read, 0, read) !== 0) return false;
    }
    return true;
  } finally {
    await file.close();
  }
}
