/**
 * How one group gets on in one partition: what was produced and what was read (committed) over the last minutes, and what that says of
 * the time to come. Pure; times are monotonic milliseconds, rates are records a second.
 */
export interface ProgressSample {
  readonly atMs: number;
  /** The next offset to read. */
  readonly committed: number;
  /** One past the last committed record of the log. */
  readonly end: number;
}

export interface Rates {
  readonly produced: number;
  readonly consumed: number;
}

/** Whether more is left to read now than at the beginning of the window. */
export type Trend = 'growing' | 'steady' | 'shrinking';

/** Over how long rates are taken, at most. */
export const windowMs = 300_000;
/** Samples in between are for the window to move on in small steps. */
const samplesMax = 6;
/** A lag that changes by less than this part of itself is steady. */
const steadyPart = 0.05;

export class PartitionProgress {
  /** Oldest first; the last one is the present. */
  #samples: ProgressSample[] = [];

  /** Offsets that go back are of a group that was reset, or of another topic of the name: what was before says nothing then. */
  note(sample: ProgressSample): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && (sample.committed < last.committed || sample.end < last.end))
      this.#samples = [];
    const before = this.#samples.at(-2);
    const isBetween = before !== undefined && sample.atMs - before.atMs < windowMs / (samplesMax - 1);
    if (isBetween) this.#samples.pop();
    this.#samples.push(sample);
    while (this.#samples.length > samplesMax || sample.atMs - this.#samples[0]!.atMs > windowMs)
      this.#samples.shift();
  }

  /** Undefined until two samples have been taken. */
  get rates(): Rates | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined;
    const seconds = (last.atMs - first.atMs) / 1000;
    return {
      produced: (last.end - first.end) / seconds,
      consumed: (last.committed - first.committed) / seconds,
    };
  }

  /** The lag at the beginning of the window and now; undefined as `rates`. */
  get lags(): readonly [before: number, now: number] | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last === first) return undefined;
    return [Math.max(0, first.end - first.committed), Math.max(0, last.end - last.committed)];
  }
}

/** Steady where the lag has changed by no more than a twentieth of the larger one. */
export function trendOf([before, now]: readonly [before: number, now: number]): Trend {
  if (Math.abs(now - before) <= steadyPart * Math.max(before, now)) return 'steady';
  return now > before ? 'growing' : 'shrinking';
}

/** Until nothing is left to read if both go on as they did; null: never, at these rates. */
export function catchUpSeconds(lagRecords: number, { produced, consumed }: Rates): number | null {
  if (lagRecords === 0) return 0;
  return consumed > produced ? lagRecords / (consumed - produced) : null;
}
