import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { place } from '../../../../broker/cluster/controller/placement.ts';
import type { PlaceableNode } from '../../../../broker/cluster/controller/placement.ts';

function node(id: number, rack: string | null, host: string | null, load = 0): PlaceableNode {
  return { id, rack, host, replicaCount: load, leaderCount: load };
}

describe('placement', () => {
  it('spreads over racks, then over hosts', () => {
    const nodes = [
      node(1, 'a', 'a1'),
      node(2, 'a', 'a1'),
      node(3, 'a', 'a2'),
      node(4, 'b', 'b1'),
      node(5, 'b', 'b1'),
    ];
    const [replicas = []] = place({ nodes, partitionCount: 1, replicationFactor: 3 });
    expect(replicas).toEqual([1, 4, 3]);
  });

  it('puts the next replica where there are fewest', () => {
    const nodes = [node(1, null, null, 7), node(2, null, null, 2), node(3, null, null, 5)];
    expect(place({ nodes, partitionCount: 4, replicationFactor: 1 })).toEqual([[2], [2], [2], [2]]);
  });

  it('gives every partition different nodes and shares replicas and leaders evenly', () => {
    const cluster = fc.record({
      nodeCount: fc.integer({ min: 1, max: 7 }),
      partitionCount: fc.integer({ min: 1, max: 40 }),
      replicationFactor: fc.integer({ min: 1, max: 7 }),
    });
    fc.assert(
      fc.property(cluster, ({ nodeCount, partitionCount, replicationFactor }) => {
        fc.pre(replicationFactor <= nodeCount);
        const nodes = Array.from({ length: nodeCount }, (_, id) => node(id, null, null));
        const placed = place({ nodes, partitionCount, replicationFactor });
        expect(placed).toHaveLength(partitionCount);
        for (const replicas of placed) {
          expect(new Set(replicas).size).toBe(replicationFactor);
        }
        const leads = nodes.map(({ id }) => placed.filter(([leader]) => leader === id).length);
        expect(Math.max(...leads) - Math.min(...leads)).toBeLessThanOrEqual(1);
        const holds = nodes.map(({ id }) => placed.flat().filter((replica) => replica === id).length);
        expect(Math.max(...holds) - Math.min(...holds)).toBeLessThanOrEqual(replicationFactor);
        expect(place({ nodes, partitionCount, replicationFactor })).toEqual(placed);
      }),
    );
  });

  it('never puts two replicas of a partition into one rack while another has none', () => {
    const racks = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(racks, fc.integer({ min: 1, max: 8 }), (names, replicationFactor) => {
        fc.pre(replicationFactor <= names.length);
        const nodes = names.map((rack, id) => node(id, rack, null));
        for (const replicas of place({ nodes, partitionCount: 10, replicationFactor })) {
          const used = new Set(replicas.map((id) => names[id]));
          expect(used.size).toBe(Math.min(replicationFactor, new Set(names).size));
        }
      }),
    );
  });
});
