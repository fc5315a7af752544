/**
 * The disk as a replica sees it while it is made. Its directory was not there before, so that what is in it is what was made there since:
 * that needs no look at the disk, and one sync of the directory at the end does for all names in it. A node makes thousands of
 * replicas at once, and most of what opening one asks the disk is whether something is left of an earlier life.
 *
 * Invariant: nothing in the directory counts for anything before `settle` has resolved, and the caller has synced the directory's own name:
 * a crash may leave any of its files, and the next start makes of them what it makes of none.
 */
import { DiskError } from '../../platform/disk.ts';
import type { Disk, DiskFile, DiskSpace, OpenMode } from '../../platform/disk.ts';

export class NewDirectory implements Disk {
  readonly #disk: Disk;
  readonly #directory: string;
  /** What was made in it; undefined once it is settled, when the disk itself is asked again. */
  #names: Set<string> | undefined = new Set();
  #isGivenUp = false;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** All that was made in it is durable; from here on this is the disk. Rejects with a DiskError. */
  async settle(): Promise<void> {
    await this.#disk.syncDirectory(this.#directory);
    this.#names = undefined;
  }

  /**
   * It was not settled, and is not going to be. Nothing gets its name in it any more: a log that is closed now would say that all names in
   * the directory are durable, and the next start would take it at its word.
   */
  giveUp(): void {
    this.#isGivenUp = true;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (mode !== 'create' && this.#isMissing(path)) throw notFound(path);
    const file = await this.#disk.open(path, mode);
    this.#made(path);
    return file;
  }

  async exists(path: string): Promise<boolean> {
    return !this.#isMissing(path) && this.#disk.exists(path);
  }

  async sizeOf(path: string): Promise<number | undefined> {
    return this.#isMissing(path) ? undefined : this.#disk.sizeOf(path);
  }

  async list(directory: string): Promise<string[]> {
    if (directory === this.#directory && this.#names !== undefined) return [...this.#names].sort();
    if (this.#isMissing(directory)) throw notFound(directory);
    return this.#disk.list(directory);
  }

  async makeDirectory(directory: string): Promise<boolean> {
    const isNew = await this.#disk.makeDirectory(directory);
    this.#made(directory);
    return isNew;
  }

  async rename(from: string, to: string): Promise<void> {
    if (this.#isGivenUp) throw new DiskError('io', to, `Could not make ${to}: its directory was given up.`);
    await this.#disk.rename(from, to);
    this.#names?.delete(this.#nameIn(from) ?? '');
    this.#made(to);
  }

  async remove(path: string): Promise<void> {
    if (this.#isMissing(path)) throw notFound(path);
    await this.#disk.remove(path);
    this.#names?.delete(path.slice(this.#directory.length + 1));
  }

  async removeDirectory(directory: string): Promise<void> {
    await this.#disk.removeDirectory(directory);
    this.#names?.delete(this.#nameIn(directory) ?? '');
  }

  /** Of the directory, and of the one that its name is in: only when it is settled. */
  async syncDirectory(directory: string): Promise<void> {
    const isDeferred = directory === this.#directory || directory === parentOf(this.#directory);
    if (this.#names === undefined || !isDeferred) await this.#disk.syncDirectory(directory);
  }

  space(directory: string): Promise<DiskSpace> {
    return this.#disk.space(directory);
  }

  /** The first part of a path below the directory; undefined for any other. */
  #nameIn(path: string): string | undefined {
    if (!path.startsWith(`${this.#directory}/`)) return undefined;
    return path.slice(this.#directory.length + 1).split('/', 1)[0];
  }

  #isMissing(path: string): boolean {
    const name = this.#nameIn(path);
    return name !== undefined && this.#names?.has(name) === false;
  }

  #made(path: string): void {
    const name = this.#nameIn(path);
    if (name !== undefined) this.#names?.add(name);
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}

function notFound(path: string): DiskError {
  return new DiskError('not-found', path, `Could not find ${path}: its directory is new.`);
}
