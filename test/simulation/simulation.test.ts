/** A short run of each simulator, and the seeds that once failed. `npm run test:simulation` has the long one. */
import { describe, expect, it } from 'vitest';
import { regressions } from './regressions.ts';
import { addCounts, runSeed, simulators } from './simulator.ts';
import type { Counts } from './simulator.ts';

/** Far from where the long run begins, so that together they see more. */
const firstSeed = 1_000_000_000;
const seeds = Number(process.env['SIMULATION_SEEDS'] ?? 120);

describe('simulated histories of a log directory', () => {
  it('keep all that was flushed and nothing that was not appended', async () => {
    const counts: Counts = {};
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const { failure, counts: more } = await runSeed(simulators['log']!, { seed });
      expect(failure, `npm run test:simulation -- --seed ${seed}`).toBeUndefined();
      addCounts(counts, more);
    }
    // A run in which nothing happens would show nothing.
    expect(Object.values(counts['steps']!).reduce((sum, count) => sum + count)).toBeGreaterThan(30 * seeds);
    expect(counts['ends of a process']!['power loss']).toBeGreaterThan(seeds);
    expect(counts['openings']!['recovered']).toBeGreaterThan(seeds);
  }, 60_000);

  it('are the same for the same seed, to the last event', async () => {
    for (const seed of [firstSeed, firstSeed + 1, firstSeed + 2]) {
      const run = { seed, keepsTrace: true };
      const first = await runSeed(simulators['log']!, run);
      const second = await runSeed(simulators['log']!, run);
      expect(first.traceLines.length).toBeGreaterThan(100);
      expect(second.traceLines).toEqual(first.traceLines);
      expect([second.traceHash, second.history]).toEqual([first.traceHash, first.history]);
    }
  });

  it('differ from seed to seed', async () => {
    const first = await runSeed(simulators['log']!, { seed: firstSeed });
    const second = await runSeed(simulators['log']!, { seed: firstSeed + 1 });
    expect(second.traceHash).not.toBe(first.traceHash);
  });
});

describe('seeds that once failed', () => {
  it.each([...regressions])('$simulator $seed: $foundBy', async ({ simulator, ...run }) => {
    expect((await runSeed(simulators[simulator]!, run)).failure).toBeUndefined();
  });

  it('are listed once each', () => {
    const names = regressions.map(({ simulator, seed }) => `${simulator} ${seed}`);
    expect(new Set(names).size).toBe(names.length);
  });
});
