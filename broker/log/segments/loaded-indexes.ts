/** Which full segments have their indexes in memory: the least recently used are unloaded when there are too many bytes. */
import type { Segment } from './segment.ts';

export class LoadedIndexes {
  readonly #maxBytes: number;
  /** Bytes by segment, in order of last use. */
  readonly #loaded = new Map<Segment, number>();
  #sizeBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The segment's indexes are in memory and have just been used. Their files hold them already. */
  used(segment: Segment): void {
    this.forget(segment);
    const sizeBytes = segment.offsetIndex.sizeBytes + segment.timeIndex.sizeBytes;
    this.#loaded.set(segment, sizeBytes);
    this.#sizeBytes += sizeBytes;
    for (const oldest of this.#loaded.keys()) {
      if (this.#sizeBytes <= this.#maxBytes || oldest === segment) return;
      this.forget(oldest);
      oldest.unloadIndexes();
    }
  }

  forget(segment: Segment): void {
    this.#sizeBytes -= this.#loaded.get(segment) ?? 0;
    this.#loaded.delete(segment);
  }
}
