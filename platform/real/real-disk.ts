import fs from 'node:fs';
import { dirname } from 'node:path';
import {
  DiskError,
  type Disk,
  type DiskErrorCode,
  type DiskFile,
  type DiskSpace,
  type OpenMode,
} from '../disk.ts';
import { DirectorySyncs } from './directory-syncs.ts';

const openFlags: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
};

/**
 * The machine's files, through Node's callback interface: FileHandle of node:fs/promises costs more for each call and
 * closes files behind one's back when it is collected.
 */
export class RealDisk implements Disk {
  /** Partitions that are made at one time all ask for the directory that they lie in. */
  readonly #directorySyncs = new DirectorySyncs(syncDirectory);

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const descriptor = await call<number>(path, 'open', (done) =>
      fs.open(path, openFlags[mode], 0o644, done),
    );
    return new RealDiskFile(path, descriptor);
  }

  exists(path: string): Promise<boolean> {
    return call<boolean>(path, 'look for', (done) => {
      fs.stat(path, (error) => {
        if (error === null) done(null, true);
        else if (error.code === 'ENOENT' || error.code === 'ENOTDIR') done(null, false);
        else done(error, false);
      });
    });
  }

  sizeOf(path: string): Promise<number | undefined> {
    return call<number | undefined>(path, 'measure', (done) => {
      fs.stat(path, (error, stats) => {
        if (error === null) done(null, stats.isFile() ? stats.size : undefined);
        else if (error.code === 'ENOENT' || error.code === 'ENOTDIR') done(null, undefined);
        else done(error, undefined);
      });
    });
  }

  async list(directory: string): Promise<string[]> {
    const names = await call<string[]>(directory, 'list', (done) => fs.readdir(directory, done));
    return names.sort();
  }

  /**
   * One level at a time: Node's own `recursive` tries for ever where a directory exists in which none can be made (/proc).
   */
  async makeDirectory(directory: string): Promise<boolean> {
    try {
      return await this.#makeOne(directory);
    } catch (error) {
      const parent = dirname(directory);
      if (!(error instanceof DiskError) || error.code !== 'not-found' || parent === directory) throw error;
      await this.makeDirectory(parent);
      return this.#makeOne(directory);
    }
  }

  #makeOne(directory: string): Promise<boolean> {
    return call<boolean>(directory, 'make', (done) => {
      fs.mkdir(directory, (error) => {
        if (error?.code !== 'EEXIST') return done(error, true);
        fs.stat(directory, (fault, stats) =>
          done(fault === null && stats.isDirectory() ? null : error, false),
        );
      });
    });
  }

  rename(from: string, to: string): Promise<void> {
    return run(from, `rename to ${to}`, (done) => fs.rename(from, to, done));
  }

  remove(path: string): Promise<void> {
    return run(path, 'remove', (done) => fs.unlink(path, done));
  }

  removeDirectory(directory: string): Promise<void> {
    return run(directory, 'remove', (done) => {
      fs.rm(directory, { recursive: true, force: true }, done);
    });
  }

  syncDirectory(directory: string): Promise<void> {
    return this.#directorySyncs.sync(directory);
  }

  async space(directory: string): Promise<DiskSpace> {
    const { blocks, bavail, bsize } = await call<fs.StatsFs>(directory, 'measure', (done) =>
      fs.statfs(directory, done),
    );
    return { totalBytes: blocks * bsize, usableBytes: bavail * bsize };
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const descriptor = await call<number>(directory, 'open', (done) => {
    fs.open(directory, fs.constants.O_RDONLY, done);
  });
  try {
    await run(directory, 'sync', (done) => fs.fsync(descriptor, done));
  } finally {
    await run(directory, 'close', (done) => fs.close(descriptor, done));
  }
}

class RealDiskFile implements DiskFile {
  readonly path: string;
  readonly #descriptor: number;
  /** Set for good by a failed sync: Linux reports lost pages once, and a second fsync would lie. */
  #syncFailure: DiskError | undefined;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  size(): Promise<number> {
    return call<number>(this.path, 'measure', (done) => {
      fs.fstat(this.#descriptor, (error, stats) => done(error, error === null ? stats.size : 0));
    });
  }

  read(target: Buffer, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let filled = 0;
      const readOn = (): void => {
        fs.read(
          this.#descriptor,
          target,
          filled,
          target.length - filled,
          position + filled,
          (error, count) => {
            if (error !== null) {
              reject(diskError(error, this.path, 'read'));
              return;
            }
            filled += count;
            if (count === 0 || filled === target.length) resolve(filled);
            else readOn();
          },
        );
      };
      readOn();
    });
  }

  async write(parts: readonly Buffer[], position: number): Promise<void> {
    let rest = parts;
    let restPosition = position;
    for (;;) {
      const sizeBytes = totalBytes(rest);
      if (sizeBytes === 0) return;
      const written = await this.#writeOnce(rest, restPosition);
      if (written === sizeBytes) return;
      if (written === 0)
        throw new DiskError('io', this.path, `Could not write ${this.path}: no bytes were taken.`);
      rest = withoutFirst(rest, written);
      restPosition += written;
    }
  }

  async sync(): Promise<void> {
    if (this.#syncFailure !== undefined) throw this.#syncFailure;
    try {
      await run(this.path, 'sync', (done) => fs.fdatasync(this.#descriptor, done));
    } catch (error) {
      if (error instanceof DiskError) this.#syncFailure = error;
      throw error;
    }
  }

  truncate(sizeBytes: number): Promise<void> {
    return run(this.path, 'truncate', (done) => fs.ftruncate(this.#descriptor, sizeBytes, done));
  }

  close(): Promise<void> {
    return run(this.path, 'close', (done) => fs.close(this.#descriptor, done));
  }

  /** One system call, or a few where the parts are more than it takes (libuv cuts at IOV_MAX). */
  #writeOnce(parts: readonly Buffer[], position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const done = (error: NodeJS.ErrnoException | null, written: number): void => {
        if (error === null) resolve(written);
        else reject(diskError(error, this.path, 'write'));
      };
      if (parts.length === 1) fs.write(this.#descriptor, parts[0]!, 0, parts[0]!.length, position, done);
      else fs.writev(this.#descriptor, parts, position, done);
    });
  }
}

function totalBytes(parts: readonly Buffer[]): number {
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += part.length;
  return sizeBytes;
}

function withoutFirst(parts: readonly Buffer[], sizeBytes: number): Buffer[] {
  const rest: Buffer[] = [];
  let skip = sizeBytes;
  for (const part of parts) {
    if (skip < part.length) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}

type Failure = NodeJS.ErrnoException | null;

function call<T>(
  path: string,
  verb: string,
  start: (done: (error: Failure, value: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error === null) resolve(value);
      else reject(diskError(error, path, verb));
    });
  });
}

function run(path: string, verb: string, start: (done: (error: Failure) => void) => void): Promise<void> {
  return call<undefined>(path, verb, (done) => start((error) => done(error ?? null, undefined)));
}

const codes: Record<string, DiskErrorCode> = {
  ENOENT: 'not-found',
  ENOTDIR: 'not-found',
  EEXIST: 'exists',
  ENOTEMPTY: 'exists',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  EFBIG: 'no-space',
  EACCES: 'permission',
  EPERM: 'permission',
  EMFILE: 'too-many-open-files',
  ENFILE: 'too-many-open-files',
  EROFS: 'read-only',
};

function diskError(cause: NodeJS.ErrnoException, path: string, verb: string): DiskError {
  const code = codes[cause.code ?? ''] ?? 'io';
  return new DiskError(code, path, `Could not ${verb} ${path}: ${cause.message}.`, { cause });
}
