/**
 * Scrubbing of one data directory: its full segments are read one after the other, for ever, at the rate that is set. A
 * pass over all of them begins at most once a day, so that a small directory is not read over and over.
 */
import type { Clock, Timer } from '../../platform/clock.ts';
import { DiskError } from '../../platform/disk.ts';
import type { Disk } from '../../platform/disk.ts';
import type { ScrubbedLog } from '../log/recovery/scrub-segment.ts';
import { Scrubber } from '../log/recovery/scrubber.ts';
import type { LogDirectory } from './log-directory.ts';
import type { MaintenanceEvents, MaintenanceSettings } from './log-maintenance.ts';
import type { Partitions } from './partitions.ts';
import type { Replica } from './replica.ts';

export interface DirectoryScrubbingOptions {
  readonly directory: LogDirectory;
  readonly partitions: Partitions;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly settings: MaintenanceSettings;
  readonly events: MaintenanceEvents;
}

interface Progress {
  readonly bytes: number;
  readonly segments: number;
  readonly damagedSegments: number;
  readonly repairedSegments: number;
}

const passIntervalMs = 24 * 3600 * 1000;
/** How soon to look again where there was nothing to read, or reading failed. */
const restMs = 60_000;
const none: Progress = { bytes: 0, segments: 0, damagedSegments: 0, repairedSegments: 0 };

export class DirectoryScrubbing {
  readonly #options: DirectoryScrubbingOptions;
  #scrubber: Scrubber | undefined;
  /** When the pass that is under way began. */
  #passBeganMs: number;
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: DirectoryScrubbingOptions) {
    this.#options = options;
    this.#passBeganMs = options.clock.monotonicMs();
  }

  start(delayMs: number): void {
    this.#schedule(delayMs);
  }

  progress(): Progress {
    return this.#scrubber?.progress() ?? none;
  }

  /** Resolves when nothing is read any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    const { directory, events } = this.#options;
    const stopping = this.#scrubber?.stop().catch((error: unknown) => {
      if (!(error instanceof DiskError)) throw error;
      if (directory.isOnline) events.scrubbingFailed(directory.path, error);
    });
    await Promise.all([stopping, this.#running]);
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed || !this.#options.directory.isOnline) return;
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#running = this.#scrub();
    });
  }

  /** Reads on until there is a reason to rest. */
  async #scrub(): Promise<void> {
    const { directory, events } = this.#options;
    try {
      let delayMs: number | undefined;
      while (delayMs === undefined && !this.#isClosed && directory.isOnline) delayMs = await this.#next();
      this.#schedule(delayMs ?? restMs);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      if (directory.isOnline) events.scrubbingFailed(directory.path, error);
      this.#schedule(restMs);
    }
  }

  /** Reads one segment; says how long to rest after it, undefined for not at all. */
  async #next(): Promise<number | undefined> {
    const { disk, clock, directory, settings, events } = this.#options;
    if (settings.kappalogScrubBytesPerSecond === 0) return restMs;
    this.#scrubber ??= await Scrubber.open({
      disk,
      clock,
      directory: directory.path,
      bytesPerSecondMax: () => settings.kappalogScrubBytesPerSecond,
    });
    const replicas = this.#replicas();
    const known = new Map([...replicas.values()].map((replica) => [replica, replica.log.damage.length]));
    const { passes } = this.#scrubber.progress();
    const scrubbed = await this.#scrubber.scrubNext([...replicas.keys()]);
    if (scrubbed === undefined) return restMs;
    const replica = replicas.get(scrubbed.log);
    // What an earlier pass has found is known.
    const news = replica === undefined || replica.closed ? [] : scrubbed.log.damage.slice(known.get(replica));
    if (replica !== undefined && news.length > 0) events.damageFound(replica, news);
    const { outcome } = scrubbed;
    if (replica !== undefined && outcome.kind === 'repaired') events.indexesRemade(replica, outcome.reasons);
    if (this.#scrubber.progress().passes === passes) return undefined;
    // The end was reached, and the first segment is the one just read.
    const nowMs = clock.monotonicMs();
    const dueMs = this.#passBeganMs + passIntervalMs;
    this.#passBeganMs = Math.max(nowMs, dueMs);
    return dueMs > nowMs ? dueMs - nowMs : undefined;
  }

  #replicas(): Map<ScrubbedLog, Replica> {
    const replicas = new Map<ScrubbedLog, Replica>();
    for (const replica of this.#options.partitions.all()) {
      if (replica.home === this.#options.directory && !replica.failed) replicas.set(replica.log, replica);
    }
    return replicas;
  }
}
