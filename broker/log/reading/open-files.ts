/**
 * Files kept open for reading, shared by a node's logs: at most `openMax` beyond those in use, the least recently used
 * closed first. A file that is removed is forgotten first, so that a new one of the same name is opened afresh.
 */
import { assert } from '../../../platform/assert.ts';
import type { Disk, DiskFile } from '../../../platform/disk.ts';

interface OpenFile {
  readonly path: string;
  readonly file: Promise<DiskFile>;
  users: number;
  /** Forgotten: to be closed when the last user has gone. */
  isStale: boolean;
}

export interface FileLease {
  readonly file: DiskFile;
  release(): void;
}

export class OpenFiles {
  readonly #disk: Disk;
  readonly #openMax: number;
  /** In order of last use. */
  readonly #byPath = new Map<string, OpenFile>();
  readonly #closing = new Set<Promise<void>>();

  constructor(disk: Disk, openMax: number) {
    this.#disk = disk;
    this.#openMax = openMax;
  }

  get count(): number {
    return this.#byPath.size;
  }

  /** Rejects with a DiskError. */
  async lease(path: string): Promise<FileLease> {
    const entry = this.#byPath.get(path) ?? {
      path,
      file: this.#disk.open(path, 'read'),
      users: 0,
      isStale: false,
    };
    this.#byPath.delete(path);
    this.#byPath.set(path, entry);
    entry.users++;
    try {
      const file = await entry.file;
      this.#trim();
      return { file, release: () => this.#leave(entry) };
    } catch (error) {
      entry.users--;
      if (this.#byPath.get(path) === entry) this.#byPath.delete(path);
      throw error;
    }
  }

  /** The file is about to be removed or replaced: resolves when it is closed, or will be by its last user. */
  async forget(path: string): Promise<void> {
    const entry = this.#byPath.get(path);
    if (entry === undefined) return;
    this.#byPath.delete(path);
    entry.isStale = true;
    if (entry.users === 0) await this.#close(entry);
  }

  /** Closes what is not in use, and waits for it. */
  async close(): Promise<void> {
    for (const path of this.#byPath.keys()) await this.forget(path);
    await Promise.all(this.#closing);
  }

  #leave(entry: OpenFile): void {
    entry.users--;
    assert(entry.users >= 0, 'a file is released once for each lease');
    if (entry.users === 0 && entry.isStale) this.#closeLater(entry);
    else this.#trim();
  }

  #trim(): void {
    if (this.#byPath.size <= this.#openMax) return;
    for (const entry of this.#byPath.values()) {
      if (entry.users > 0) continue;
      this.#byPath.delete(entry.path);
      this.#closeLater(entry);
      if (this.#byPath.size <= this.#openMax) return;
    }
  }

  #closeLater(entry: OpenFile): void {
    const closing = this.#close(entry).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  async #close(entry: OpenFile): Promise<void> {
    try {
      await (await entry.file).close();
    } catch {
      // It was open for reading only: nothing is lost, and a file that could not be opened has told its user so.
    }
  }
}
