/**
 * Group commit for one log directory: logs ask for a sync, and are told when what they had written before it is durable.
 *
 * Few files are synced one by one, a few at a time, in the order in which they asked; all that is asked of a file while its
 * sync runs is covered by one more sync after it. Where many logs with few unsynced bytes wait, those go into the directory's
 * journal together, with one sync (docs/decisions/0007). A log whose bytes are in the journal alone is not settled: its file
 * is synced in the background before the journal's half is used again.
 *
 * What must not happen, and why it does not:
 * - A log is cut or removed, others' bytes (or its own newer ones) take the place, and a replay writes the old ones over
 *   them. `forget` comes first: the log's file is synced, then a frame that makes its records up to that sync void is made
 *   durable. Records put in line while it was synced are in later frames and stay.
 * - A half is used again although a file that it covers was not synced. It is used only when the header says, durably, that
 *   its generation is done; and that is written when each of its logs has had a sync of its file that began after its last
 *   record, and that succeeded.
 * - A file's sync fails, and a later one succeeds because the system has dropped the pages. The failure is final for the log,
 *   and `stick` keeps the journal's records of it, which the next start writes anew.
 * - A journal's sync fails. Its round fails with it; frames before it are durable and stay for the next start, as nothing is
 *   written to the journal any more. When all of its logs have synced their files since, the journal is renamed out of the
 *   way. Until then logs that would have to be cut or removed over such records fail to be.
 * - One of two concurrent syncs of a file is told of a failure and the other is not. A target has one sync at a time, in the
 *   journal or of its file.
 *
 * Syncs share libuv's thread pool with reads: `concurrencyMax` stays below its size (four unless UV_THREADPOOL_SIZE says
 * otherwise).
 */
import { assert } from '../../../platform/assert.ts';
import type { Clock, Timer } from '../../../platform/clock.ts';
import { DiskError } from '../../../platform/disk.ts';
import type { DiskFile } from '../../../platform/disk.ts';
import { toError } from '../../../platform/to-error.ts';
import { JournalCoverage, isUnsettled } from './journal-coverage.ts';
import type { CoveredLog, PendingForget } from './journal-coverage.ts';
import { forgetBytes, recordOverheadBytes } from './sync-journal-format.ts';
import type { JournalRecord } from './sync-journal-format.ts';
import type { SyncJournal } from './sync-journal.ts';
import type { JournalReplay } from './sync-journal-replay.ts';
import { DeferredSyncs } from './deferred-syncs.ts';
import { isLog } from './sync-target.ts';
import type { LogSyncTarget, SyncTarget } from './sync-target.ts';
import { unsyncedBytesMax } from './unsynced-bytes.ts';
import { WriteFiles } from '../write-files.ts';

export interface SyncerOptions {
  readonly concurrencyMax: number;
  /** Bounds the files that logs keep open for writing; shared by a node's directories. */
  readonly writeFiles?: WriteFiles;
  /** So many requests have found a crowd before the journal is made. */
  readonly crowdedMin?: number;
  /** For `flush.ms`, and for the sync of the files that an idle journal covers. */
  readonly clock?: Clock;
}

/** Below so many at a time, syncs one by one are as fast, and write their bytes once. */
const manyMin = 4;
/** What one frame takes at most: the memory of a round. */
const frameBytesMax = 4 * 1024 * 1024;
/** A few logs that are made at one time, once, need no journal. */
const crowdedMinDefault = 100;
/** Less room than this in a half is left: any log's bytes fit. */
const roomMinBytes = 20 * 1024;
/** After so long without a round, the journal's logs have their files synced. */
const idleMs = 1000;

interface Settler {
  resolve(): void;
  reject(error: unknown): void;
}

export class Syncer {
  /** What the journal held when the directory was opened. */
  readonly replay: JournalReplay;
  readonly writeFiles: WriteFiles;
  readonly #concurrencyMax: number;
  readonly #clock: Clock | undefined;
  readonly #journal: SyncJournal | undefined;
  readonly #coverage = new JournalCoverage<LogSyncTarget>();
  readonly #deferred: DeferredSyncs;
  /** In line for a sync of their files, first come first served. */
  readonly #files = new Set<SyncTarget>();
  /** In line for the journal, or for their files where they stay few. */
  readonly #logs = new Set<LogSyncTarget>();
  /** In line to be settled; unlike a sync that is asked for, that is not taken back. */
  readonly #settling = new Set<SyncTarget>();
  /** In line to be settled, without haste. */
  readonly #background = new Set<SyncTarget>();
  /** Files being synced, with the journal's last frame when that began. */
  readonly #running = new Map<SyncTarget, number>();
  readonly #settlers = new Map<SyncTarget, Settler[]>();
  /** The logs of the journal's frame in flight. */
  #round: ReadonlySet<LogSyncTarget> | undefined;
  #isEnding = false;
  /** Asked again while busy: back in line when that sync ends. */
  readonly #again = new Set<SyncTarget>();
  #forgets: PendingForget[] = [];
  #checkpoint: Promise<void> | undefined;
  #idleTimer: Timer | undefined;
  #roundsAtTimer = 0;
  #crowdedRequests = 0;
  readonly #crowdedMin: number;
  #rounds = 0;
  #syncs = 0;

  constructor(
    options: SyncerOptions = { concurrencyMax: 3 },
    opened: { readonly journal?: SyncJournal | undefined; readonly replay?: JournalReplay } = {},
  ) {
    assert(options.concurrencyMax >= 1, 'a syncer runs at least one sync at a time');
    this.#concurrencyMax = options.concurrencyMax;
    this.#clock = options.clock;
    this.#crowdedMin = options.crowdedMin ?? crowdedMinDefault;
    this.#journal = opened.journal;
    this.replay = opened.replay ?? { frames: 0, bytes: 0, files: 0, damage: [] };
    this.writeFiles = options.writeFiles ?? new WriteFiles();
    this.#deferred = new DeferredSyncs(options.clock, (target) => this.request(target));
  }

  /** Syncs carried out so far, of files and of the journal. */
  get syncCount(): number {
    return this.#syncs;
  }

  /** Targets in line or being synced. */
  get pendingCount(): number {
    return this.#files.size + this.#logs.size + this.#running.size + (this.#round?.size ?? 0);
  }

  /** Whether logs should keep what they write at hand: it may be asked for by `unsynced`. */
  get wantsBytes(): boolean {
    return this.#journal?.isReady === true && this.pendingCount + 1 >= manyMin;
  }

  /** Asks for a sync that begins after this call. Asking again before it begins does nothing. */
  request(target: SyncTarget): void {
    this.#deferred.cancel(target);
    if (this.#isBusy(target)) this.#again.add(target);
    else this.#enqueue(target);
    this.#startSome();
  }

  /** As `request`, after so long, unless one is asked for before. Later ones do not put off the first. */
  requestLater(target: SyncTarget, delayMs: number): void {
    this.#deferred.add(target, delayMs);
  }

  /** Takes a target out of the line. A sync of it that runs already goes on and ends as usual. */
  cancel(target: SyncTarget): void {
    this.#deferred.cancel(target);
    this.#files.delete(target);
    if (isLog(target)) this.#logs.delete(target);
    this.#again.delete(target);
  }

  /** Resolves when a sync of the file that began after this call has ended; rejects with its error. */
  sync(file: DiskFile): Promise<void> {
    return new Promise((resolve, reject) => {
      this.request({
        syncBegins: () => file,
        syncEnded: (error) => {
          if (error === undefined) resolve();
          else reject(error);
        },
      });
    });
  }

  /** Resolves when all that the log has written is durable in its own files; rejects with the sync's error. */
  settle(target: LogSyncTarget): Promise<void> {
    return this.#settle(target, this.#settling);
  }

  /**
   * Before a log's files are cut, removed or replaced: resolves when the journal has no record that a replay would write into
   * them, of what was written before this call. Rejects where that cannot be had; then they must be left alone.
   */
  async forget(target: LogSyncTarget): Promise<void> {
    await this.settle(target);
    const log = this.#coverage.of(target.name);
    if (log === undefined) return;
    // An earlier log in this directory has failed, and only the journal can restore what it had made durable.
    if (log.target !== target && isUnsettled(log)) throw journalNeeded(log.name);
    await this.#forget(log, log.settledFrame);
  }

  /**
   * As `forget`, for files of the log that have been settled before, as full segments are: what has been written since to its
   * newest one keeps its records.
   */
  async forgetSettled(name: string): Promise<void> {
    const log = this.#coverage.of(name);
    if (log !== undefined) await this.#forget(log, log.settledFrame);
  }

  /** Whether the journal has records of this log that are not durable in its files: then it needs a sync of them, or `discard`. */
  covers(name: string): boolean {
    const log = this.#coverage.of(name);
    return log !== undefined && isUnsettled(log);
  }

  /** As `forget`, for a closed log that is gone with its directory: what it had written need not last. */
  async discard(name: string): Promise<void> {
    const log = this.#coverage.of(name);
    if (log !== undefined) await this.#forget(log, log.frame);
  }

  async #forget(log: CoveredLog<LogSyncTarget>, frame: number): Promise<void> {
    // A journal that has failed may be on its way out.
    if (this.#journal?.hasFailed === true) await this.#checkpoint;
    if (this.#journal === undefined || log.generation <= this.#journal.doneGeneration) return;
    if (log.voidFrame >= frame) return;
    await new Promise<void>((resolve, reject) => {
      this.#forgets.push({ name: log.name, frame, resolve, reject });
      this.#startSome();
    });
    log.voidFrame = Math.max(log.voidFrame, frame);
  }

  /** The directory's logs are closed. */
  async close(): Promise<void> {
    this.#idleTimer?.cancel();
    this.#deferred.close();
    while (this.#round !== undefined || this.#running.size > 0 || this.#checkpoint !== undefined) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
    await this.#journal?.close(this.#coverage.isSettled);
  }

  #idleWaiters: (() => void)[] = [];

  #isBusy(target: SyncTarget): boolean {
    return this.#running.has(target) || (isLog(target) && this.#round?.has(target) === true);
  }

  #enqueue(target: SyncTarget): void {
    const isForJournal =
      this.#journal?.isReady === true &&
      this.#journal.isUsable &&
      isLog(target) &&
      target.unsynced() !== undefined;
    if (isForJournal) this.#logs.add(target);
    else this.#files.add(target);
    if (this.#journal?.isReady === false && isLog(target)) this.#maybePrepare(this.#journal, target);
  }

  /** The journal is made when it would have been of use for some time. */
  #maybePrepare(journal: SyncJournal, target: LogSyncTarget): void {
    if (this.#files.size + this.#running.size < manyMin || target.unsyncedBytes > unsyncedBytesMax) return;
    this.#crowdedRequests++;
    if (this.#crowdedRequests >= this.#crowdedMin) journal.prepare();
  }

  #startSome(): void {
    if (this.#isEnding) return;
    // With all places taken, a log does not wait for others that have much to sync.
    const isFull = this.#logs.size > 0 && this.#running.size >= this.#concurrencyMax;
    const isRoundDue = this.#forgets.length > 0 || this.#logs.size >= manyMin || isFull;
    if (this.#round === undefined && isRoundDue) this.#beginRound();
    this.#startFrom(this.#settling, this.#concurrencyMax);
    this.#startFrom(this.#files, this.#concurrencyMax);
    // While a round is in flight, others wait for the next one: a sync of their own would only slow it down.
    if (this.#round === undefined) this.#startFrom(this.#logs, Math.min(this.#concurrencyMax, manyMin - 1));
    this.#startFrom(this.#background, Math.max(1, this.#concurrencyMax >> 1));
  }

  #startFrom(line: Set<SyncTarget>, runningMax: number): void {
    for (const target of line) {
      if (this.#running.size >= runningMax) return;
      if (this.#isBusy(target)) continue;
      line.delete(target);
      this.#startFile(target);
    }
  }

  #startFile(target: SyncTarget): void {
    this.#files.delete(target);
    if (isLog(target)) this.#logs.delete(target);
    this.#settling.delete(target);
    this.#background.delete(target);
    const settlers = this.#settlers.get(target) ?? [];
    this.#settlers.delete(target);
    const frame = this.#journal?.frame ?? 0;
    this.#running.set(target, frame);
    let syncing: Promise<void> | undefined;
    try {
      syncing = target.syncBegins()?.sync();
    } catch (error) {
      syncing = Promise.reject(toError(error));
    }
    if (syncing === undefined) {
      this.#running.delete(target);
      for (const settler of settlers) settler.resolve();
      return;
    }
    this.#syncs++;
    syncing.then(
      () => this.#fileEnded(target, settlers, undefined),
      (error: Error) => this.#fileEnded(target, settlers, error),
    );
  }

  #fileEnded(target: SyncTarget, settlers: readonly Settler[], error: Error | undefined): void {
    const frame = this.#running.get(target)!;
    this.#running.delete(target);
    const covered = isLog(target) ? this.#coverage.of(target.name) : undefined;
    if (covered !== undefined) {
      if (error === undefined) covered.settledFrame = Math.max(covered.settledFrame, frame);
      else if (isUnsettled(covered)) this.#journal?.stick();
    }
    this.#tellEnded([target], error);
    for (const settler of settlers) {
      if (error === undefined) settler.resolve();
      else settler.reject(error);
    }
    this.#wakeIdleWaiters();
  }

  #tellEnded(targets: Iterable<SyncTarget>, error: Error | undefined): void {
    // Those that ask again at once are to go together.
    this.#isEnding = true;
    for (const target of targets) {
      target.syncEnded(error);
      if (this.#again.delete(target) && error === undefined) this.request(target);
    }
    this.#isEnding = false;
    this.#startSome();
  }

  #beginRound(): void {
    const journal = this.#journal;
    if (journal === undefined || !journal.isReady) return this.#giveUpJournal();
    if (!this.#makeRoom(journal)) this.#leaveToFiles();
    const forgets = this.#takeForgets(journal);
    const { records, targets } = this.#takeRecords(Math.min(frameBytesMax, journal.roomBytes), forgets);
    if (forgets.length === 0 && records.length === 0) return;
    const round = new Set(targets);
    this.#round = round;
    this.#rounds++;
    this.#syncs++;
    const appended = journal.append(forgets, records);
    const place = { frame: journal.frame, generation: journal.generation };
    for (const target of targets) this.#coverage.add(target.name, target, place);
    appended.then(
      () => this.#roundEnded(round, forgets, undefined),
      (error: Error) => this.#roundEnded(round, forgets, error),
    );
  }

  #roundEnded(round: ReadonlySet<LogSyncTarget>, forgets: PendingForget[], error: Error | undefined): void {
    this.#round = undefined;
    for (const forget of forgets) {
      if (error === undefined) forget.resolve();
      else forget.reject(error);
    }
    if (error === undefined) this.#scheduleIdle();
    else this.#runCheckpoint(() => this.#retireJournal(this.#journal!));
    this.#tellEnded(round, error);
    this.#wakeIdleWaiters();
  }

  /** Whether a frame with any log's bytes fits; begins the other half where this one is full and that is free. */
  #makeRoom(journal: SyncJournal): boolean {
    if (journal.roomBytes >= roomMinBytes) return true;
    if (!journal.canSwitch || this.#checkpoint !== undefined) return false;
    this.#leaveHalf(journal);
    return journal.roomBytes >= roomMinBytes;
  }

  #leaveHalf(journal: SyncJournal): void {
    const { generation, frame } = journal;
    journal.switchHalves();
    assert(this.#checkpoint === undefined, 'the half before is done');
    this.#runCheckpoint(() => this.#settleGeneration(journal, generation, frame));
  }

  #runCheckpoint(checkpoint: () => Promise<void>): void {
    const before = this.#checkpoint ?? Promise.resolve();
    const running: Promise<void> = before.then(checkpoint).finally(() => {
      if (this.#checkpoint === running) this.#checkpoint = undefined;
      this.#startSome();
      this.#wakeIdleWaiters();
    });
    this.#checkpoint = running;
  }

  /** The journal has failed: where the logs' own files can all be synced, it goes, and nothing depends on it any more. */
  async #retireJournal(journal: SyncJournal): Promise<void> {
    const unsettled = [...this.#coverage.all()].filter(isUnsettled);
    const settled = unsettled.map(({ target }) => this.#settle(target, this.#background));
    const outcomes = await Promise.allSettled(settled);
    if (outcomes.some(({ status }) => status === 'rejected') || journal.isStuck) return;
    await journal.retire().catch(() => {
      // Its owner knows that it has failed. The next start replays it; until then logs that it covers are not cut.
    });
  }

  /** Never rejects: a log whose file fails is told so by its sync, a journal that fails tells its owner. */
  async #settleGeneration(journal: SyncJournal, generation: number, frame: number): Promise<void> {
    const unsettled = this.#coverage.unsettled(generation, frame);
    const settled = unsettled.map(({ target }) => this.#settle(target, this.#background));
    const outcomes = await Promise.allSettled(settled);
    if (outcomes.some(({ status }) => status === 'rejected')) return;
    await journal.done(generation).then(
      () => this.#coverage.forgetGeneration(generation),
      () => this.#runCheckpoint(() => this.#retireJournal(journal)),
    );
  }

  #takeForgets(journal: SyncJournal): PendingForget[] {
    const taken: PendingForget[] = [];
    let sizeBytes = 0;
    for (const forget of this.#forgets) {
      sizeBytes += forgetBytes(forget.name);
      if (!journal.hasRoomToForget(sizeBytes)) break;
      taken.push(forget);
    }
    this.#forgets = this.#forgets.slice(taken.length);
    // With a half on its way to be free there will be room.
    if (taken.length === 0 && this.#checkpoint === undefined) this.#rejectForgets();
    return taken;
  }

  #takeRecords(
    roomBytes: number,
    forgets: readonly PendingForget[],
  ): { records: JournalRecord[]; targets: LogSyncTarget[] } {
    const records: JournalRecord[] = [];
    const targets: LogSyncTarget[] = [];
    let room = roomBytes;
    for (const { name } of forgets) room -= forgetBytes(name);
    for (const target of this.#logs) {
      const bytes = target.unsynced();
      if (bytes === undefined) {
        this.#logs.delete(target);
        this.#files.add(target);
        continue;
      }
      room -= recordOverheadBytes(target.name) + bytes.sizeBytes;
      if (room < 0) break;
      this.#logs.delete(target);
      target.journalBegins();
      records.push({ name: target.name, ...bytes });
      targets.push(target);
    }
    return { records, targets };
  }

  #giveUpJournal(): void {
    this.#leaveToFiles();
    this.#rejectForgets();
  }

  #leaveToFiles(): void {
    for (const log of this.#logs) this.#files.add(log);
    this.#logs.clear();
  }

  #rejectForgets(): void {
    for (const forget of this.#forgets.splice(0)) forget.reject(journalNeeded(forget.name));
  }

  #settle(target: LogSyncTarget, line: Set<SyncTarget>): Promise<void> {
    if (target.isSettled) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settlers = this.#settlers.get(target) ?? [];
      settlers.push({ resolve, reject });
      this.#settlers.set(target, settlers);
      line.add(target);
      this.#startSome();
    });
  }

  /** One timer for the directory, while its journal is in use. */
  #scheduleIdle(): void {
    if (this.#idleTimer !== undefined || this.#clock === undefined) return;
    this.#roundsAtTimer = this.#rounds;
    this.#idleTimer = this.#clock.after(idleMs, () => {
      this.#idleTimer = undefined;
      const journal = this.#journal;
      if (journal === undefined || !journal.hasFrames || !journal.isUsable) return;
      const isIdle = this.#rounds === this.#roundsAtTimer && this.#round === undefined;
      if (isIdle && journal.canSwitch && this.#checkpoint === undefined) this.#leaveHalf(journal);
      else this.#scheduleIdle();
    });
  }

  #wakeIdleWaiters(): void {
    if (this.#idleWaiters.length === 0) return;
    if (this.#round !== undefined || this.#running.size > 0 || this.#checkpoint !== undefined) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }
}

function journalNeeded(name: string): DiskError {
  const reason = 'the sync journal has records of it, and has failed. A restart replays them.';
  return new DiskError('io', name, `${name} cannot be cut or removed: ${reason}`);
}
