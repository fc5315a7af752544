/** A log directory in the hands of one process: its syncer, floors and logs, opened as a node opens them. */
import { CommitLog } from '../../../broker/log/commit-log.ts';
import type { RecoveryReport } from '../../../broker/log/commit-log.ts';
import { LogCleaner } from '../../../broker/log/compaction/log-cleaner.ts';
import { DurableFloors } from '../../../broker/log/sync/durable-floors.ts';
import { ReadPool } from '../../../broker/log/reading/read-pool.ts';
import { openSyncer } from '../../../broker/log/sync/open-syncer.ts';
import type { Syncer } from '../../../broker/log/sync/syncer.ts';
import { TailCache } from '../../../broker/log/reading/tail-cache.ts';
import { CountedYield } from '../../../platform/counted-yield.ts';
import type { Disk } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import { logConfigDefaults } from '../../support/log-config.ts';
import type { LifeClock } from '../simulated-clock.ts';
import type { LogSimulationOptions } from './log-options.ts';

export const dataDirectory = '/data';

export function logDirectory(name: string): string {
  return `${dataDirectory}/${name}`;
}

export interface OpenedLog {
  readonly log: CommitLog;
  readonly recovery: RecoveryReport;
}

export class LogLife {
  readonly disk: Disk;
  readonly clock: LifeClock;
  readonly floors: DurableFloors;
  readonly opened: ReadonlyMap<string, OpenedLog>;
  readonly syncer: Syncer;
  readonly #readPool: ReadPool;
  readonly #cleaner: LogCleaner;

  private constructor(parts: {
    readonly disk: Disk;
    readonly clock: LifeClock;
    readonly syncer: Syncer;
    readonly floors: DurableFloors;
    readonly readPool: ReadPool;
    readonly cleaner: LogCleaner;
    readonly opened: ReadonlyMap<string, OpenedLog>;
  }) {
    this.disk = parts.disk;
    this.clock = parts.clock;
    this.syncer = parts.syncer;
    this.floors = parts.floors;
    this.#readPool = parts.readPool;
    this.#cleaner = parts.cleaner;
    this.opened = parts.opened;
  }

  /** Rejects with a DiskError. */
  static async open(start: {
    readonly disk: Disk;
    readonly clock: LifeClock;
    readonly options: LogSimulationOptions;
    readonly names: readonly string[];
    readonly random: Random;
    readonly onFloorsFailure: () => void;
  }): Promise<LogLife> {
    const { disk, clock, options, names } = start;
    await disk.makeDirectory(dataDirectory);
    await disk.syncDirectory('/');
    const syncer = await openSyncer({
      disk,
      clock,
      directory: dataDirectory,
      concurrencyMax: options.syncConcurrencyMax,
      journalBytes: options.journalBytes,
      crowdedMin: 2,
      random: start.random,
    });
    const floors = await DurableFloors.open({
      disk,
      clock,
      directory: dataDirectory,
      syncer,
      onFailure: start.onFloorsFailure,
    });
    const { blockBytes, poolBlocks, tailBytes } = options;
    const readPool = new ReadPool({ disk, blockBytes, maxBytes: poolBlocks * blockBytes, openFilesMax: 2 });
    const tailCache = new TailCache({ maxBytes: tailBytes });
    const config = { ...logConfigDefaults, ...options };
    const opened = new Map<string, OpenedLog>();
    for (const [partition, name] of names.entries()) {
      const floor = floors.floor({ topicId: 'AAAAAAAAAAAAAAAAAAAAAA', partition });
      const shared = { disk, clock, syncer, tailCache, readPool, floor };
      opened.set(
        name,
        await CommitLog.open({ ...shared, directory: logDirectory(name), config: () => config }),
      );
    }
    const cleaner = new LogCleaner({
      disk,
      clock,
      random: start.random,
      // A turn takes its time, so that anything can happen in it.
      yielding: new CountedYield(
        () =>
          new Promise((resolve) => {
            clock.after(0.02, resolve);
          }),
      ),
      settings: () => ({
        dedupeBufferBytes: options.dedupeBufferBytes,
        loadFactor: 0.9,
        ioBufferBytes: 4096,
        bytesPerSecondMax: Infinity,
      }),
    });
    return new LogLife({ disk, clock, syncer, floors, readPool, cleaner, opened });
  }

  /** Cleans a compacted log as far as it may be. */
  get cleaner(): LogCleaner {
    return this.#cleaner;
  }

  /** A clean stop of the process; says whether every part of it went well. */
  async close(): Promise<boolean> {
    await this.#cleaner.close();
    const parts = [...this.opened.values()].map(({ log }) => log.flushAndClose());
    const closed = await Promise.allSettled(parts);
    const shared = await Promise.allSettled([this.floors.close(), this.#readPool.files.close()]);
    const last = await Promise.allSettled([this.syncer.close()]);
    return [...closed, ...shared, ...last].every(({ status }) => status === 'fulfilled');
  }
}
