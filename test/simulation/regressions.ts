/**
 * Seeds that once failed, with a word on what was wrong. They run in `npm test`. A change to what a simulator draws gives an old
 * seed another history: it stays as one more history, and what it found has a test of its own where it says so.
 */
export interface Regression {
  readonly simulator: string;
  readonly seed: number;
  readonly foundBy: string;
}

export const regressions: readonly Regression[] = [];
