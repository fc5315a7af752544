/** A short run of the cluster's simulator; `npm run test:simulation -- --simulator cluster` has the long one. */
import { describe, expect, it } from 'vitest';
import { addCounts, runSeed, simulators } from './simulator.ts';
import type { Counts } from './simulator.ts';

const firstSeed = 2_000_000_000;
const seeds = Number(process.env['SIMULATION_SEEDS'] ?? 150);
const cluster = simulators['cluster']!;

describe('simulated histories of a cluster', () => {
  it('lose nothing that was acknowledged, and end with the same logs everywhere', async () => {
    const counts: Counts = {};
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const { failure, counts: more } = await runSeed(cluster, { seed });
      expect(failure, `npm run test:simulation -- --simulator cluster --seed ${seed}`).toBeUndefined();
      addCounts(counts, more);
    }
    // A run in which nothing happens would show nothing.
    expect(counts['consensus']!['elections']).toBeGreaterThan(2 * seeds);
    expect(counts['consensus']!['acknowledged']).toBeGreaterThan(30 * seeds);
    expect(counts['steps']!['power-loss']).toBeGreaterThan(seeds / 2);
    expect(counts['frames']!['lost']).toBeGreaterThan(seeds);
  }, 120_000);

  it('are the same for the same seed, to the last event', async () => {
    for (const seed of [firstSeed, firstSeed + 1]) {
      const run = { seed, keepsTrace: true };
      const first = await runSeed(cluster, run);
      const second = await runSeed(cluster, run);
      expect(first.traceLines.length).toBeGreaterThan(100);
      expect(second.traceLines).toEqual(first.traceLines);
      expect([second.traceHash, second.history]).toEqual([first.traceHash, first.history]);
    }
  });
});
