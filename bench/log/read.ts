/** Sequential reads of a long log, cold and from the page cache, against a loop of plain reads of the same file. */
import { closeSync, openSync, read, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { batchOfSize, evict, openBenchLog, seconds, shareLine, written } from './bench-log.ts';
import type { LogBenchLine, LogBenchOptions } from './bench-log.ts';

const batchBytes = 64 * 1024;
/** What one fetch of a consumer takes, and one plain read. */
const readBytes = 1024 * 1024;
const fullBytes = 1024 * 2 ** 20;

export async function readRow(options: LogBenchOptions): Promise<LogBenchLine[]> {
  const dataDirectory = join(options.directory, 'read');
  await fill(dataDirectory, options.quick ? fullBytes / 8 : fullBytes);
  const lines: LogBenchLine[] = [];
  for (const kind of ['cold', 'warm'] as const) {
    const pairs: { log: number; plain: number }[] = [];
    for (let run = 0; run < options.runs; run++) {
      if (kind === 'cold') evict(dataDirectory);
      const plain = await plainRead(join(dataDirectory, 'bench-0/00000000000000000000.log'));
      if (kind === 'cold') evict(dataDirectory);
      const log = await logRead(dataDirectory);
      pairs.push({ log, plain });
    }
    lines.push(shareLine(`${kind} sequential read, 1 MiB at a time`, pairs));
  }
  rmSync(dataDirectory, { recursive: true });
  return lines;
}

async function fill(dataDirectory: string, totalBytes: number): Promise<void> {
  const { log, close } = await openBenchLog(dataDirectory, {
    tailBytes: 0,
    config: { writeCaching: true, segmentBytes: 2 ** 31 - 1 },
  });
  log.appendRaftOnly({ kind: 'term-start', term: 1, payload: Buffer.alloc(0) });
  for (let done = 0; done < totalBytes; done += batchBytes) {
    log.append(batchOfSize(batchBytes), 1);
    if (log.queuedBytes > 8 * 2 ** 20) await written(log);
  }
  await close();
}

/** Megabytes a second. */
async function plainRead(path: string): Promise<number> {
  const { size } = statSync(path);
  const file = openSync(path, 'r');
  const target = Buffer.alloc(readBytes);
  const begin = performance.now();
  for (let position = 0; position < size;) {
    const at = position;
    position += await new Promise<number>((resolve, reject) => {
      read(file, target, 0, readBytes, at, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  }
  const took = seconds(begin);
  closeSync(file);
  return size / took / 1e6;
}

async function logRead(dataDirectory: string): Promise<number> {
  const { log, close } = await openBenchLog(dataDirectory, { tailBytes: 0 });
  const endOffset = log.logEndOffset;
  let totalBytes = 0;
  const begin = performance.now();
  for (let offset = 0; offset < endOffset;) {
    const found = await log.read({ offset, endOffset, maxBytes: readBytes, minOneBatch: true });
    if (found.sizeBytes === 0) throw new Error(`The log has nothing at offset ${offset}.`);
    // One record to a batch, and batches of one size.
    offset += found.sizeBytes / batchBytes;
    totalBytes += found.sizeBytes;
    found.release();
  }
  const took = seconds(begin);
  await close();
  return totalBytes / took / 1e6;
}
