/** A log's segments in order of base offset. There is always at least one: the last is the one that is appended to. */
import { assert } from '../../../platform/assert.ts';
import type { SegmentInfo } from '../log-types.ts';
import type { Segment } from './segment.ts';

export class SegmentList {
  readonly #segments: Segment[];
  /** Counts what was taken out or replaced: what was read by path across a change may be of another file. */
  generation = 0;

  constructor(segments: readonly Segment[]) {
    assert(segments.length > 0, 'a log has a segment');
    this.#segments = [...segments];
  }

  get active(): Segment {
    return this.#segments.at(-1)!;
  }

  get first(): Segment {
    return this.#segments[0]!;
  }

  /** Closed ones, oldest first; never the active one. */
  get full(): Segment[] {
    return this.#segments.filter(({ isFull }) => isFull);
  }

  get count(): number {
    return this.#segments.length;
  }

  get all(): readonly Segment[] {
    return this.#segments;
  }

  get sizeBytes(): number {
    let sizeBytes = 0;
    for (const segment of this.#segments) sizeBytes += segment.appendedBytes;
    return sizeBytes;
  }

  infos(): SegmentInfo[] {
    return this.#segments.map(({ baseOffset, endOffset, appendedBytes, totals }) => ({
      baseOffset,
      endOffset,
      sizeBytes: appendedBytes,
      maxTimestamp: totals.maxTimestamp,
    }));
  }

  /** As it is now, for a walk that others may interrupt. */
  snapshot(): Segment[] {
    return [...this.#segments];
  }

  at(place: number): Segment | undefined {
    return this.#segments[place];
  }

  add(segment: Segment): void {
    assert(segment.baseOffset > this.active.baseOffset, 'segments ascend');
    this.#segments.push(segment);
  }

  /** Takes out the oldest ones; another has to be left. Their marks say so to whoever is reading them. */
  removeFirst(count: number): Segment[] {
    assert(count < this.#segments.length, 'a log keeps a segment');
    this.generation++;
    const removed = this.#segments.splice(0, count);
    for (const segment of removed) segment.isRemoved = true;
    return removed;
  }

  /** Whether these stand here, one after the other. */
  holdsRun(run: readonly Segment[]): boolean {
    const place = this.#segments.indexOf(run[0]!);
    return place >= 0 && run.every((segment, at) => this.#segments[place + at] === segment);
  }

  /** Puts one segment in the place of neighbours. */
  replaceRun(run: readonly Segment[], by: Segment): void {
    assert(
      this.holdsRun(run) && by.baseOffset === run[0]!.baseOffset,
      'neighbours are replaced from their base on',
    );
    this.generation++;
    this.#segments.splice(this.#segments.indexOf(run[0]!), run.length, by);
    for (const segment of run) segment.isRemoved = true;
  }

  /** Takes out the last one; another has to be left. */
  removeLast(): Segment {
    assert(this.#segments.length > 1, 'a log keeps a segment');
    this.generation++;
    const removed = this.#segments.pop()!;
    removed.isRemoved = true;
    return removed;
  }

  /** The last one has been cut: this is what it is now. */
  replaceLast(segment: Segment): void {
    assert(segment.baseOffset === this.active.baseOffset, 'a cut segment keeps its base');
    this.generation++;
    this.active.isRemoved = true;
    this.#segments[this.#segments.length - 1] = segment;
  }

  /** Place of the segment that holds the offset: the last whose base is at or below it, else the first. */
  placeOf(offset: number): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#segments[middle]!.baseOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}
