/** A short run of the cluster's simulator; `npm run test:simulation -- --simulator cluster` has the long one. */
import { describe, expect, it } from 'vitest';
import { faultKinds } from './cluster/cluster-options.ts';
import { addCounts, runSeed, simulators } from './simulator.ts';
import type { Counts, SimulationRun } from './simulator.ts';

const firstSeed = 2_000_000_000;
const seeds = Number(process.env['SIMULATION_SEEDS'] ?? 120);
const cluster = simulators['cluster']!;

/** Of the faults, as they are counted: each happens in a short run, too. */
const whatDisksAndLinksDo = [
  'repeated frames',
  'cut links',
  'lost sector',
  'torn sector',
  'lost name',
  'flipped bit',
  'older configuration',
  'full disk',
  'latency spike',
  'short read',
  'sync: io',
];

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
    expect(counts['consensus']!['batches acknowledged']).toBeGreaterThan(20 * seeds);
    expect(counts['processes']!['power lost']).toBeGreaterThan(seeds);
    expect(counts['changes of members']!['begun']).toBeGreaterThan(seeds / 2);
    expect(counts['transfers']!['handed-over']).toBeGreaterThan(seeds / 10);
    expect(counts['consensus']!['failed logs']).toBeGreaterThan(seeds / 10);
    expect(counts['consensus']!['damaged logs']).toBeGreaterThan(0);
    expect(counts['consensus']!['shortened by retention']).toBeGreaterThan(0);
    expect(counts['copies']!['done']).toBeGreaterThan(seeds / 20);
    expect(counts['faults']!['lost frames']).toBeGreaterThan(seeds);
    for (const fault of whatDisksAndLinksDo) expect(counts['faults']![fault], fault).toBeGreaterThan(0);
    expect(counts['clients']!['reads']).toBeGreaterThan(20 * seeds);
    expect(counts['clients']!['fetches']).toBeGreaterThan(10 * seeds);
    // Every history of what clients saw could be decided.
    expect(counts['clients']!['undecided']).toBeUndefined();
    for (const kind of faultKinds) {
      const isBehaviour = /frames|spikes|reads|caching|copies/.test(kind);
      if (!isBehaviour) expect(counts['steps']![kind], kind).toBeGreaterThan(0);
    }
  }, 240_000);

  it('are the same for the same seed, to the last event', async () => {
    for (let seed = firstSeed; seed < firstSeed + 5; seed++) {
      const run = { seed, keepsTrace: true };
      const first = await runSeed(cluster, run);
      const second = await runSeed(cluster, run);
      expect(first.traceLines.length).toBeGreaterThan(100);
      expect(second.traceLines).toEqual(first.traceLines);
      expect([second.traceHash, second.history]).toEqual([first.traceHash, first.history]);
    }
  }, 60_000);

  it('differ from seed to seed', async () => {
    const hashes = new Set<string>();
    for (let seed = firstSeed; seed < firstSeed + 5; seed++)
      hashes.add((await runSeed(cluster, { seed })).traceHash);
    expect(hashes.size).toBe(5);
  }, 60_000);

  it('go without what is left out', async () => {
    const run = (more: Partial<SimulationRun>): Promise<Counts> =>
      runSeed(cluster, { seed: firstSeed, ...more }).then(({ counts }) => counts);
    const quiet = await run({ without: faultKinds });
    expect(Object.keys(quiet['steps']!).sort()).toEqual(['append', 'heal', 'restart', 'wait']);
    expect(quiet['faults']).toBeUndefined();
    expect(Object.keys(quiet['processes']!)).toEqual(['starts']);
    const brief = await run({ steps: new Set([0, 1, 2]) });
    expect(Object.values(brief['steps']!).reduce((sum, count) => sum + count)).toBe(3);
  });
});
