/**
 * A node's cleaner of compacted logs: one log at a time, with one map of keys that exists only while there is work, at
 * one pace for all. Whoever maintains the node's logs calls `cleanDirty` now and then; a log that closes is called off first.
 *
 * What is wrong with one log does not keep others from being cleaned: damaged bytes make a log uncleanable until it is opened
 * again, a failing disk ends its cleaning, and both are told in the outcome.
 */
import type { Clock } from '../../../platform/clock.ts';
import { DiskError } from '../../../platform/disk.ts';
import type { Disk } from '../../../platform/disk.ts';
import type { Random } from '../../../platform/random.ts';
import type { Yield } from '../../../platform/yield.ts';
import type { LogDamage } from '../log-types.ts';
import type { Segment } from '../segments/segment.ts';
import { DamagedTransactionIndex } from '../segments/transaction-index-files.ts';
import type { CleanableLog, CleanerLimits } from './cleanable-log.ts';
import { cleanableRange } from './cleanable-range.ts';
import type { CleanableRange } from './cleanable-range.ts';
import { CalledOff, Cleaning, newCleaningStats } from './cleaning.ts';
import type { CleaningStats, CleaningTools } from './cleaning.ts';
import { FirstTimestamps } from './first-timestamps.ts';
import { hashKeyBytes, KeyHasher } from './key-hasher.ts';
import { KeyMap } from './key-map.ts';
import { Pace } from './pace.ts';
import { DamagedSource } from './segment-reader.ts';

/** Kafka's settings `log.cleaner.*`, live. */
export interface CleanerSettings {
  /** `dedupe.buffer.size`: what the map of keys may take; 24 bytes for each key, at least 48. */
  readonly dedupeBufferBytes: number;
  /** `io.buffer.load.factor`: how full the map gets, in (0, 1]. */
  readonly loadFactor: number;
  /** `io.buffer.size`: of one read and of one write; each has its own. */
  readonly ioBufferBytes: number;
  /** `io.max.bytes.per.second`: read and written together. */
  readonly bytesPerSecondMax: number;
}

export interface LogCleanerOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly yielding: Yield;
  readonly random: Random;
  readonly settings: () => CleanerSettings;
  /** How long to work before others get a turn; 2 unless given. */
  readonly sliceMs?: number;
}

export type CleaningOutcome = {
  readonly log: CleanableLog;
  readonly stats: CleaningStats;
  readonly durationMs: number;
} & (
  | { readonly kind: 'cleaned' | 'nothing-to-clean' | 'called-off' }
  | { readonly kind: 'uncleanable'; readonly damage: LogDamage }
  | { readonly kind: 'failed'; readonly error: DiskError }
);

export interface CleaningCandidate {
  readonly log: CleanableLog;
  /** Asked when the log is looked at and again when its cleaning begins. Undefined: not now. */
  readonly limits: () => CleanerLimits | undefined;
}

/** For metrics; sums over all cleanings of this process. */
export interface CleanerTotals {
  readonly cleanings: number;
  readonly passes: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly recordsRead: number;
  readonly recordsKept: number;
  /** How long the limit on bytes has kept it waiting. */
  readonly throttledMs: number;
  /** Of the last cleaning: the highest share of the map's slots in use, and how long it took. */
  readonly lastMapUtilization: number;
  readonly lastDurationMs: number;
  /** On the wall clock, when one ended last; -1 before the first. */
  readonly lastEndedMs: number;
  /** Dirty share of the filthiest log, when logs were looked at last. */
  readonly dirtyRatioMax: number;
}

const sliceMsDefault = 2;
const ioBufferBytesMin = 4096;

export class LogCleaner {
  readonly #options: LogCleanerOptions;
  readonly #pace: Pace;
  readonly #firstTimestamps: FirstTimestamps;
  readonly #uncleanable = new Map<CleanableLog, LogDamage>();
  /** Logs that have closed: what had been asked for them is not done any more. */
  readonly #closed = new WeakSet<CleanableLog>();
  #keys: KeyMap | undefined;
  /** Who has asked for cleanings and waits: while there is one, the map stays. */
  #users = 0;
  #running: { readonly cleaning: Cleaning; readonly done: Promise<unknown> } | undefined;
  /** Cleanings follow each other. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;
  readonly #totals = {
    cleanings: 0,
    passes: 0,
    bytesRead: 0,
    bytesWritten: 0,
    recordsRead: 0,
    recordsKept: 0,
    lastMapUtilization: 0,
    lastDurationMs: 0,
    lastEndedMs: -1,
    dirtyRatioMax: 0,
  };

  constructor(options: LogCleanerOptions) {
    this.#options = options;
    this.#firstTimestamps = new FirstTimestamps(options.disk);
    this.#pace = new Pace({
      clock: options.clock,
      yielding: options.yielding,
      sliceMs: options.sliceMs ?? sliceMsDefault,
      bytesPerSecondMax: () => options.settings().bytesPerSecondMax,
    });
  }

  totals(): CleanerTotals {
    return { ...this.#totals, throttledMs: this.#pace.waitedMs };
  }

  /** Logs that are left alone because of damage, with what was found. */
  get uncleanable(): ReadonlyMap<CleanableLog, LogDamage> {
    return this.#uncleanable;
  }

  /** Bytes of the map of keys at present. */
  get mapBytes(): number {
    return this.#keys?.sizeBytes ?? 0;
  }

  /** Cleans a log as far as it may be, whatever share of it is dirty. Only a bug makes it reject. */
  cleanLog(log: CleanableLog, limits: CleanerLimits): Promise<CleaningOutcome> {
    this.#users++;
    const outcome = this.#last.then(() => this.#clean(log, limits)).finally(() => this.#leave());
    this.#last = outcome.catch(() => undefined);
    return outcome;
  }

  /**
   * Cleans the filthiest of these logs, then the next, until none is left whose dirty share is above its
   * `min.cleanable.dirty.ratio` or whose oldest dirty records are older than its `max.compaction.lag.ms`. Each log has one turn.
   */
  async cleanDirty(candidates: () => Iterable<CleaningCandidate>): Promise<CleaningOutcome[]> {
    const outcomes: CleaningOutcome[] = [];
    const seen = new Set<CleanableLog>();
    this.#users++;
    try {
      outcomes.push(...(await this.#rollOverdue(candidates())));
      while (!this.#isClosed) {
        const next = await this.#filthiest(candidates(), seen);
        if (next === undefined) break;
        seen.add(next.log);
        outcomes.push(await this.cleanLog(next.log, next.limits));
      }
    } finally {
      this.#leave();
    }
    return outcomes;
  }

  /** The log closes or goes: resolves when nothing is done to it any more, and nothing will be. */
  async callOff(log: CleanableLog): Promise<void> {
    this.#closed.add(log);
    this.#uncleanable.delete(log);
    const running = this.#running;
    if (running?.cleaning.log !== log) return;
    running.cleaning.callOff();
    await running.done;
  }

  /** Ends what is under way; nothing is cleaned any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#running?.cleaning.callOff();
    await this.#last;
  }

  async #clean(log: CleanableLog, limits: CleanerLimits): Promise<CleaningOutcome> {
    const { clock } = this.#options;
    const startMs = clock.monotonicMs();
    const cleaning = new Cleaning(log, limits, this.#tools());
    const isOff = this.#isClosed || this.#closed.has(log);
    const result = isOff ? Promise.resolve({ kind: 'called-off' as const }) : this.#resultOf(cleaning);
    this.#running = { cleaning, done: result };
    const end = await result.finally(() => {
      this.#running = undefined;
    });
    const durationMs = clock.monotonicMs() - startMs;
    this.#account(cleaning.stats, durationMs);
    return { log, stats: cleaning.stats, durationMs, ...end };
  }

  async #resultOf(cleaning: Cleaning) {
    try {
      return { kind: (await cleaning.run()) ? ('cleaned' as const) : ('nothing-to-clean' as const) };
    } catch (error) {
      if (error instanceof CalledOff) return { kind: 'called-off' as const };
      if (error instanceof DiskError) return { kind: 'failed' as const, error };
      const damage = damageOf(cleaning.log, error);
      if (damage === undefined) throw error;
      this.#uncleanable.set(cleaning.log, damage);
      cleaning.log.reportDamage?.(damage);
      return { kind: 'uncleanable' as const, damage };
    }
  }

  #tools(): CleaningTools {
    const { disk, clock, random, settings } = this.#options;
    const { dedupeBufferBytes, loadFactor, ioBufferBytes } = settings();
    this.#keys ??= new KeyMap(new KeyHasher(random.bytes(hashKeyBytes)), {
      memoryBytes: dedupeBufferBytes,
      loadFactor,
    });
    return {
      disk,
      clock,
      pace: this.#pace,
      keys: this.#keys,
      chunkBytes: Math.max(ioBufferBytesMin, ioBufferBytes),
    };
  }

  #leave(): void {
    this.#users--;
    if (this.#users === 0) this.#keys = undefined;
  }

  #account(stats: CleaningStats, durationMs: number): void {
    const totals = this.#totals;
    totals.cleanings++;
    totals.passes += stats.passes;
    totals.bytesRead += stats.bytesRead;
    totals.bytesWritten += stats.bytesWritten;
    totals.recordsRead += stats.recordsRead;
    totals.recordsKept += stats.recordsKept;
    totals.lastMapUtilization = stats.mapUtilization;
    totals.lastDurationMs = durationMs;
    totals.lastEndedMs = this.#options.clock.wallMs();
  }

  /** So that what has waited for `max.compaction.lag.ms` in an active segment can be cleaned. Resolves with what has failed. */
  async #rollOverdue(candidates: Iterable<CleaningCandidate>): Promise<CleaningOutcome[]> {
    const failed: CleaningOutcome[] = [];
    for (const { log } of candidates) {
      if (!log.config.compacts || !isLagLimited(log)) continue;
      try {
        await log.maybeRoll?.();
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        failed.push({ log, kind: 'failed', error, stats: newCleaningStats(), durationMs: 0 });
      }
    }
    return failed;
  }

  async #filthiest(
    candidates: Iterable<CleaningCandidate>,
    seen: ReadonlySet<CleanableLog>,
  ): Promise<{ log: CleanableLog; limits: CleanerLimits } | undefined> {
    const nowMs = this.#options.clock.wallMs();
    let filthiest: { log: CleanableLog; limits: CleanerLimits; ratio: number } | undefined;
    this.#totals.dirtyRatioMax = 0;
    for (const { log, limits: limitsNow } of candidates) {
      // There may be thousands of them.
      if (this.#pace.isDue) await this.#pace.pause();
      const limits = limitsNow();
      if (!log.config.compacts || limits === undefined || this.#uncleanable.has(log)) continue;
      const range = cleanableRange(log, limits, nowMs);
      const ratio = range.dirtyRatio;
      this.#totals.dirtyRatioMax = Math.max(this.#totals.dirtyRatioMax, ratio);
      if (seen.has(log) || range.dirtyBytes === 0 || (filthiest !== undefined && filthiest.ratio >= ratio))
        continue;
      const isDue = ratio > log.config.minCleanableDirtyRatio || (await this.#isOverdue(log, range, nowMs));
      if (isDue) filthiest = { log, limits, ratio };
    }
    return filthiest;
  }

  async #isOverdue(log: CleanableLog, range: CleanableRange, nowMs: number): Promise<boolean> {
    if (!isLagLimited(log)) return false;
    const oldestMs = nowMs - log.config.maxCompactionLagMs;
    for (const segment of range.segments) {
      if (segment.endOffset <= range.startOffset) continue;
      const firstMs = await this.#firstTimestampOf(segment);
      if (firstMs > 0 && firstMs < oldestMs) return true;
    }
    return false;
  }

  async #firstTimestampOf(segment: Segment): Promise<number> {
    try {
      return await this.#firstTimestamps.of(segment);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      // Taken for old, so that the cleaning meets the same error and tells it.
      return 1;
    }
  }
}

function isLagLimited({ config }: CleanableLog): boolean {
  return config.maxCompactionLagMs < Number.MAX_SAFE_INTEGER;
}

/** Undefined for what says nothing of the log's bytes. */
function damageOf(log: CleanableLog, error: unknown): LogDamage | undefined {
  if (error instanceof DamagedTransactionIndex) {
    const { path: file, fault: reason } = error;
    return newDamage(log, { file, position: 0, reason }, log.logStartOffset, log.logEndOffset);
  }
  if (!(error instanceof DamagedSource)) return undefined;
  const { segment, position, reason, validEndOffset } = error;
  return newDamage(log, { file: segment.path, position, reason }, validEndOffset, segment.endOffset);
}

function newDamage(
  log: CleanableLog,
  found: Pick<LogDamage, 'file' | 'position' | 'reason'>,
  validEndOffset: number,
  floorEndOffset: number,
): LogDamage {
  const validEndIndex = log.indexOfOffset(validEndOffset);
  const floorEndIndex = log.indexOfOffset(floorEndOffset);
  const floorTerm = log.termAt(floorEndIndex - 1);
  return {
    kind: 'corrupt',
    foundBy: 'scrub',
    ...found,
    validEndIndex,
    validEndOffset,
    floorTerm,
    floorEndIndex,
  };
}
