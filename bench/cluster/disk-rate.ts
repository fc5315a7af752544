/** What the disk alone makes of one long write, the bound of what can be acknowledged when every copy has to be on it. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Megabytes a second of one file, written from its start and synced once at its end. */
export function sequentialRate(directory: string, totalBytes: number): number {
  const path = join(directory, 'sequential');
  const file = openSync(path, 'w');
  const block = Buffer.alloc(2 ** 20, 0x61);
  const begin = performance.now();
  for (let position = 0; position < totalBytes; position += block.length) writeSync(file, block);
  fdatasyncSync(file);
  const tookMs = performance.now() - begin;
  closeSync(file);
  rmSync(path);
  return totalBytes / 1000 / tookMs;
}
