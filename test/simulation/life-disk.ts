/** A simulated disk in the hands of one process: what each operation of platform/disk.ts does to the simulated files. */
import { DiskError } from '../../platform/disk.ts';
import type { Disk, DiskFile, DiskSpace, OpenMode } from '../../platform/disk.ts';
import type { Random } from '../../platform/random.ts';
import {
  applyDurably,
  applyNames,
  applySynced,
  losePages,
  newDirectory,
  newFile,
  truncateCached,
  writeCached,
} from './simulated-files.ts';
import type { DirectoryNode, FileNode, NameChange, Node } from './simulated-files.ts';

export type SimulatedOperation =
  | 'open'
  | 'list'
  | 'read'
  | 'write'
  | 'truncate'
  | 'sync'
  | 'rename'
  | 'remove'
  | 'sync-directory';

/** What an operation does to the page cache and the platter. */
export interface Effect<T> {
  readonly sizeBytes?: number;
  complete(): T;
  /** An error has been injected: what has happened nevertheless. */
  fail?(random: Random): void;
  /** The process dies while it is in flight. */
  interrupt?(random: Random): void;
}

export interface Access {
  run<T>(operation: SimulatedOperation, path: string, effect: Effect<T>): Promise<T>;
  nextSequence(): number;
  sequence(): number;
  /** Takes so much of the free space, or what there is. */
  grant(bytes: number): number;
  freeBytes(): number;
  opened(count: number): void;
  readsInParts(): boolean;
  readonly random: Random;
}

/** The disk in the hands of one process. */
export class LifeDisk implements Disk {
  readonly #access: Access;
  readonly #root: DirectoryNode;

  constructor(access: Access, root: DirectoryNode) {
    this.#access = access;
    this.#root = root;
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    const complete = (): DiskFile => {
      const { directory, name } = parentOf(this.#root, path);
      let node = directory.entries.get(name);
      if (node === undefined && mode === 'create') {
        node = newFile();
        this.#change(directory, [[name, node]]);
      }
      if (node === undefined) throw notFound(path, 'open');
      if (node.kind === 'directory')
        throw new DiskError('io', path, `Could not open ${path}: it is a directory.`);
      this.#access.opened(1);
      return new SimulatedFile(this.#access, node, { path, isReadOnly: mode === 'read' });
    };
    return this.#access.run('open', path, { complete });
  }

  exists(path: string): Promise<boolean> {
    return this.#access.run('list', path, { complete: () => find(this.#root, path) !== undefined });
  }

  sizeOf(path: string): Promise<number | undefined> {
    return this.#access.run('list', path, {
      complete: () => {
        const node = find(this.#root, path);
        return node?.kind === 'file' ? node.cache.sizeBytes : undefined;
      },
    });
  }

  list(directory: string): Promise<string[]> {
    return this.#access.run('list', directory, {
      complete: () => [...directoryAt(this.#root, directory).entries.keys()].sort(),
    });
  }

  makeDirectory(directory: string): Promise<boolean> {
    return this.#access.run('open', directory, {
      complete: () => {
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
      },
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#changeNames('rename', from, () => {
      const source = parentOf(this.#root, from);
      const target = parentOf(this.#root, to);
      const node = source.directory.entries.get(source.name);
      if (node === undefined) throw notFound(from, 'rename');
      if (source.directory === target.directory) {
        this.#change(source.directory, [
          [source.name, undefined],
          [target.name, node],
        ]);
        return;
      }
      this.#change(target.directory, [[target.name, node]]);
      const moved = { to: target.directory, name: target.name, node };
      this.#change(source.directory, [[source.name, undefined]], moved);
    });
  }

  remove(path: string): Promise<void> {
    return this.#changeNames('remove', path, () => {
      const { directory, name } = parentOf(this.#root, path);
      const node = directory.entries.get(name);
      if (node === undefined) throw notFound(path, 'remove');
      if (node.kind === 'directory')
        throw new DiskError('io', path, `Could not remove ${path}: it is a directory.`);
      this.#change(directory, [[name, undefined]]);
    });
  }

  removeDirectory(directory: string): Promise<void> {
    const removeFiles = (isDoomed: () => boolean): void => {
      const node = find(this.#root, directory);
      if (node?.kind !== 'directory') return;
      const names = [...node.entries.keys()];
      for (const name of names) if (isDoomed()) this.#change(node, [[name, undefined]]);
    };
    return this.#access.run('remove', directory, {
      complete: () => {
        if (find(this.#root, directory) === undefined) return;
        removeFiles(() => true);
        const parent = parentOf(this.#root, directory);
        this.#change(parent.directory, [[parent.name, undefined]]);
      },
      fail: (random) => removeFiles(() => random.below(2) === 0),
      interrupt: (random) => removeFiles(() => random.below(2) === 0),
    });
  }

  syncDirectory(directory: string): Promise<void> {
    const covered = this.#access.sequence();
    return this.#access.run('sync-directory', directory, {
      complete: () => {
        const node = directoryAt(this.#root, directory);
        const rest = node.pending.findIndex(({ sequence }) => sequence > covered);
        const count = rest < 0 ? node.pending.length : rest;
        for (const change of node.pending.splice(0, count)) applyDurably(node, change);
      },
    });
  }

  space(directory: string): Promise<DiskSpace> {
    return this.#access.run('list', directory, {
      complete: () => {
        directoryAt(this.#root, directory);
        return { totalBytes: 2 ** 40, usableBytes: Math.min(2 ** 40, this.#access.freeBytes()) };
      },
    });
  }

  #changeNames(operation: SimulatedOperation, path: string, change: () => void): Promise<void> {
    return this.#access.run(operation, path, {
      complete: change,
      interrupt: (random) => {
        // What could not have been done has not been done.
        if (random.below(2) === 0 && find(this.#root, path) !== undefined) change();
      },
    });
  }

  #change(directory: DirectoryNode, names: NameChange['names'], moved?: NameChange['moved']): void {
    applyNames(directory.entries, names);
    const sequence = this.#access.nextSequence();
    directory.pending.push(moved === undefined ? { sequence, names } : { sequence, names, moved });
  }
}

class SimulatedFile implements DiskFile {
  readonly path: string;
  readonly #access: Access;
  readonly #node: FileNode;
  readonly #isReadOnly: boolean;
  #isOpen = true;

  constructor(
    access: Access,
    node: FileNode,
    options: { readonly path: string; readonly isReadOnly: boolean },
  ) {
    this.path = options.path;
    this.#access = access;
    this.#node = node;
    this.#isReadOnly = options.isReadOnly;
  }

  size(): Promise<number> {
    return this.#run('list', { complete: () => this.#node.cache.sizeBytes });
  }

  async read(target: Buffer, position: number): Promise<number> {
    const isShort = target.length > 1 && this.#access.readsInParts();
    const firstBytes = isShort ? 1 + this.#access.random.below(target.length - 1) : target.length;
    const first = await this.#readOnce(target.subarray(0, firstBytes), position);
    if (first < firstBytes || !isShort) return first;
    return first + (await this.#readOnce(target.subarray(first), position + first));
  }

  write(parts: readonly Buffer[], position: number): Promise<void> {
    if (this.#isReadOnly)
      return Promise.reject(new DiskError('permission', this.path, `${this.path} is open for reading.`));
    let sizeBytes = 0;
    for (const part of parts) sizeBytes += part.length;
    const writeFirst = (bytes: number): void => {
      const taken = bytes === sizeBytes ? parts : [Buffer.concat(parts).subarray(0, bytes)];
      writeCached(this.#node, this.#access.nextSequence(), taken, position);
    };
    return this.#run('write', {
      sizeBytes,
      complete: () => {
        const growth = Math.max(0, position + sizeBytes - this.#node.cache.sizeBytes);
        const missing = growth - this.#access.grant(growth);
        writeFirst(sizeBytes - missing);
        if (missing > 0)
          throw new DiskError('no-space', this.path, `Could not write ${this.path}: the disk is full.`);
      },
      fail: (random) => writeFirst(random.below(sizeBytes + 1)),
      interrupt: (random) => writeFirst(random.below(sizeBytes + 1)),
    });
  }

  sync(): Promise<void> {
    const covered = this.#access.sequence();
    return this.#run('sync', {
      complete: () => applySynced(this.#node, covered),
      fail: (random) => losePages(this.#node, covered, random),
    });
  }

  truncate(sizeBytes: number): Promise<void> {
    const cut = (): void => truncateCached(this.#node, this.#access.nextSequence(), sizeBytes);
    return this.#run('truncate', {
      sizeBytes,
      complete: cut,
      interrupt: (random) => {
        if (random.below(2) === 0) cut();
      },
    });
  }

  close(): Promise<void> {
    if (this.#isOpen) this.#access.opened(-1);
    this.#isOpen = false;
    return Promise.resolve();
  }

  #readOnce(target: Buffer, position: number): Promise<number> {
    return this.#run('read', {
      sizeBytes: target.length,
      complete: () => this.#node.cache.read(target, position),
    });
  }

  #run<T>(operation: SimulatedOperation, effect: Effect<T>): Promise<T> {
    // A closed descriptor may belong to another file by now: using one is a mistake, never bad luck.
    if (!this.#isOpen)
      return Promise.reject(new Error(`${operation} of ${this.path}, which has been closed.`));
    return this.#access.run(operation, this.path, effect);
  }
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

export function find(root: DirectoryNode, path: string): Node | undefined {
  let node: Node | undefined = root;
  for (const name of namesOf(path)) node = node?.kind === 'directory' ? node.entries.get(name) : undefined;
  return node;
}

export function directoryAt(root: DirectoryNode, path: string): DirectoryNode {
  const node = find(root, path);
  if (node?.kind !== 'directory') throw notFound(path, 'find the directory');
  return node;
}

export function parentOf(root: DirectoryNode, path: string): { directory: DirectoryNode; name: string } {
  const names = namesOf(path);
  const name = names.pop();
  const directory = find(root, names.join('/'));
  if (name === undefined || directory?.kind !== 'directory') throw notFound(path, 'find');
  return { directory, name };
}

function notFound(path: string, verb: string): DiskError {
  return new DiskError('not-found', path, `Could not ${verb} ${path}: there is no such file or directory.`);
}
