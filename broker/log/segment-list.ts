/** A log's segments in order of base offset. There is always at least one: the last is the one that is appended to. */
import { assert } from '../../platform/assert.ts';
import type { Segment } from './segment.ts';

export class SegmentList {
  readonly #segments: Segment[];

  constructor(segments: readonly Segment[]) {
    assert(segments.length > 0, 'a log has a segment');
    this.#segments = [...segments];
  }

  get active(): Segment {
    return this.#segments.at(-1)!;
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

  /** Takes out the last one; another has to be left. */
  removeLast(): Segment {
    assert(this.#segments.length > 1, 'a log keeps a segment');
    return this.#segments.pop()!;
  }

  /** The last one has been cut: this is what it is now. */
  replaceLast(segment: Segment): void {
    assert(segment.baseOffset === this.active.baseOffset, 'a cut segment keeps its base');
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
