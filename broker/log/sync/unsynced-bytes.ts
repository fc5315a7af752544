/**
 * A copy of what a log has written since it was last flushed, as long as that is little and without a gap: what can go into the
 * sync journal. A copy, because the batches' memory is given back when they are written.
 */
import type { Segment } from '../segments/segment.ts';

/** Of more than this a sync of the file costs less than a second writing of its bytes. */
export const unsyncedBytesMax = 16 * 1024;

export class UnsyncedBytes {
  /** They follow each other in the file. */
  #parts: Buffer[] = [];
  /** [#from, #to) of the newest segment. */
  #from = 0;
  #to = 0;

  /** Takes what has just been written; `coveredBytes`: what lies before is durable, or about to be by the sync in flight. */
  add(
    parts: readonly Buffer[],
    place: { readonly position: number; readonly sizeBytes: number; readonly coveredBytes: number },
  ): void {
    const { position, sizeBytes, coveredBytes } = place;
    const isNext = this.#parts.length > 0 && position === this.#to;
    if (!isNext) this.clear();
    if ((!isNext && position !== coveredBytes) || this.#to - this.#from + sizeBytes > unsyncedBytesMax) {
      this.clear();
      return;
    }
    if (!isNext) this.#from = position;
    const copy = Buffer.allocUnsafeSlow(sizeBytes);
    let at = 0;
    for (const part of parts) {
      copy.set(part, at);
      at += part.length;
    }
    this.#parts.push(copy);
    this.#to = position + sizeBytes;
  }

  /** Drops what is durable now: everything that had been added when the sync began. */
  flushedTo(bytes: number): void {
    while (this.#parts.length > 0 && this.#from < bytes) this.#from += this.#parts.shift()!.length;
  }

  clear(): void {
    this.#parts = [];
    this.#from = 0;
    this.#to = 0;
  }

  /** All that is written and not flushed; undefined where this is not all of it, or nothing. */
  range(
    segment: Segment,
  ):
    | { segmentBaseOffset: number; position: number; parts: readonly Buffer[]; sizeBytes: number }
    | undefined {
    const isWhole = this.#from === segment.flushedBytes && this.#to === segment.writtenBytes;
    if (this.#parts.length === 0 || !isWhole) return undefined;
    return {
      segmentBaseOffset: segment.baseOffset,
      position: this.#from,
      parts: this.#parts,
      sizeBytes: this.#to - this.#from,
    };
  }
}
