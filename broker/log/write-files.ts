/**
 * The bound on files that are open for writing, shared by a node's logs: a log opens its newest segment when it is written to,
 * and the one that has been idle for longest gives its file up when there are too many.
 *
 * A file with unsynced writes is synced before it is closed: the system reports that it could not write them to those who have
 * the file open at that time, and to nobody else.
 */
import { assert } from '../../platform/assert.ts';

export interface WriteFileOwner {
  /** Neither writing nor syncing. */
  readonly isFileIdle: boolean;
  /** Syncs what is not synced, then closes. Never rejects; resolves with false where the log has been written to meanwhile, and keeps it. */
  closeFile(): Promise<boolean>;
}

const openMaxDefault = 256;

export class WriteFiles {
  readonly #openMax: number;
  /** Those with an open file, least recently used first. */
  readonly #owners = new Set<WriteFileOwner>();
  /** Places taken: by open files, by such as are being closed, and by such as are being opened. */
  #taken = 0;
  #waiting: (() => void)[] = [];
  /** Being closed to come back within the bound. */
  #closing = 0;

  constructor(openMax = openMaxDefault) {
    assert(openMax >= 1, 'one file at least can be written to');
    this.#openMax = openMax;
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
      // It is out of line while it closes; its place is free when it has called `left`.
      this.#owners.delete(idle);
      if (!(await idle.closeFile())) this.#owners.add(idle);
    }
    this.#taken++;
  }

  /** The owner has a file that somebody else has opened. It does not wait: the bound is exceeded until an idle one is closed. */
  adopted(owner: WriteFileOwner): void {
    this.#taken++;
    this.#owners.add(owner);
    if (this.#taken > this.#openMax) this.#closeOneLater();
  }

  /** The owner writes to its open file. */
  used(owner: WriteFileOwner): void {
    this.#owners.delete(owner);
    this.#owners.add(owner);
  }

  /** The owner has closed its file, or could not open it. */
  left(owner: WriteFileOwner): void {
    this.#owners.delete(owner);
    this.#taken--;
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
    try {
      if (idle !== undefined) {
        this.#owners.delete(idle);
        if (!(await idle.closeFile())) this.#owners.add(idle);
      }
    } finally {
      this.#closing--;
    }
  }

  #leastRecentIdle(): WriteFileOwner | undefined {
    for (const owner of this.#owners) if (owner.isFileIdle) return owner;
    return undefined;
  }
}
