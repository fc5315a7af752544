/** A short run of the simulator of consumer groups; `npm run test:simulation -- --simulator groups` has the long one. */
import { describe, expect, it } from 'vitest';
import { groupsFaults } from './groups/groups-options.ts';
import { addCounts, runSeed, simulators } from './simulator.ts';
import type { Counts, SimulationRun } from './simulator.ts';

const firstSeed = 2_000_000_000;
const seeds = Number(process.env['SIMULATION_SEEDS'] ?? 100);
const groups = simulators['groups']!;

describe('simulated histories of consumer groups', () => {
  it('lose no commit, have no partition read twice, and end with all of them read', async () => {
    const counts: Counts = {};
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const { failure, counts: more } = await runSeed(groups, { seed });
      expect(failure, `npm run test:simulation -- --simulator groups --seed ${seed}`).toBeUndefined();
      addCounts(counts, more);
    }
    // A run in which nothing happens would show nothing.
    for (const kind of groupsFaults) {
      if (kind !== 'lost-messages') expect(counts['steps']![kind], kind).toBeGreaterThan(seeds / 5);
    }
    expect(counts['offsets']!['acknowledged']).toBeGreaterThan(5 * seeds);
    expect(counts['offsets']!['unknown']).toBeGreaterThan(seeds);
    expect(counts['offsets']!['read']).toBeGreaterThan(20 * seeds);
    expect(counts['assignments']!['taken up']).toBeGreaterThan(5 * seeds);
    expect(counts['coordinators']!['elections']).toBeGreaterThan(4 * seeds);
    expect(counts['coordinators']!['failed reads']).toBeGreaterThan(seeds / 5);
    expect(counts['migrations']!['upgraded']).toBeGreaterThan(seeds / 20);
    expect(counts['migrations']!['downgraded']).toBeGreaterThan(seeds / 20);
    // What members are told when they were put out, or hung, or were replaced.
    for (const error of ['UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS', 'UNRELEASED_INSTANCE_ID']) {
      expect(counts['heartbeats']![error], error).toBeGreaterThan(0);
    }
  }, 120_000);

  it('are the same for the same seed, to the last event, and differ from seed to seed', async () => {
    const hashes = new Set<string>();
    for (let seed = firstSeed; seed < firstSeed + 5; seed++) {
      const run = { seed, keepsTrace: true };
      const first = await runSeed(groups, run);
      const second = await runSeed(groups, run);
      expect([second.traceHash, second.history]).toEqual([first.traceHash, first.history]);
      expect(second.traceLines).toEqual(first.traceLines);
      hashes.add(first.traceHash);
    }
    expect(hashes.size).toBe(5);
  }, 60_000);

  it('go without what is left out', async () => {
    const run = (more: Partial<SimulationRun>): Promise<Counts> =>
      runSeed(groups, { seed: firstSeed, ...more }).then(({ counts }) => counts);
    const quiet = await run({ without: groupsFaults });
    expect(Object.keys(quiet['steps']!).sort()).toEqual(['commit', 'join', 'start', 'wait']);
    expect(Object.keys(quiet['nodes']!)).toEqual(['starts']);
    const brief = await run({ steps: new Set([0, 1, 2]) });
    expect(Object.values(brief['steps']!).reduce((sum, count) => sum + count)).toBe(3);
  });
});
