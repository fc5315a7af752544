/**
 * Reads the full segments of one data directory again and again, one after the other at a bounded rate, so that rot is found
 * while there is still another copy. It goes over the logs by name and over a log by offset, and starts over at the end: so
 * the next one is always the one that was read longest ago. Where it is survives a restart in the file `scrub-position`,
 * without which a node that is restarted often would read its first segments only.
 *
 * Whoever owns it calls `scrubNext` in a loop; calls do not overlap.
 */
import type { Clock } from '../../../platform/clock.ts';
import type { Disk } from '../../../platform/disk.ts';
import { readWholeFile, replaceFile } from '../../../platform/whole-files.ts';
import { scrubSegment } from './scrub-segment.ts';
import type { ScrubbedLog, ScrubOutcome } from './scrub-segment.ts';
import type { Segment } from '../segments/segment.ts';

export interface ScrubberOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** The data directory: `scrub-position` is there. */
  readonly directory: string;
  /** Asked before each read; 0 stops reading until it is more. */
  readonly bytesPerSecondMax: () => number;
}

/** For metrics; counts are of this process. */
export interface ScrubProgress {
  readonly bytes: number;
  readonly segments: number;
  readonly damagedSegments: number;
  /** Their index files were made again. */
  readonly repairedSegments: number;
  /** How often the end was reached. */
  readonly passes: number;
  /** What is being read, or was read last. */
  readonly directory: string | undefined;
  readonly baseOffset: number | undefined;
}

export interface Scrubbed {
  readonly log: ScrubbedLog;
  readonly segment: Segment;
  readonly outcome: ScrubOutcome;
}

interface Place {
  readonly name: string;
  readonly baseOffset: number;
}

const fileName = 'scrub-position';
const pattern = /^version: 0\nlog: ([^\n/]+)\nsegment: (\d{1,16})\n$/;
/** The file is not written more often. */
const savedEveryMs = 30_000;
/** Shorter waits are added up: timers of a fraction of a millisecond keep no rate. */
const waitMsMin = 5;
/** How long it waits before asking for the rate again, while that is 0. */
const idleMs = 1000;

export class Scrubber {
  readonly #options: ScrubberOptions;
  #last: Place | undefined;
  #savedMs = -Infinity;
  #isStopped = false;
  #wake: (() => void) | undefined;
  /** When what has been read so far may have been read by. */
  #dueMs = 0;
  readonly #progress = { bytes: 0, segments: 0, damagedSegments: 0, repairedSegments: 0, passes: 0 };

  private constructor(options: ScrubberOptions, last: Place | undefined) {
    this.#options = options;
    this.#last = last;
  }

  /** Goes on where the last process was; rejects with a DiskError. A position that cannot be read is the beginning. */
  static async open(options: ScrubberOptions): Promise<Scrubber> {
    const { disk, directory } = options;
    const path = `${directory}/${fileName}`;
    if (!(await disk.exists(path))) return new Scrubber(options, undefined);
    const [, name, baseOffset] = pattern.exec((await readWholeFile(disk, path)).toString('utf8')) ?? [];
    const last = name === undefined ? undefined : { name, baseOffset: Number(baseOffset) };
    return new Scrubber(options, last);
  }

  progress(): ScrubProgress {
    return { ...this.#progress, directory: this.#last?.name, baseOffset: this.#last?.baseOffset };
  }

  /** Reads the segment that is next among those of these logs; undefined where there is none, or after `stop`. Rejects with a DiskError. */
  async scrubNext(logs: Iterable<ScrubbedLog>): Promise<Scrubbed | undefined> {
    if (this.#isStopped) return undefined;
    const all = [...logs];
    let next = nextAfter(all, this.#last);
    if (next === undefined && this.#last !== undefined) {
      this.#progress.passes++;
      next = nextAfter(all, undefined);
    }
    if (next === undefined) return undefined;
    const { log, segment } = next;
    const outcome = await scrubSegment(log, segment, {
      disk: this.#options.disk,
      pace: (readBytes) => this.#pace(readBytes),
    });
    if (outcome.kind === 'stopped') return undefined;
    this.#last = { name: nameOf(log), baseOffset: segment.baseOffset };
    if (outcome.kind !== 'removed') this.#progress.segments++;
    if (outcome.kind === 'damaged') this.#progress.damagedSegments++;
    if (outcome.kind === 'repaired') this.#progress.repairedSegments++;
    if (this.#options.clock.monotonicMs() - this.#savedMs >= savedEveryMs) await this.#save();
    return { log, segment, outcome };
  }

  /** Ends a scrubNext that is under way, soon, and writes down where it was. Rejects with a DiskError. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#wake?.();
    await this.#save();
  }

  async #save(): Promise<void> {
    if (this.#last === undefined) return;
    this.#savedMs = this.#options.clock.monotonicMs();
    const { name, baseOffset } = this.#last;
    const text = `version: 0\nlog: ${name}\nsegment: ${baseOffset}\n`;
    await replaceFile(this.#options.disk, this.#options.directory, fileName, Buffer.from(text));
  }

  async #pace(readBytes: number): Promise<boolean> {
    const { clock } = this.#options;
    this.#progress.bytes += readBytes;
    let rate = this.#options.bytesPerSecondMax();
    while (!(rate > 0) && !this.#isStopped) {
      await this.#wait(idleMs);
      rate = this.#options.bytesPerSecondMax();
    }
    const nowMs = clock.monotonicMs();
    // What was not used is not saved up: a pause is not followed by a burst.
    this.#dueMs = Math.max(this.#dueMs, nowMs - waitMsMin) + (1000 * readBytes) / rate;
    if (this.#dueMs - nowMs >= waitMsMin && !this.#isStopped) await this.#wait(this.#dueMs - nowMs);
    return !this.#isStopped;
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(delayMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

/** The first full segment behind a place, by name of the log and then by offset. */
function nextAfter(
  logs: readonly ScrubbedLog[],
  place: Place | undefined,
): { readonly log: ScrubbedLog; readonly segment: Segment } | undefined {
  let best: { log: ScrubbedLog; segment: Segment; name: string } | undefined;
  for (const log of logs) {
    const name = nameOf(log);
    if ((place !== undefined && name < place.name) || (best !== undefined && name >= best.name)) continue;
    const from = place?.name === name ? place.baseOffset + 1 : 0;
    const segment = log.fullSegments().find(({ baseOffset }) => baseOffset >= from);
    if (segment !== undefined) best = { log, segment, name };
  }
  return best;
}

function nameOf(log: ScrubbedLog): string {
  return log.directory.slice(log.directory.lastIndexOf('/') + 1);
}
