/**
 * Files, as the log sees them: positional reads and writes, explicit syncs, directories synced on their own.
 * Every failure rejects with a DiskError. Nothing is durable before `sync` (for a file's bytes) and
 * `syncDirectory` (for names made, renamed or removed in it) have resolved.
 */
export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  exists(path: string): Promise<boolean>;
  /** Bytes of a file, without opening it; undefined where there is none. */
  sizeOf(path: string): Promise<number | undefined>;
  /** Names in a directory, sorted; rejects with code 'not-found' where there is none. */
  list(directory: string): Promise<string[]>;
  /** Makes it and its missing parents; false where it exists. */
  makeDirectory(directory: string): Promise<boolean>;
  rename(from: string, to: string): Promise<void>;
  /** Removes one file. */
  remove(path: string): Promise<void>;
  /** Removes a directory with all that is in it; fine where it does not exist. */
  removeDirectory(directory: string): Promise<void>;
  syncDirectory(directory: string): Promise<void>;
  /** Of the file system that the directory lies on. */
  space(directory: string): Promise<DiskSpace>;
}

export interface DiskSpace {
  readonly totalBytes: number;
  /** What this user may still write. */
  readonly usableBytes: number;
}

/** 'read': must exist. 'write': must exist, read and write. 'create': read and write, made where missing. */
export type OpenMode = 'read' | 'write' | 'create';

export interface DiskFile {
  readonly path: string;
  size(): Promise<number>;
  /** Fills `target` from `position`; resolves with the bytes read, fewer than asked only at the end of the file. */
  read(target: Buffer, position: number): Promise<number>;
  /** Writes all of `parts` one after the other from `position`. A failure may leave any prefix written. */
  write(parts: readonly Buffer[], position: number): Promise<void>;
  /** Makes all that was written before the call durable (fdatasync). A failure is final for this file. */
  sync(): Promise<void>;
  /** Cuts or extends with zeros. */
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

export type DiskErrorCode =
  | 'not-found'
  | 'exists'
  | 'no-space'
  | 'permission'
  | 'too-many-open-files'
  | 'read-only'
  | 'io';

export class DiskError extends Error {
  readonly code: DiskErrorCode;
  readonly path: string;

  constructor(code: DiskErrorCode, path: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'DiskError';
    this.code = code;
    this.path = path;
  }
}
