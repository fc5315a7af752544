/** A short run of the simulator of whole nodes; `npm run test:simulation -- --simulator nodes` has the long one. */
import { describe, expect, it } from 'vitest';
import { addCounts, runSeed, simulators } from './simulator.ts';
import type { Counts } from './simulator.ts';

const firstSeed = 2_000_000_000;
const seeds = Number(process.env['SIMULATION_SEEDS'] ?? 12);
const diskSeeds = Math.ceil(seeds / 2);
const groupSeeds = Math.ceil(seeds / 12);
const nodes = simulators['nodes']!;

describe('simulated histories of whole nodes', () => {
  it('lose nothing that was acknowledged, and end with a cluster at rest', async () => {
    const counts: Counts = {};
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const { failure, counts: more } = await runSeed(nodes, { seed });
      expect(failure, `npm run test:simulation -- --simulator nodes --seed ${seed}`).toBeUndefined();
      addCounts(counts, more);
    }
    // A run in which nothing happens would show nothing.
    expect(counts['clients']!['records acknowledged']).toBeGreaterThan(50 * seeds);
    expect(counts['clients']!['reads']).toBeGreaterThan(10 * seeds);
    expect(counts['clients']!['ends told']).toBeGreaterThan(10 * seeds);
    expect(counts['clients']!['partitions compared']).toBeGreaterThan(seeds);
    expect(counts['operations']!['create']).toBeGreaterThan(seeds);
    expect(counts['processes']!['power lost']).toBeGreaterThan(seeds / 2);
    expect(counts['processes']!['frozen']).toBeGreaterThan(0);
    expect(counts['processes']!['power lost with unsynced bytes']).toBeGreaterThan(0);
    expect(counts['moves between directories']!['accepted']).toBeGreaterThan(0);
    expect(counts['members']!['nodes joining']).toBeGreaterThan(0);
    expect(counts['members']!['nodes unregistered']).toBeGreaterThan(0);
    expect(counts['members']!['directories lost']).toBeGreaterThan(0);
  }, 120_000);

  it('give a node that lost both of its data directories all replicas back', async () => {
    const { failure, counts } = await runSeed(nodes, { seed: 500_009, steps: new Set([0, 2]) });
    expect(failure).toBeUndefined();
    expect(counts['members']!['directories lost']).toBe(1);
    expect(counts['clients']!['partitions compared']).toBeGreaterThan(0);
  }, 60_000);

  it('get over disks that are full, fail for a while, rot, or are replaced', async () => {
    const counts: Counts = {};
    for (let seed = firstSeed; seed < firstSeed + diskSeeds; seed++) {
      const { failure, counts: more } = await runSeed(nodes, { seed, focus: 'disks' });
      const command = `npm run test:simulation -- --simulator nodes --focus disks --seed ${seed}`;
      expect(failure, command).toBeUndefined();
      addCounts(counts, more);
    }
    for (const fault of ['full', 'errors', 'directories that fail', 'rotted', 'rot found by verify']) {
      expect(counts['disks']![fault], fault).toBeGreaterThan(0);
    }
    expect(counts['faults']!['full disk']).toBeGreaterThan(0);
    expect(counts['faults']!['broken directory']).toBeGreaterThan(0);
    expect(counts['disks']!['nodes stopped by themselves']).toBeGreaterThan(0);
    expect(counts['clients']!['partitions compared']).toBeGreaterThan(diskSeeds);
  }, 120_000);

  it('elect leaders of more groups than elect at one time, soon, when nodes end', async () => {
    const counts: Counts = {};
    for (let seed = firstSeed; seed < firstSeed + groupSeeds; seed++) {
      const { failure, counts: more } = await runSeed(nodes, { seed, focus: 'groups' });
      const command = `npm run test:simulation -- --simulator nodes --focus groups --seed ${seed}`;
      expect(failure, command).toBeUndefined();
      addCounts(counts, more);
    }
    expect(counts['many groups']!['made']).toBe(150 * groupSeeds);
    expect(counts['clients']!['partitions compared']).toBeGreaterThan(150 * groupSeeds);
  }, 60_000);

  it('are the same for the same seed, to the last event', async () => {
    const run = { seed: firstSeed, keepsTrace: true };
    const first = await runSeed(nodes, run);
    const second = await runSeed(nodes, run);
    expect(first.traceLines.length).toBeGreaterThan(1000);
    expect(second.traceLines).toEqual(first.traceLines);
    expect([second.traceHash, second.history]).toEqual([first.traceHash, first.history]);
  }, 60_000);
});
