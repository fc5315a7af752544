/**
 * Copies the log of a replica into another data directory of the node, beside the work that goes on in it. What is copied while the log
 * is open are bytes of segments that are durable; a segment is only ever appended to, and one that was cut, cleaned, or came from
 * another node is another object, so that what was copied of it is thrown away. The rest, and all other files, are copied when the log is closed.
 */
import { assert } from '../../../platform/assert.ts';
import type { Clock } from '../../../platform/clock.ts';
import { DiskError } from '../../../platform/disk.ts';
import type { Disk, DiskFile } from '../../../platform/disk.ts';
import { replacementName, stagingDirectory } from '../../log/log-replacement.ts';
import type { Segment } from '../../log/segments/segment.ts';
import { memberFileName } from './member-file.ts';
import type { MovePace } from './move-pace.ts';

/** What of a log is used. */
export interface MovableLog {
  readonly directory: string;
  readonly sizeBytes: number;
  readonly logEndOffset: number;
  /** All, oldest first; the last is appended to. */
  allSegments(): readonly Segment[];
  /** Resolves when all that is appended now is durable. */
  flushed(): Promise<void>;
}

export interface FutureCopyOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: MovableLog;
  /** Where the copy is made. */
  readonly directory: string;
  readonly pace: Pick<MovePace, 'charge'>;
  /** Asked before every piece. */
  readonly isWanted: () => boolean;
}

/** The copy is not to be made any more, or the log is not to be read. */
export class MoveCalledOff extends Error {
  constructor(reason = 'it was called off') {
    super(reason);
    this.name = 'MoveCalledOff';
  }
}

interface Copied {
  bytes: number;
  hasIndexes: boolean;
}

const pieceBytes = 256 * 1024;
/** Files that mean nothing any more, or not yet. */
const passingPattern = /\.(deleted|cleaned|tmp)$/;

export class FutureCopy {
  readonly #options: FutureCopyOptions;
  readonly #copied = new Map<Segment, Copied>();
  /** The offset up to which all was copied at the last round. */
  #endOffset = -1;

  constructor(options: FutureCopyOptions) {
    this.#options = options;
  }

  /** Of segments. */
  get sizeBytes(): number {
    let bytes = 0;
    for (const copied of this.#copied.values()) bytes += copied.bytes;
    return bytes;
  }

  /** Offsets that the log has and the copy lacks, about. */
  get lag(): number {
    const { log } = this.#options;
    const start = log.allSegments()[0]?.baseOffset ?? 0;
    return Math.max(0, log.logEndOffset - Math.max(start, this.#endOffset));
  }

  /** Begins with nothing. Rejects with a DiskError. */
  async begin(): Promise<void> {
    const { disk, directory } = this.#options;
    await disk.removeDirectory(directory);
    await disk.makeDirectory(directory);
  }

  /**
   * Copies what is durable now and was not copied yet; resolves with how many bytes that was. Rejects with a MoveCalledOff or a
   * DiskError.
   */
  async round(): Promise<number> {
    const { log } = this.#options;
    const ends = log.allSegments().map((segment) => ({ segment, endBytes: segment.appendedBytes }));
    const endOffset = log.logEndOffset;
    await log.flushed();
    await this.#forgetOthers();
    let bytes = 0;
    for (const { segment, endBytes } of ends) {
      if (!segment.isCurrent) continue;
      bytes += await this.#copySegment(segment, endBytes, true);
      await this.#copyIndexes(segment);
    }
    this.#endOffset = endOffset;
    return bytes;
  }

  /** The log is closed: copies all that is left. The copy is whole and durable, but for its name. Rejects as `round`. */
  async finish(): Promise<void> {
    const { disk, directory, log } = this.#options;
    await this.#forgetOthers();
    const done = new Set([memberFileName, nameOf(stagingDirectory(log.directory))]);
    for (const segment of log.allSegments()) {
      await this.#copySegment(segment, segment.appendedBytes, false);
      done.add(nameOf(segment.path));
      if (this.#copied.get(segment)?.hasIndexes !== true) continue;
      for (const path of [segment.offsetIndexPath, segment.timeIndexPath]) done.add(nameOf(path));
    }
    const names = await disk.list(log.directory);
    if (names.includes(replacementName)) throw new MoveCalledOff('another log is about to take its place');
    for (const name of names) {
      if (!done.has(name) && !passingPattern.test(name)) await this.#copyWhole(name);
    }
    await disk.syncDirectory(directory);
  }

  /** Segments that are no more in the log, and what was copied of them. */
  async #forgetOthers(): Promise<void> {
    const { disk, directory, log } = this.#options;
    const present = new Set(log.allSegments());
    for (const segment of this.#copied.keys()) {
      if (present.has(segment)) continue;
      this.#copied.delete(segment);
      for (const path of [segment.path, segment.offsetIndexPath, segment.timeIndexPath]) {
        const copy = `${directory}/${nameOf(path)}`;
        if (await disk.exists(copy)) await disk.remove(copy);
      }
    }
  }

  async #copySegment(segment: Segment, endBytes: number, isOpen: boolean): Promise<number> {
    let copied = this.#copied.get(segment);
    if (copied === undefined) {
      copied = { bytes: 0, hasIndexes: false };
      this.#copied.set(segment, copied);
    }
    const beginBytes = copied.bytes;
    if (endBytes <= beginBytes && beginBytes > 0) return 0;
    const source = await this.#openIfThere(segment.path);
    if (source === undefined) {
      assert(isOpen && !segment.isCurrent, 'a segment of the log has its file');
      return 0;
    }
    try {
      await this.#copyRange(source, nameOf(segment.path), { copied, endBytes, isOpen });
    } finally {
      await source.close();
    }
    return copied.bytes - beginBytes;
  }

  async #copyRange(
    source: DiskFile,
    name: string,
    { copied, endBytes, isOpen }: { copied: Copied; endBytes: number; isOpen: boolean },
  ): Promise<void> {
    const { disk, clock, directory, isWanted, pace } = this.#options;
    const target = await disk.open(`${directory}/${name}`, 'create');
    try {
      if (copied.bytes === 0) await target.truncate(0);
      while (copied.bytes < endBytes) {
        if (isOpen && !isWanted()) throw new MoveCalledOff();
        const beganMs = clock.monotonicMs();
        const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, endBytes - copied.bytes));
        const sizeBytes = await source.read(piece, copied.bytes);
        // It is being cut: the next round finds another segment in its place.
        if (sizeBytes < piece.length) {
          if (isOpen) break;
          throw new DiskError('io', source.path, `${source.path} is shorter than its log says`);
        }
        await target.write([piece], copied.bytes);
        copied.bytes += sizeBytes;
        // Else the operating system gathers what it has to write until the sync at the end, which then holds up everybody's.
        await target.sync();
        if (isOpen) await pace.charge(sizeBytes, clock.monotonicMs() - beganMs, isWanted);
      }
      await target.sync();
    } finally {
      await target.close();
    }
  }

  /** Those of a full segment do not change any more. */
  async #copyIndexes(segment: Segment): Promise<void> {
    const copied = this.#copied.get(segment);
    if (!segment.isFull || copied === undefined || copied.hasIndexes) return;
    for (const path of [segment.offsetIndexPath, segment.timeIndexPath]) {
      if (!segment.isCurrent || !(await this.#copyWhole(nameOf(path)))) return;
    }
    copied.hasIndexes = segment.isCurrent;
  }

  /** False where there is no such file. */
  async #copyWhole(name: string): Promise<boolean> {
    const { disk, directory, log } = this.#options;
    const source = await this.#openIfThere(`${log.directory}/${name}`);
    if (source === undefined) return false;
    const target = await disk.open(`${directory}/${name}`, 'create').catch(async (error: unknown) => {
      await source.close();
      throw error;
    });
    try {
      await target.truncate(0);
      for (let position = 0; ;) {
        const piece = Buffer.allocUnsafeSlow(pieceBytes);
        const sizeBytes = await source.read(piece, position);
        if (sizeBytes > 0) await target.write([piece.subarray(0, sizeBytes)], position);
        position += sizeBytes;
        if (sizeBytes < pieceBytes) break;
      }
      await target.sync();
    } finally {
      await source.close();
      await target.close();
    }
    return true;
  }

  async #openIfThere(path: string): Promise<DiskFile | undefined> {
    try {
      return await this.#options.disk.open(path, 'read');
    } catch (error) {
      if (error instanceof DiskError && error.code === 'not-found') return undefined;
      throw error;
    }
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
