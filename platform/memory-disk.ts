/**
 * A disk in memory: for `storage: 'memory'`, where nothing is meant to survive the process, and for tests and simulation,
 * where it also keeps account of what a crash would lose. With a `crashes` source, `crash()` throws away what was not synced:
 * each unsynced sector of a file is kept or lost by chance (so that writes are torn and appear out of order), and of each
 * directory's unsynced names only the first few are kept. What was synced is never harmed.
 */
import {
  DiskError,
  type Disk,
  type DiskErrorCode,
  type DiskFile,
  type DiskSpace,
  type OpenMode,
} from './disk.ts';
import { PagedBytes } from './paged-bytes.ts';
import type { Random } from './random.ts';

export type DiskOperation =
  | 'open'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'remove'
  | 'sync-directory';

export interface MemoryDiskOptions {
  /** Decides what a crash loses. Without it the disk keeps no account of what is unsynced and cannot crash. */
  readonly crashes?: Random;
  /** Bytes of all files; a write beyond it fails with 'no-space' after a part of it. */
  readonly capacityBytes?: number;
  /** Asked before each operation: the code it fails with, or undefined to let it pass. */
  readonly faults?: (operation: DiskOperation, path: string) => DiskErrorCode | undefined;
  /** How long an operation takes; its effect is there at once, its completion (and a sync's) afterwards. */
  readonly delay?: (operation: DiskOperation, path: string) => Promise<void>;
}

const sectorBytes = 512;
/** What `space` answers for a disk without a capacity. */
const defaultCapacityBytes = 64 * 1024 * 1024 * 1024;

interface FileNode {
  readonly kind: 'file';
  readonly content: PagedBytes;
  /** Only with `crashes`: what is on the platter, and what has happened since. */
  readonly durable: PagedBytes;
  unsynced: FileChange[];
}

type FileChange =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly sizeBytes: number };

interface DirectoryNode {
  readonly kind: 'directory';
  readonly entries: Map<string, Node>;
  readonly durable: Map<string, Node>;
  unsynced: DirectoryChange[];
}

/** Names set and removed together: a rename within one directory is one change. */
type DirectoryChange = readonly (readonly [name: string, node: Node | undefined])[];

type Node = FileNode | DirectoryNode;

/** The files of a disk, as it hands them to its successor. */
export type Platter = DirectoryNode;

export class MemoryDisk implements Disk {
  readonly #options: MemoryDiskOptions;
  readonly #root: DirectoryNode;
  /** Set by a crash: whoever still holds this disk lived before it, and gets nothing done any more. */
  #hasCrashed = false;
  #usedBytes: number;

  /** `platter` is what an earlier disk leaves behind; see `crash`. */
  constructor(options: MemoryDiskOptions = {}, platter: Platter = newDirectory()) {
    this.#options = options;
    this.#root = platter;
    this.#usedBytes = sizeOf(platter);
  }

  /** Bytes of all files. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.#begin('open', path);
    const { directory, name } = this.#parentOf(path);
    let node = directory.entries.get(name);
    if (node === undefined && mode === 'create') {
      node = { kind: 'file', content: new PagedBytes(), durable: new PagedBytes(), unsynced: [] };
      this.#change(directory, [[name, node]]);
    }
    if (node === undefined) throw notFound(path, 'open');
    if (node.kind === 'directory')
      throw new DiskError('io', path, `Could not open ${path}: it is a directory.`);
    return new MemoryFile(this.#access(path, mode === 'read'), node);
  }

  async exists(path: string): Promise<boolean> {
    await this.#begin('open', path);
    return this.#find(path) !== undefined;
  }

  async sizeOf(path: string): Promise<number | undefined> {
    await this.#begin('open', path);
    const node = this.#find(path);
    return node?.kind === 'file' ? node.content.sizeBytes : undefined;
  }

  async list(directory: string): Promise<string[]> {
    await this.#begin('open', directory);
    return [...this.#directoryAt(directory).entries.keys()].sort();
  }

  async makeDirectory(directory: string): Promise<boolean> {
    await this.#begin('open', directory);
    let isNew = false;
    let node = this.#root;
    for (const name of namesOf(directory)) {
      let next = node.entries.get(name);
      isNew = next === undefined;
      if (next === undefined) {
        next = newDirectory();
        this.#change(node, [[name, next]]);
      }
      if (next.kind === 'file')
        throw new DiskError('exists', directory, `Could not make ${directory}: ${name} is a file.`);
      node = next;
    }
    return isNew;
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin('rename', from);
    const source = this.#parentOf(from);
    const target = this.#parentOf(to);
    const node = source.directory.entries.get(source.name);
    if (node === undefined) throw notFound(from, 'rename');
    const replaced = target.directory.entries.get(target.name);
    if (replaced?.kind === 'file') this.#usedBytes -= replaced.content.sizeBytes;
    if (source.directory === target.directory) {
      this.#change(source.directory, [
        [source.name, undefined],
        [target.name, node],
      ]);
    } else {
      this.#change(target.directory, [[target.name, node]]);
      this.#change(source.directory, [[source.name, undefined]]);
    }
  }

  async remove(path: string): Promise<void> {
    await this.#begin('remove', path);
    const { directory, name } = this.#parentOf(path);
    const node = directory.entries.get(name);
    if (node === undefined) throw notFound(path, 'remove');
    if (node.kind === 'directory')
      throw new DiskError('io', path, `Could not remove ${path}: it is a directory.`);
    this.#usedBytes -= node.content.sizeBytes;
    this.#change(directory, [[name, undefined]]);
  }

  async removeDirectory(directory: string): Promise<void> {
    await this.#begin('remove', directory);
    const node = this.#find(directory);
    if (node === undefined) return;
    this.#usedBytes -= sizeOf(node);
    const parent = this.#parentOf(directory);
    this.#change(parent.directory, [[parent.name, undefined]]);
  }

  async syncDirectory(directory: string): Promise<void> {
    if (this.#hasCrashed) throw crashed(directory);
    const node = this.#directoryAt(directory);
    const synced = new Set(node.unsynced);
    await this.#begin('sync-directory', directory);
    if (this.#hasCrashed) throw crashed(directory);
    for (const change of node.unsynced) if (synced.has(change)) applyNames(node.durable, change);
    node.unsynced = node.unsynced.filter((change) => !synced.has(change));
  }

  /** Without a capacity it has what a small machine has, less what is used. */
  async space(directory: string): Promise<DiskSpace> {
    await this.#begin('open', directory);
    this.#directoryAt(directory);
    const totalBytes = this.#options.capacityBytes ?? defaultCapacityBytes;
    return { totalBytes, usableBytes: Math.max(0, totalBytes - this.#usedBytes) };
  }

  /**
   * The machine stops here and starts again, with what the disk returned holds: what was not synced is lost or torn. This
   * disk and its open files fail from now on, so that nothing of the life before the crash can act in the one after it.
   */
  crash(): MemoryDisk {
    const random = this.#options.crashes;
    if (random === undefined) throw new Error('A MemoryDisk without a `crashes` source cannot crash.');
    this.#hasCrashed = true;
    crashDirectory(this.#root, random);
    return new MemoryDisk(this.#options, this.#root);
  }

  /** The process dies and another one starts: nothing is lost, not even what is unsynced, but this disk is dead as after a crash. */
  kill(): MemoryDisk {
    this.#hasCrashed = true;
    return new MemoryDisk(this.#options, this.#root);
  }

  /** Flips one bit of a file, on the platter and in what is read: bit rot. */
  flipBit(path: string, position: number, bit: number): void {
    const node = this.#find(path);
    if (node?.kind !== 'file') throw notFound(path, 'flip a bit of');
    for (const content of [node.content, node.durable]) {
      const byte = Buffer.alloc(1);
      if (content.read(byte, position) === 1) content.write(Buffer.from([byte[0]! ^ (1 << bit)]), position);
    }
  }

  #access(path: string, isReadOnly: boolean): FileAccess {
    return {
      path,
      isReadOnly,
      isDead: () => this.#hasCrashed,
      begin: (operation) => this.#begin(operation, path),
      keepsAccount: this.#options.crashes !== undefined,
      grow: (byBytes) => {
        const room = (this.#options.capacityBytes ?? Infinity) - this.#usedBytes;
        const granted = Math.min(byBytes, room);
        this.#usedBytes += granted;
        return granted;
      },
    };
  }

  async #begin(operation: DiskOperation, path: string): Promise<void> {
    if (this.#hasCrashed) throw crashed(path);
    const code = this.#options.faults?.(operation, path);
    await this.#options.delay?.(operation, path);
    if (this.#hasCrashed) throw crashed(path);
    if (code !== undefined)
      throw new DiskError(code, path, `Could not ${operation} ${path}: injected fault.`);
  }

  #change(directory: DirectoryNode, change: DirectoryChange): void {
    // The crash may have come between the end of the delay and the turn in which the effect takes place.
    if (this.#hasCrashed) throw crashed(change[0]?.[0] ?? '');
    applyNames(directory.entries, change);
    if (this.#options.crashes !== undefined) directory.unsynced.push(change);
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of namesOf(path)) {
      node = node?.kind === 'directory' ? node.entries.get(name) : undefined;
    }
    return node;
  }

  #directoryAt(path: string): DirectoryNode {
    const node = this.#find(path);
    if (node?.kind !== 'directory') throw notFound(path, 'find the directory');
    return node;
  }

  #parentOf(path: string): { directory: DirectoryNode; name: string } {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) throw notFound(path, 'find');
    const directory = this.#find(names.join('/'));
    if (directory?.kind !== 'directory') throw notFound(path, 'find');
    return { directory, name };
  }
}

interface FileAccess {
  readonly path: string;
  readonly isReadOnly: boolean;
  readonly keepsAccount: boolean;
  isDead(): boolean;
  begin(operation: DiskOperation): Promise<void>;
  /** Takes this many bytes of the disk's capacity, or what there is; gives them back where negative. */
  grow(byBytes: number): number;
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #access: FileAccess;
  readonly #node: FileNode;
  #syncFailure: unknown;

  constructor(access: FileAccess, node: FileNode) {
    this.path = access.path;
    this.#access = access;
    this.#node = node;
  }

  async size(): Promise<number> {
    await this.#access.begin('open');
    return this.#node.content.sizeBytes;
  }

  async read(target: Buffer, position: number): Promise<number> {
    await this.#access.begin('read');
    return this.#node.content.read(target, position);
  }

  async write(parts: readonly Buffer[], position: number): Promise<void> {
    if (this.#access.isReadOnly)
      throw new DiskError('permission', this.path, `${this.path} is open for reading.`);
    if (this.#access.isDead()) throw crashed(this.path);
    let at = position;
    for (const part of parts) {
      const growth = Math.max(0, at + part.length - this.#node.content.sizeBytes);
      const missing = growth - this.#access.grow(growth);
      const taken = part.subarray(0, part.length - missing);
      this.#node.content.write(taken, at);
      if (this.#access.keepsAccount)
        this.#node.unsynced.push({ kind: 'write', position: at, bytes: Buffer.from(taken) });
      at += taken.length;
      if (missing > 0)
        throw new DiskError('no-space', this.path, `Could not write ${this.path}: the disk is full.`);
    }
    await this.#access.begin('write');
  }

  async sync(): Promise<void> {
    if (this.#syncFailure !== undefined) throw this.#syncFailure;
    const synced = this.#node.unsynced.slice();
    try {
      await this.#access.begin('sync');
    } catch (error) {
      this.#syncFailure = error;
      throw error;
    }
    if (this.#access.isDead()) throw crashed(this.path);
    const done = new Set(synced);
    for (const change of synced) applyChange(this.#node.durable, change);
    this.#node.unsynced = this.#node.unsynced.filter((change) => !done.has(change));
  }

  async truncate(sizeBytes: number): Promise<void> {
    if (this.#access.isDead()) throw crashed(this.path);
    const growth = sizeBytes - this.#node.content.sizeBytes;
    if (this.#access.grow(growth) < growth) {
      throw new DiskError('no-space', this.path, `Could not extend ${this.path}: the disk is full.`);
    }
    this.#node.content.truncate(sizeBytes);
    if (this.#access.keepsAccount) this.#node.unsynced.push({ kind: 'truncate', sizeBytes });
    await this.#access.begin('truncate');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function newDirectory(): DirectoryNode {
  return { kind: 'directory', entries: new Map(), durable: new Map(), unsynced: [] };
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

function applyNames(names: Map<string, Node>, change: DirectoryChange): void {
  for (const [name, node] of change) {
    if (node === undefined) names.delete(name);
    else names.set(name, node);
  }
}

function applyChange(content: PagedBytes, change: FileChange): void {
  if (change.kind === 'truncate') content.truncate(change.sizeBytes);
  else content.write(change.bytes, change.position);
}

function crashDirectory(directory: DirectoryNode, random: Random): void {
  const kept = random.below(directory.unsynced.length + 1);
  for (const change of directory.unsynced.slice(0, kept)) applyNames(directory.durable, change);
  directory.unsynced = [];
  directory.entries.clear();
  for (const [name, node] of directory.durable) {
    directory.entries.set(name, node);
    if (node.kind === 'directory') crashDirectory(node, random);
    else crashFile(node, random);
  }
}

function crashFile(file: FileNode, random: Random): void {
  // How much of what is unsynced makes it: nothing, half, nearly all or all of it.
  const keepOf8 = [0, 4, 7, 8][random.below(4)]!;
  for (const change of file.unsynced) {
    if (change.kind === 'truncate') {
      if (random.below(8) < keepOf8) applyChange(file.durable, change);
      continue;
    }
    for (const { from, to } of sectorsOf(change.position, change.bytes.length)) {
      if (random.below(8) >= keepOf8) continue;
      file.durable.write(change.bytes.subarray(from - change.position, to - change.position), from);
    }
  }
  file.unsynced = [];
  file.content.become(file.durable);
}

/** The pieces of a write that lie in one sector each. */
function sectorsOf(position: number, sizeBytes: number): { from: number; to: number }[] {
  const pieces: { from: number; to: number }[] = [];
  const end = position + sizeBytes;
  for (let from = position; from < end;) {
    const to = Math.min(end, (Math.floor(from / sectorBytes) + 1) * sectorBytes);
    pieces.push({ from, to });
    from = to;
  }
  return pieces;
}

function sizeOf(node: Node): number {
  if (node.kind === 'file') return node.content.sizeBytes;
  let sizeBytes = 0;
  for (const entry of node.entries.values()) sizeBytes += sizeOf(entry);
  return sizeBytes;
}

function notFound(path: string, verb: string): DiskError {
  return new DiskError('not-found', path, `Could not ${verb} ${path}: there is no such file or directory.`);
}

function crashed(path: string): DiskError {
  return new DiskError('io', path, `Could not go on with ${path}: the machine has crashed.`);
}
