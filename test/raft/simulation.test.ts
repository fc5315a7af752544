/** The core under random faults, for a few hundred seeds; `node test/raft/main.ts --seeds N` runs more, and one with its trace. */
import { describe, expect, it } from 'vitest';
import { Harness } from './harness.ts';

const seeds = Array.from({ length: 200 }, (_, place) => place + 1);

describe('the consensus core under faults', () => {
  it('keeps its invariants, and comes to rest when all is healed', { timeout: 120_000 }, () => {
    const names = ['elections', 'commits', 'crashes', 'changes', 'transfers', 'reads'] as const;
    const totals = new Map<(typeof names)[number], number>();
    for (const seed of seeds) {
      let result: ReturnType<Harness['run']>;
      try {
        result = new Harness(seed).run();
      } catch (error) {
        throw new Error(`seed ${seed}; again: npx node test/raft/main.ts --seed ${seed}`, { cause: error });
      }
      for (const name of names) totals.set(name, (totals.get(name) ?? 0) + result[name]);
    }
    // A run that injects nothing shows nothing.
    for (const name of names) expect(totals.get(name)).toBeGreaterThan(seeds.length);
  });

  it('runs the same from the same seed', () => {
    const run = (): string[] => {
      const harness = new Harness(7, { isTraced: true });
      harness.run();
      return harness.lines;
    };
    const lines = run();
    expect(lines.length).toBeGreaterThan(100);
    expect(run()).toEqual(lines);
  });
});
