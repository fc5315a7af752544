/**
 * Whether a node says nothing although it is spoken to. A way that was interrupted may be there again long before TCP tries again
 * on a connection that has waited, which takes up to two minutes; a new connection finds out.
 */
export class SilenceWatch {
  readonly #silenceMsMax: number;
  /** The first time that it was spoken to after anything was heard. */
  #sinceMs = -Infinity;

  constructor(silenceMsMax: number) {
    this.#silenceMsMax = silenceMsMax;
  }

  /** The node is spoken to; `heardMs` is when it last said anything. True where it has been silent for too long. */
  spoke(nowMs: number, heardMs: number): boolean {
    if (this.#sinceMs <= heardMs) this.#sinceMs = nowMs;
    return nowMs - this.#sinceMs > this.#silenceMsMax;
  }
}
