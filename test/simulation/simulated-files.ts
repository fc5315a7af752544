/**
 * The files of a simulated disk: what the page cache shows, what is on the platter, and the changes in between. Pure state;
 * SimulatedDisk decides when things happen. simulated-disk.ts says which losses are possible and why they are fair.
 */
import { PagedBytes } from '../../platform/paged-bytes.ts';
import type { Random } from '../../platform/random.ts';

/** A disk writes a sector whole or not at all, most of the time; see `tear`. */
const sectorBytes = 512;

export interface FileNode {
  readonly kind: 'file';
  /** What reads see. */
  readonly cache: PagedBytes;
  readonly platter: PagedBytes;
  /** In the cache and not known to be on the platter, oldest first. */
  pending: FileChange[];
  /** A failed sync has left bytes in the cache that will never be written. */
  hasLostPages: boolean;
}

interface Piece {
  readonly position: number;
  readonly bytes: Buffer;
}

export type FileChange =
  | {
      readonly kind: 'write';
      readonly sequence: number;
      /** What of it can still reach the platter: all, until a sync has failed. */
      readonly pieces: readonly Piece[];
      readonly endBytes: number;
    }
  | { readonly kind: 'truncate'; readonly sequence: number; readonly sizeBytes: number };

export interface DirectoryNode {
  readonly kind: 'directory';
  readonly entries: Map<string, Node>;
  readonly durable: Map<string, Node>;
  pending: NameChange[];
}

/** Names set and removed together: a rename is one change. */
export interface NameChange {
  readonly sequence: number;
  readonly names: readonly (readonly [name: string, node: Node | undefined])[];
  /** A name went to another directory: it never goes from here without being there. */
  readonly moved?: { readonly to: DirectoryNode; readonly name: string; readonly node: Node };
}

/** A directory's change is on the platter. */
export function applyDurably(directory: DirectoryNode, { names, moved }: NameChange): void {
  if (moved !== undefined && moved.to.entries.get(moved.name) === moved.node) {
    moved.to.durable.set(moved.name, moved.node);
  }
  applyNames(directory.durable, names);
}

export type Node = FileNode | DirectoryNode;

export function newFile(): FileNode {
  return {
    kind: 'file',
    cache: new PagedBytes(),
    platter: new PagedBytes(),
    pending: [],
    hasLostPages: false,
  };
}

export function newDirectory(): DirectoryNode {
  return { kind: 'directory', entries: new Map(), durable: new Map(), pending: [] };
}

/** A write has reached the page cache; its bytes are copied. */
export function writeCached(
  file: FileNode,
  sequence: number,
  parts: readonly Buffer[],
  position: number,
): void {
  const bytes = Buffer.concat(parts);
  file.cache.write(bytes, position);
  if (bytes.length === 0) return;
  const endBytes = position + bytes.length;
  file.pending.push({ kind: 'write', sequence, pieces: [{ position, bytes }], endBytes });
}

export function truncateCached(file: FileNode, sequence: number, sizeBytes: number): void {
  file.cache.truncate(sizeBytes);
  file.pending.push({ kind: 'truncate', sequence, sizeBytes });
}

/** Changes up to `sequence` are on the platter now. */
export function applySynced(file: FileNode, sequence: number): void {
  const rest = file.pending.findIndex((change) => change.sequence > sequence);
  const count = rest < 0 ? file.pending.length : rest;
  for (const change of file.pending.splice(0, count)) applyChange(file.platter, change);
}

/** A sync has failed: the pages count as clean, whether they were written or not. */
export function losePages(file: FileNode, sequence: number, random: Random): void {
  const keepOf8 = random.below(9);
  file.pending = file.pending.map((change) => {
    if (change.sequence > sequence || change.kind === 'truncate') return change;
    const sectors = change.pieces.flatMap(sectorsOf);
    const pieces = sectors.filter(() => random.below(8) < keepOf8);
    if (pieces.length < sectors.length) file.hasLostPages = true;
    return { ...change, pieces };
  });
}

/** The page cache drops clean pages: what a failed sync has lost is seen no more. */
export function evict(file: FileNode): void {
  if (!file.hasLostPages) return;
  file.cache.become(file.platter);
  for (const change of file.pending) applyChange(file.cache, change);
  file.hasLostPages = false;
}

/** Told of each thing that a loss of power takes. */
export type CountLoss = (loss: 'lost sector' | 'torn sector' | 'lost name') => void;

/** Power is lost: some of what is pending is on the platter, and the cache is empty. */
export function losePower(file: FileNode, random: Random, count: CountLoss): void {
  const { platter, pending } = file;
  if (pending.length === 0 && !file.hasLostPages) return;
  // How far the file system's journal had come: sizes and truncations before that point hold, later ones do not.
  const journaled = [0, pending.length, random.below(pending.length + 1)][random.below(3)]!;
  const keepOf8 = [0, 4, 7, 8][random.below(4)]!;
  let sizeBytes = platter.sizeBytes;
  for (const [place, change] of pending.entries()) {
    const isJournaled = place < journaled;
    if (change.kind === 'truncate') {
      if (!isJournaled) continue;
      platter.truncate(change.sizeBytes);
      sizeBytes = change.sizeBytes;
      continue;
    }
    for (const sector of change.pieces.flatMap(sectorsOf)) {
      if (random.below(8) >= keepOf8) {
        count('lost sector');
        continue;
      }
      const bytes = tear(sector.bytes, random);
      if (bytes.length < sector.bytes.length) count('torn sector');
      platter.write(bytes, sector.position);
    }
    if (isJournaled) sizeBytes = Math.max(sizeBytes, change.endBytes);
  }
  if (platter.sizeBytes !== sizeBytes) platter.truncate(sizeBytes);
  file.pending = [];
  file.hasLostPages = false;
  file.cache.become(platter);
}

/** Which of a directory's unsynced names are on the platter after a loss of power. */
export function losePowerOfNames(directory: DirectoryNode, random: Random, count: CountLoss): void {
  const keepOf8 = [0, 4, 8][random.below(3)]!;
  // A change can only hold if all earlier ones to the same names and files do: they are in one journal.
  const lost = new Set<string | Node>();
  for (const { names, moved } of directory.pending) {
    const touched = names.flatMap(([name, node]) => (node === undefined ? [name] : [name, node]));
    const isThere = moved === undefined || moved.to.durable.get(moved.name) === moved.node;
    const isKept = random.below(8) < keepOf8 && isThere && !touched.some((part) => lost.has(part));
    if (isKept) {
      applyNames(directory.durable, names);
      continue;
    }
    count('lost name');
    for (const part of touched) lost.add(part);
  }
  directory.pending = [];
  directory.entries.clear();
  for (const [name, node] of directory.durable) directory.entries.set(name, node);
}

export function applyNames(target: Map<string, Node>, names: NameChange['names']): void {
  for (const [name, node] of names) {
    if (node === undefined) target.delete(name);
    else target.set(name, node);
  }
}

/** The names below a directory, deepest last, with what they stand for. */
export function* walk(directory: DirectoryNode, path = ''): Generator<[path: string, node: Node]> {
  for (const [name, node] of directory.entries) {
    yield [`${path}/${name}`, node];
    if (node.kind === 'directory') yield* walk(node, `${path}/${name}`);
  }
}

function applyChange(target: PagedBytes, change: FileChange): void {
  if (change.kind === 'truncate') {
    target.truncate(change.sizeBytes);
    return;
  }
  for (const { position, bytes } of change.pieces) target.write(bytes, position);
  if (target.sizeBytes < change.endBytes) target.truncate(change.endBytes);
}

function sectorsOf({ position, bytes }: Piece): Piece[] {
  const end = position + bytes.length;
  const sectors: Piece[] = [];
  for (let from = position; from < end;) {
    const to = Math.min(end, (Math.floor(from / sectorBytes) + 1) * sectorBytes);
    sectors.push({ position: from, bytes: bytes.subarray(from - position, to - position) });
    from = to;
  }
  return sectors;
}

/** Now and then a sector is not written whole either: its first bytes are new. */
function tear(bytes: Buffer, random: Random): Buffer {
  return random.below(32) === 0 ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
}
