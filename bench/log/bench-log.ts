/** What the rows of the log's bench share: a directory on a real disk, logs in it, and how results are told. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommitLog } from '../../broker/log/commit-log.ts';
import type { LogConfig } from '../../broker/log/commit-log.ts';
import { ReadPool } from '../../broker/log/reading/read-pool.ts';
import { openSyncer } from '../../broker/log/sync/open-syncer.ts';
import type { Syncer } from '../../broker/log/sync/syncer.ts';
import { TailCache } from '../../broker/log/reading/tail-cache.ts';
import { RealDisk } from '../../platform/real/real-disk.ts';
import { RealClock } from '../../platform/real/real-clock.ts';
import { encodeBatch } from '../../protocol/index.ts';
import { logConfigDefaults } from '../../test/support/log-config.ts';
import { median } from '../table.ts';

export interface LogBenchOptions {
  /** Pairs of runs, or runs. */
  readonly runs: number;
  /** A tenth of the size: a check of the bench, not a measurement. */
  readonly quick: boolean;
  readonly port: number;
  /** Where files are made; removed at the end. */
  readonly directory: string;
}

/** A line of the result: what was measured, and the figure with how it came about. */
export interface LogBenchLine {
  readonly name: string;
  readonly figure: string;
  readonly detail: string;
}

export function benchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'kappalog-bench-log-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export interface OpenedBenchLog {
  readonly log: CommitLog;
  readonly syncer: Syncer;
  readonly close: () => Promise<void>;
}

/** A log by itself, as a node would open it; `tailBytes` 0 makes every read one of the disk or the page cache. */
export async function openBenchLog(
  dataDirectory: string,
  options: { readonly tailBytes: number; readonly config?: Partial<LogConfig> },
): Promise<OpenedBenchLog> {
  mkdirSync(dataDirectory, { recursive: true });
  const disk = new RealDisk();
  const clock = new RealClock();
  const syncer = await openSyncer({ disk, clock, directory: dataDirectory, concurrencyMax: 3 });
  const { log } = await CommitLog.open({
    disk,
    clock,
    directory: join(dataDirectory, 'bench-0'),
    syncer,
    tailCache: new TailCache({ maxBytes: options.tailBytes }),
    readPool: new ReadPool({ disk, maxBytes: 64 * 2 ** 20 }),
    config: () => ({ ...logConfigDefaults, ...options.config }),
  });
  return {
    log,
    syncer,
    close: async () => {
      await log.flushAndClose();
      await syncer.close();
    },
  };
}

/** One record, so that the batch has this size; the log sets its offset and epoch in place. */
export function batchOfSize(sizeBytes: number): Buffer {
  const overheadBytes = encodeBatch([{ timestamp: 1, value: Buffer.alloc(sizeBytes) }]).length - sizeBytes;
  return encodeBatch([{ timestamp: 1, value: Buffer.alloc(sizeBytes - overheadBytes, 0x61) }]);
}

/** Resolves when all that is appended has been handed to the operating system. */
export function written(log: CommitLog): Promise<void> {
  if (log.writtenEndIndex === log.endIndex) return Promise.resolve();
  return new Promise((resolve, reject) => {
    log.onProgress(() => {
      if (log.writtenEndIndex === log.endIndex) resolve();
    });
    log.onFailure(({ cause }) => reject(new Error('the log has failed', { cause })));
  });
}

/** Takes the files below a directory out of the page cache. */
export function evict(directory: string): void {
  execFileSync('sync');
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.log')) continue;
    const file = join(directory, name);
    execFileSync('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], {
      stdio: 'ignore',
    });
  }
}

export function seconds(begin: number): number {
  return (performance.now() - begin) / 1000;
}

/** The line of a row that compares the log with plain calls on the same disk: pairs in turn, a median of their ratios. */
export function shareLine(
  name: string,
  pairs: readonly { readonly log: number; readonly plain: number }[],
): LogBenchLine {
  const share = median(pairs.map(({ log, plain }) => log / plain));
  const log = median(pairs.map((pair) => pair.log));
  const plain = median(pairs.map((pair) => pair.plain));
  return {
    name,
    figure: `${(100 * share).toFixed(0)} %`,
    detail: `${log.toFixed(0)} MB/s of ${plain.toFixed(0)} MB/s`,
  };
}
