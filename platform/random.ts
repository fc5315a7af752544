/** A source of chance that a seed can repeat. Integers only, so that every machine draws the same run. */
export interface Random {
  /** Uniform in [0, 2^32). */
  uint32(): number;
  /** Uniform in [0, limit); `limit` is an integer in [1, 2^32]. */
  below(limit: number): number;
  /** `length` fresh bytes. */
  bytes(length: number): Buffer;
  /** An independent source, decided by this one's seed and the label. */
  fork(label: string): Random;
}
