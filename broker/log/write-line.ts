/** Batches that wait to be written, in runs for one segment each: what LogWriter takes its writes from. */
import type { Segment } from './segments/segment.ts';

/** What one write takes at most: beyond it, others' progress would wait for too long. */
const roundBytesMax = 8 * 1024 * 1024;
const roundPartsMax = 1024;

export interface Run {
  readonly segment: Segment;
  parts: Buffer[];
  endIndexes: number[];
  endOffsets: number[];
}

export class WriteLine {
  #runs: Run[] = [];

  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  /** `end`: the log's ends after the batch. */
  add(segment: Segment, batch: Buffer, end: { readonly endIndex: number; readonly endOffset: number }): void {
    let run = this.#runs.at(-1);
    if (run?.segment !== segment) run = this.addSegment(segment);
    run.parts.push(batch);
    run.endIndexes.push(end.endIndex);
    run.endOffsets.push(end.endOffset);
  }

  /** A segment is to be begun, with or without batches for it. */
  addSegment(segment: Segment): Run {
    const run = { segment, parts: [], endIndexes: [], endOffsets: [] };
    this.#runs.push(run);
    return run;
  }

  clear(): void {
    this.#runs = [];
  }

  /** The next write's batches: from one segment, as many as have queued, within limits. */
  take(): Run | undefined {
    const run = this.#runs[0];
    if (run === undefined) return undefined;
    let sizeBytes = 0;
    let count = 0;
    while (count < run.parts.length && count < roundPartsMax && sizeBytes < roundBytesMax) {
      sizeBytes += run.parts[count]!.length;
      count++;
    }
    if (count === run.parts.length) {
      this.#runs.shift();
      return run;
    }
    const { segment, parts, endIndexes, endOffsets } = run;
    run.parts = parts.slice(count);
    run.endIndexes = endIndexes.slice(count);
    run.endOffsets = endOffsets.slice(count);
    return {
      segment,
      parts: parts.slice(0, count),
      endIndexes: endIndexes.slice(0, count),
      endOffsets: endOffsets.slice(0, count),
    };
  }
}
