/** Appends, each group of them synced, against a loop of one writev and one fdatasync for each group. */
import { closeSync, fdatasync, openSync, rmSync, writev } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CommitLog } from '../../broker/log/commit-log.ts';
import { batchOfSize, openBenchLog, seconds, shareLine } from './bench-log.ts';
import type { LogBenchLine, LogBenchOptions } from './bench-log.ts';

const writeAll = promisify(writev);
const syncFile = promisify(fdatasync);

/** Batches that a group commit takes together. */
const groupBatches = 16;
const fullBytes = 512 * 2 ** 20;

export async function appendRow(options: LogBenchOptions): Promise<LogBenchLine[]> {
  const lines: LogBenchLine[] = [];
  for (const batchBytes of [64 * 1024, 16 * 1024]) {
    const totalBytes = (options.quick ? fullBytes / 8 : fullBytes) / (batchBytes < 65_536 ? 2 : 1);
    const pairs: { log: number; plain: number }[] = [];
    for (let run = 0; run < options.runs; run++) {
      const plain = await plainAppends(options.directory, batchBytes, totalBytes);
      const log = await logAppends(options.directory, batchBytes, totalBytes);
      pairs.push({ log, plain });
    }
    lines.push(shareLine(`append ${batchBytes / 1024} KiB batches, ${groupBatches} to a sync`, pairs));
  }
  return lines;
}

/** Megabytes a second. */
async function plainAppends(directory: string, batchBytes: number, totalBytes: number): Promise<number> {
  const path = join(directory, 'plain');
  const file = openSync(path, 'w');
  const group = Array.from({ length: groupBatches }, () => Buffer.alloc(batchBytes, 0x61));
  const begin = performance.now();
  for (let position = 0; position < totalBytes; position += groupBatches * batchBytes) {
    await writeAll(file, group, position);
    await syncFile(file);
  }
  const took = seconds(begin);
  closeSync(file);
  rmSync(path);
  return totalBytes / took / 1e6;
}

async function logAppends(directory: string, batchBytes: number, totalBytes: number): Promise<number> {
  const dataDirectory = join(directory, 'append');
  const { log, close } = await openBenchLog(dataDirectory, { tailBytes: 16 * 2 ** 20 });
  log.appendRaftOnly({ kind: 'term-start', term: 1, payload: Buffer.alloc(0) });
  await flushedTo(log, log.endIndex);
  // What is appended belongs to the log: each place in flight has a batch of its own.
  const ring = Array.from({ length: 64 * groupBatches }, () => batchOfSize(batchBytes));
  const begin = performance.now();
  let next = 0;
  for (let done = 0; done < totalBytes; done += groupBatches * batchBytes) {
    for (let place = 0; place < groupBatches; place++) log.append(ring[next++ % ring.length]!, 1);
    log.requestSync();
    // One group waits for its sync while the next is written: as with producers that do not wait for each answer.
    await flushedTo(log, log.endIndex - groupBatches);
  }
  await flushedTo(log, log.endIndex);
  const took = seconds(begin);
  await close();
  rmSync(dataDirectory, { recursive: true });
  return totalBytes / took / 1e6;
}

function flushedTo(log: CommitLog, endIndex: number): Promise<void> {
  log.requestSync();
  if (log.flushedEndIndex >= endIndex) return Promise.resolve();
  return new Promise((resolve, reject) => {
    log.onProgress(() => {
      if (log.flushedEndIndex >= endIndex) resolve();
    });
    log.onFailure(({ cause }) => reject(new Error('the log has failed', { cause })));
  });
}
