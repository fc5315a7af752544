/**
 * The bound on files that are open for writing, shared by a node's logs: a log opens its newest segment when it is written to,
 * and gives it up when it has been idle for some seconds, or for longest among too many.
 *
 * A file with unsynced writes is synced before it is closed: the system reports that it could not write them to those who have
 * the file open at that time, and to nobody else.
 */
import { assert } from '../../platform/assert.ts';
import type { Clock, Timer } from '../../platform/clock.ts';

export interface WriteFileOwner {
  /** Neither writing nor syncing. */
  readonly isFileIdle: boolean;
  /** Syncs what is not synced, then closes. Never rejects; resolves with false where the log has been written to meanwhile, and keeps it. */
  closeFile(): Promise<boolean>;
}

const openMaxDefault = 256;
/** A file that is not used for one to two of these is closed. One timer for all, while any is open. */
const idleMs = 10_000;

export class WriteFiles {
  readonly #openMax: number;
  readonly #clock: Clock | undefined;
  /** Those with an open file, least recently used first: not used since the timer fired last... */
  #old = new Set<WriteFileOwner>();
  /** ...and used since. */
  #owners = new Set<WriteFileOwner>();
  #timer: Timer | undefined;
  /** Places taken: by open files, by such as are being closed, and by such as are being opened. */
  #taken = 0;
  #waiting: (() => void)[] = [];
  /** Being closed to come back within the bound. */
  #closing = 0;

  /** Without a clock, files are closed only where there are too many. */
  constructor(openMax = openMaxDefault, clock?: Clock) {
    assert(openMax >= 1, 'one file at least can be written to');
    this.#openMax = openMax;
    this.#clock = clock;
  }

  get count(): number {
    return this.#taken;
  }

  /** Resolves when the owner may open its file; to be followed by `used`, or by `left` where that fails. */
  async enter(): Promise<void> {
    while (this.#taken >= this.#openMax) {
      const idle = this.#leastRecentIdle();
      if (idle === undefined) {
        await new Promise<void>((resolve) => {
          this.#waiting.push(resolve);
        });
        continue;
      }
      // Its place is free when it has called `left`.
      await this.#closeFileOf(idle);
    }
    this.#taken++;
  }

  /** The owner has a file that somebody else has opened. It does not wait: the bound is exceeded until an idle one is closed. */
  adopted(owner: WriteFileOwner): void {
    this.#taken++;
    this.used(owner);
    if (this.#taken > this.#openMax) this.#closeOneLater();
  }

  /** The owner writes to its open file. */
  used(owner: WriteFileOwner): void {
    this.#old.delete(owner);
    this.#owners.delete(owner);
    this.#owners.add(owner);
    this.#timer ??= this.#clock?.after(idleMs, () => this.#closeOld());
  }

  /** The owner has closed its file, or could not open it. */
  left(owner: WriteFileOwner): void {
    this.#old.delete(owner);
    this.#owners.delete(owner);
    this.#taken--;
    if (this.#taken === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
    }
    assert(this.#taken >= 0, 'a place is given back once');
    this.idle();
  }

  /** An owner has become idle, or a place free: whoever waits looks again. */
  idle(): void {
    if (this.#waiting.length > 0) this.#waiting.shift()?.();
    else if (this.#taken - this.#closing > this.#openMax) this.#closeOneLater();
  }

  #closeOneLater(): void {
    // The owner who has just got its file is about to write: it is in line, but not idle for long.
    this.#closing++;
    queueMicrotask(() => void this.#closeOne());
  }

  async #closeOne(): Promise<void> {
    const idle = this.#leastRecentIdle();
    if (idle !== undefined) await this.#closeFileOf(idle);
    this.#closing--;
  }

  /** It is out of line meanwhile, and back in it where it has been written to. */
  async #closeFileOf(owner: WriteFileOwner): Promise<void> {
    this.#old.delete(owner);
    this.#owners.delete(owner);
    if (!(await owner.closeFile())) this.#owners.add(owner);
  }

  #closeOld(): void {
    this.#timer = undefined;
    for (const owner of this.#old) {
      if (owner.isFileIdle) void this.#closeFileOf(owner);
      else this.#owners.add(owner);
    }
    this.#old = this.#owners;
    this.#owners = new Set();
    if (this.#taken > 0) this.#timer = this.#clock?.after(idleMs, () => this.#closeOld());
  }

  #leastRecentIdle(): WriteFileOwner | undefined {
    for (const owners of [this.#old, this.#owners]) {
      for (const owner of owners) if (owner.isFileIdle) return owner;
    }
    return undefined;
  }
}
