/**
 * What is done to a node's logs beside the requests: retention at its interval, compaction whenever a log is dirty enough,
 * and scrubbing, at a bounded rate for each data directory. Each goes from log to log on its own; nothing here belongs to
 * a replica, so that idle ones cost nothing.
 *
 * What fails in one log is told and does not keep the next one from its turn; only a bug ends the node. A replica that is
 * to go is released first (`release`), so that nothing is done to files that are being removed.
 */
import type { Clock, Timer } from '../../platform/clock.ts';
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import type { Random } from '../../platform/random.ts';
import type { Yield } from '../../platform/yield.ts';
import { LogCleaner } from '../log/compaction/log-cleaner.ts';
import type { CleanerTotals, CleaningCandidate } from '../log/compaction/log-cleaner.ts';
import type { LogDamage } from '../log/log-types.ts';
import { DirectoryScrubbing } from './directory-scrubbing.ts';
import type { Partitions } from './partitions.ts';
import type { Replica } from './replica.ts';

/** Kafka's settings of these meanings, live. */
export interface MaintenanceSettings {
  readonly logInitialTaskDelayMs: number;
  readonly logRetentionCheckIntervalMs: number;
  readonly logCleanerEnable: boolean;
  readonly logCleanerBackoffMs: number;
  readonly logCleanerDedupeBufferSize: number;
  readonly logCleanerIoBufferLoadFactor: number;
  readonly logCleanerIoBufferSize: number;
  readonly logCleanerIoMaxBytesPerSecond: number;
  readonly kappalogScrubBytesPerSecond: number;
}

export interface LogMaintenanceOptions {
  readonly partitions: Partitions;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly yielding: Yield;
  readonly settings: MaintenanceSettings;
  readonly events: MaintenanceEvents;
}

export interface MaintenanceEvents {
  /** Something could not be done to a log; it is tried again at the next turn. */
  failed(replica: Replica, task: 'retention' | 'compaction', error: unknown): void;
  /** Scrubbing or compaction has met bytes that are not as they were written. */
  damageFound(replica: Replica, damage: readonly LogDamage[]): void;
  /** Scrubbing has met index files that did not say what their segment does, and made them again. */
  indexesRemade(replica: Replica, reasons: readonly string[]): void;
  /** A data directory could not be scrubbed on; it is tried again later. */
  scrubbingFailed(directory: string, error: unknown): void;
}

/** For metrics; sums over this process. */
export interface MaintenanceFigures {
  readonly retentionRounds: number;
  readonly deletedSegments: number;
  readonly deletedBytes: number;
  readonly cleaner: CleanerTotals;
  readonly cleanerMapBytes: number;
  readonly uncleanableLogs: number;
  readonly scrubbedBytes: number;
  readonly scrubbedSegments: number;
  readonly damagedSegments: number;
  readonly repairedSegments: number;
}

/** Logs of one round between which others get a turn. */
const logsPerTurn = 64;

export class LogMaintenance {
  readonly #options: LogMaintenanceOptions;
  readonly #cleaner: LogCleaner;
  readonly #scrubbings: DirectoryScrubbing[] = [];
  readonly #timers = new Map<'retention' | 'compaction', Timer>();
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;
  readonly #deleted = { rounds: 0, segments: 0, bytes: 0 };

  constructor(options: LogMaintenanceOptions) {
    this.#options = options;
    const { partitions, disk, clock, random, yielding, settings } = options;
    this.#cleaner = new LogCleaner({
      disk,
      clock,
      yielding,
      random: random.fork('log cleaner'),
      settings: () => ({
        dedupeBufferBytes: settings.logCleanerDedupeBufferSize,
        loadFactor: settings.logCleanerIoBufferLoadFactor,
        ioBufferBytes: settings.logCleanerIoBufferSize,
        bytesPerSecondMax: settings.logCleanerIoMaxBytesPerSecond,
      }),
    });
    for (const directory of partitions.directories) {
      this.#scrubbings.push(new DirectoryScrubbing({ directory, ...options }));
    }
  }

  /** Begins after `log.initial.task.delay.ms`. */
  start(): void {
    const { logInitialTaskDelayMs, logCleanerEnable } = this.#options.settings;
    this.#schedule('retention', logInitialTaskDelayMs);
    if (logCleanerEnable) this.#schedule('compaction', logInitialTaskDelayMs);
    for (const scrubbing of this.#scrubbings) scrubbing.start(logInitialTaskDelayMs);
  }

  figures(): MaintenanceFigures {
    const scrubbed = this.#scrubbings.map((scrubbing) => scrubbing.progress());
    const sum = (of: (progress: (typeof scrubbed)[number]) => number): number =>
      scrubbed.reduce((total, progress) => total + of(progress), 0);
    return {
      retentionRounds: this.#deleted.rounds,
      deletedSegments: this.#deleted.segments,
      deletedBytes: this.#deleted.bytes,
      cleaner: this.#cleaner.totals(),
      cleanerMapBytes: this.#cleaner.mapBytes,
      uncleanableLogs: this.#cleaner.uncleanable.size,
      scrubbedBytes: sum(({ bytes }) => bytes),
      scrubbedSegments: sum(({ segments }) => segments),
      damagedSegments: sum(({ damagedSegments }) => damagedSegments),
      repairedSegments: sum(({ repairedSegments }) => repairedSegments),
    };
  }

  /** The replica is to be closed or removed: resolves when nothing is done to it any more. */
  release(replica: Replica): Promise<void> {
    return this.#cleaner.callOff(replica.log);
  }

  /** Resolves when nothing is under way any more; call before the replicas are closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) timer.cancel();
    await Promise.all([this.#cleaner.close(), ...this.#scrubbings.map((scrubbing) => scrubbing.close())]);
    await Promise.all(this.#running);
  }

  #schedule(task: 'retention' | 'compaction', delayMs: number): void {
    if (this.#isClosed) return;
    const timer = this.#options.clock.after(delayMs, () => {
      const round = task === 'retention' ? this.#retain() : this.#compact();
      this.#running.add(round);
      void round.then(() => this.#running.delete(round));
    });
    this.#timers.set(task, timer);
  }

  async #retain(): Promise<void> {
    const { partitions, yielding, settings, events } = this.#options;
    let count = 0;
    for (const replica of partitions.all()) {
      if (this.#isClosed) return;
      if (++count % logsPerTurn === 0) await yielding.turn();
      try {
        for (const { segments, bytes } of await replica.deleteOldSegments()) {
          this.#deleted.segments += segments;
          this.#deleted.bytes += bytes;
        }
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        events.failed(replica, 'retention', error);
      }
    }
    this.#deleted.rounds++;
    this.#schedule('retention', settings.logRetentionCheckIntervalMs);
  }

  async #compact(): Promise<void> {
    const { partitions, settings, events } = this.#options;
    const byLog = new Map<unknown, Replica>();
    for (const replica of partitions.all()) {
      if (!replica.log.config.compacts || replica.closed) continue;
      try {
        await replica.keepConfiguration();
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        events.failed(replica, 'compaction', error);
      }
    }
    const outcomes = await this.#cleaner.cleanDirty(() => candidates(partitions, byLog));
    for (const outcome of outcomes) {
      const replica = byLog.get(outcome.log);
      if (replica === undefined || replica.closed) continue;
      if (outcome.kind === 'cleaned') replica.cleaned();
      if (outcome.kind === 'failed') events.failed(replica, 'compaction', outcome.error);
      if (outcome.kind === 'uncleanable') events.damageFound(replica, [outcome.damage]);
    }
    const hasCleaned = outcomes.some(({ kind }) => kind === 'cleaned');
    this.#schedule('compaction', hasCleaned ? 0 : settings.logCleanerBackoffMs);
  }
}

/** Remembers whose log each is. */
function* candidates(partitions: Partitions, byLog: Map<unknown, Replica>): Generator<CleaningCandidate> {
  for (const replica of partitions.all()) {
    if (!replica.log.config.compacts) continue;
    byLog.set(replica.log, replica);
    yield { log: replica.log, limits: () => replica.cleanerLimits() };
  }
}
