/**
 * Removes the files of segments that were taken out of a log: renamed to `<name>.deleted` at once, removed after
 * `file.delete.delay.ms`, by when nobody has them open any more. Files that a stop or a crash leaves are removed when the log is
 * opened: nothing refers to a segment that has gone this way.
 */
import type { Clock, Timer } from '../../../platform/clock.ts';
import type { Disk } from '../../../platform/disk.ts';
import { segmentFiles, segmentPath } from './segment.ts';
import type { Segment } from './segment.ts';

export const deletedSuffix = '.deleted';

export interface SegmentDeletionOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly delayMs: () => number;
  /** A renamed file could not be removed: the next opening tries again. */
  readonly onError: (error: unknown) => void;
}

export class SegmentDeletion {
  readonly #options: SegmentDeletionOptions;
  /** Made when segments are deleted. */
  #timers: Set<Timer> | undefined;
  #removing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: SegmentDeletionOptions) {
    this.#options = options;
  }

  /**
   * Renames the segments' files. The log must do without them for good already, as after a crash any of these renames may
   * have happened or not. Rejects with a DiskError.
   */
  async rename(segments: readonly Segment[]): Promise<void> {
    const { disk, directory } = this.#options;
    const doomed: string[] = [];
    for (const { baseOffset } of segments) {
      for (const kind of segmentFiles) {
        const path = segmentPath(directory, baseOffset, kind);
        if (!(await disk.exists(path))) continue;
        await disk.rename(path, path + deletedSuffix);
        doomed.push(path + deletedSuffix);
      }
    }
    await disk.syncDirectory(directory);
    this.#removeLater(doomed);
  }

  /** Lets the files that are left be, for the next opening; resolves when none is being removed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers ?? []) timer.cancel();
    this.#timers = undefined;
    await this.#removing;
  }

  #removeLater(paths: readonly string[]): void {
    const { clock, delayMs, onError } = this.#options;
    if (this.#isClosed) return;
    const timers = (this.#timers ??= new Set());
    const timer = clock.after(Math.max(0, delayMs()), () => {
      timers.delete(timer);
      this.#removing = this.#removing.then(() => this.#remove(paths)).catch(onError);
    });
    timers.add(timer);
  }

  async #remove(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      // A segment of this name may have gone the same way meanwhile, and its file was this one's last link.
      if (!this.#isClosed && (await this.#options.disk.exists(path))) await this.#options.disk.remove(path);
    }
  }
}
