/**
 * Group commit for one log directory. Files that have something to sync wait in line; a few at a time are synced, and all
 * that is asked of a file while its sync runs is covered by one more sync after it. Files are served in the order in which
 * they asked, so that a busy partition does not starve an idle one.
 *
 * Syncs share libuv's thread pool with reads: `concurrencyMax` stays below its size (four unless UV_THREADPOOL_SIZE says
 * otherwise).
 */
import { assert } from '../../platform/assert.ts';
import type { DiskFile } from '../../platform/disk.ts';

/** One file's side of it. The target is asked for its file when its turn comes. */
export interface SyncTarget {
  /** The sync begins: what has been written until now is what it will have made durable. */
  syncBegins(): DiskFile;
  /** The sync has ended; with an error, that is final for the file. */
  syncEnded(error: Error | undefined): void;
}

export interface SyncerOptions {
  readonly concurrencyMax: number;
}

export class Syncer {
  readonly #concurrencyMax: number;
  /** In line, first come first served. */
  readonly #waiting = new Set<SyncTarget>();
  readonly #running = new Set<SyncTarget>();
  /** Asked again while running: back in line when that sync ends. */
  readonly #again = new Set<SyncTarget>();
  #rounds = 0;

  constructor(options: SyncerOptions = { concurrencyMax: 3 }) {
    assert(options.concurrencyMax >= 1, 'a syncer runs at least one sync at a time');
    this.#concurrencyMax = options.concurrencyMax;
  }

  /** Syncs carried out so far. */
  get syncCount(): number {
    return this.#rounds;
  }

  /** Targets in line or being synced. */
  get pendingCount(): number {
    return this.#waiting.size + this.#running.size;
  }

  /** Asks for a sync that begins after this call. Asking again before it begins does nothing. */
  request(target: SyncTarget): void {
    if (this.#running.has(target)) this.#again.add(target);
    else this.#waiting.add(target);
    this.#startSome();
  }

  /** Takes a target out of the line. A sync of it that runs already goes on and ends as usual. */
  cancel(target: SyncTarget): void {
    this.#waiting.delete(target);
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

  #startSome(): void {
    for (const target of this.#waiting) {
      if (this.#running.size >= this.#concurrencyMax) return;
      this.#waiting.delete(target);
      this.#running.add(target);
      this.#rounds++;
      target
        .syncBegins()
        .sync()
        .then(
          () => this.#ended(target, undefined),
          (error: Error) => this.#ended(target, error),
        );
    }
  }

  #ended(target: SyncTarget, error: Error | undefined): void {
    this.#running.delete(target);
    if (this.#again.delete(target) && error === undefined) this.#waiting.add(target);
    target.syncEnded(error);
    this.#startSome();
  }
}
