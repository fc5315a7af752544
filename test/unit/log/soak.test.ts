import { expect, it } from 'vitest';
import { openSyncer } from '../../../broker/log/sync/open-syncer.ts';
import { ReadPool } from '../../../broker/log/reading/read-pool.ts';
import { CommitLog } from '../../../broker/log/commit-log.ts';
import { TailCache } from '../../../broker/log/reading/tail-cache.ts';
import { WriteFiles } from '../../../broker/log/write-files.ts';
import type { DiskFile, OpenMode } from '../../../platform/disk.ts';
import { DiskError } from '../../../platform/disk.ts';
import { ManualClock } from '../../../platform/manual-clock.ts';
import { MemoryDisk } from '../../../platform/memory-disk.ts';
import { SeededRandom } from '../../../platform/seeded-random.ts';
import { logConfigDefaults } from '../../support/log-config.ts';
import { appendValues, readAll, startTerm } from './log-harness.ts';
import { writeCleaned } from './small-cleaner.ts';

/** Counts the files that are open; fails what it is told to. */
class CountingDisk extends MemoryDisk {
  readonly openFiles: Map<DiskFile, string> = new Map();
  fails: ((path: string) => boolean) | undefined;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (this.fails?.(path) === true) throw new DiskError('io', path, `${path} cannot be opened`);
    const file = await super.open(path, mode);
    this.openFiles.set(file, path);
    const close = file.close.bind(file);
    file.close = async () => {
      this.openFiles.delete(file);
      await close();
    };
    return file;
  }

  get openPaths(): string[] {
    return [...this.openFiles.values()];
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

/** Makes, fills, cleans, cuts and removes logs of one directory for some rounds; what is open at the end of each round. */
async function soak(rounds: number, failing: boolean) {
  const disk = new CountingDisk({ delay: () => turns(2) });
  const clock = new ManualClock();
  const random = new SeededRandom(5);
  await disk.makeDirectory('/data');
  const readPool = new ReadPool({ disk, maxBytes: 64 * 512, blockBytes: 512, openFilesMax: 8 });
  const tailCache = new TailCache({ maxBytes: 2000 });
  const writeFiles = new WriteFiles(6, clock);
  const syncer = await openSyncer({
    disk,
    clock,
    directory: '/data',
    concurrencyMax: 3,
    journalBytes: 128 * 1024,
    crowdedMin: 5,
    writeFiles,
  });
  for (let round = 0; round < rounds; round++) {
    const logs: CommitLog[] = [];
    for (let place = 0; place < 8; place++) {
      const { log } = await CommitLog.open({
        disk,
        clock,
        directory: `/data/t-${place}`,
        syncer,
        tailCache,
        readPool,
        config: () => ({
          ...logConfigDefaults,
          segmentBytes: 400,
          retentionBytes: 1500,
          fileDeleteDelayMs: 100,
        }),
      });
      startTerm(log, log.lastTerm + 1);
      logs.push(log);
    }
    for (let step = 0; step < 12; step++) {
      for (const log of logs) appendValues(log, ['x'.repeat(random.below(150))]);
      for (const log of logs) log.requestSync();
      await turns(random.below(400));
      for (const log of logs) if (random.below(3) === 0 && log.failure === undefined) await readAll(log);
    }
    for (const log of logs) {
      if (failing) disk.fails = (path) => path === '/data/t-3/replica-state.tmp';
      const old = log.fullSegments().slice(0, 2);
      const isRun = old.length === 2 && log.failure === undefined;
      if (isRun) {
        const cleaned = await writeCleaned(disk, log, old, (offset) => offset % 2 === 0);
        await log.replaceSegments(old, cleaned, old[1]!.endOffset).catch(() => undefined);
      }
      if (failing) disk.fails = (path) => path === '/data/t-5/replica-state.tmp';
      appendValues(log, ['y'.repeat(500)]);
      appendValues(log, ['z']);
      log.requestSync();
      await turns(600);
      if (log.failure === undefined) await log.deleteOldSegments(log.logEndOffset).catch(() => undefined);
      if (log.failure !== undefined) continue;
      appendValues(log, ['cut']);
      await log.truncateTo(log.endIndex - 1);
    }
    disk.fails = undefined;
    clock.advance(1100);
    await turns(2000);
    clock.advance(1100);
    await turns(2000);
    for (const [place, log] of logs.entries()) {
      if (place % 2 === 0) await log.delete();
      else await log.flushAndClose().catch(() => undefined);
    }
    await turns(2000);
  }
  await syncer.close();
  const openWrites = writeFiles.count;
  await readPool.files.close();
  await turns(100);
  return { disk, clock, readPool, writeFiles, openWrites, tailCache };
}

it.each([false, true])(
  'leaves no file open, no timer, no block and no byte held (with failures: %s)',
  async (failing) => {
    const { disk, clock, openWrites, tailCache } = await soak(6, failing);
    expect(disk.openPaths).toEqual([]);
    expect(openWrites).toBe(0);
    expect(clock.pendingTimers).toBe(0);
    expect(tailCache.sizeBytes).toBe(0);
  },
);
