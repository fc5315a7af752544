/** The core under random faults, for a few hundred seeds; `node test/raft/main.ts --seeds N` runs more, and one with its trace. */
import { describe, expect, it } from 'vitest';
import { Harness } from './harness.ts';

const seeds = Array.from({ length: 200 }, (_, place) => place + 1);

describe('the consensus core under faults', () => {
  it('keeps its invariants, and comes to rest when all is healed', { timeout: 120_000 }, () => {
    const totals = { elections: 0, commits: 0, crashes: 0, changes: 0, transfers: 0, reads: 0 };
    for (const seed of seeds) {
      let result: ReturnType<Harness['run']>;
      try {
        result = new Harness(seed).run();
      } catch (error) {
        throw new Error(`seed ${seed}; again: npx node test/raft/main.ts --seed ${seed}`, { cause: error });
      }
      for (const name of Object.keys(totals) as (keyof typeof totals)[]) totals[name] += result[name];
    }
    // A run that injects nothing shows nothing.
    for (const count of Object.values(totals)) expect(count).toBeGreaterThan(seeds.length);
  });

  it('runs the same from the same seed', () => {
    const run = (): string[] => {
      const harness = new Harness(7, { isTraced: true });
      harness.run();
      return harness.lines;
    };
    const lines = run();
    expect(lines.length).toBeGreaterThan(1000);
    expect(run()).toEqual(lines);
  });
});
