import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesMoved, evenOut, placeOn } from '../../../../cli/cluster/placement.ts';
import type { Move, PlanNode, PlanPartition } from '../../../../cli/cluster/placement.ts';

/** Nodes as `1`, `2/r` (in rack r). */
function nodesOf(text: string): PlanNode[] {
  return text.split(' ').map((each) => {
    const [id, rack] = each.split('/');
    return { id: Number(id), rack: rack ?? null, host: `host-${id}` };
  });
}

function partitionsOf(replicas: readonly (readonly number[])[], sizeBytes = 1): PlanPartition[] {
  return replicas.map((ids, partition) => ({ topic: 't', partition, replicas: ids, sizeBytes }));
}

function after(partitions: readonly PlanPartition[], moves: readonly Move[]): (readonly number[])[] {
  return partitions.map(
    ({ topic, partition, replicas }) =>
      moves.find((move) => move.topic === topic && move.partition === partition)?.after ?? replicas,
  );
}

/** Replicas and preferred leaderships of each node. */
function loads(nodes: readonly PlanNode[], replicas: readonly (readonly number[])[]): [number[], number[]] {
  return [
    nodes.map(({ id }) => replicas.filter((ids) => ids.includes(id)).length),
    nodes.map(({ id }) => replicas.filter(([first]) => first === id).length),
  ];
}

function spread(counts: readonly number[]): number {
  return Math.max(...counts) - Math.min(...counts);
}

describe('an even spread', () => {
  it('gives a new node its share and leaves the rest where it is', () => {
    const nodes = nodesOf('1 2 3 4');
    const partitions = partitionsOf(Array.from({ length: 8 }, () => [1, 2, 3]));
    const moves = evenOut(nodes, partitions);
    expect(loads(nodes, after(partitions, moves))).toEqual([
      [6, 6, 6, 6],
      [2, 2, 2, 2],
    ]);
    expect(bytesMoved(moves)).toBe(6);
  });

  it('is nothing to do where it is there', () => {
    const partitions = partitionsOf([
      [1, 2],
      [2, 3],
      [3, 1],
    ]);
    expect(evenOut(nodesOf('1 2 3'), partitions)).toEqual([]);
    expect(evenOut(nodesOf('1 2 3'), [])).toEqual([]);
    expect(evenOut([], partitions)).toEqual([]);
  });

  it('moves what brings bytes closest together', () => {
    const sizes = [100, 10, 45, 1];
    const partitions = sizes.map((sizeBytes, partition) => ({
      topic: 't',
      partition,
      replicas: [1],
      sizeBytes,
    }));
    const moves = evenOut(nodesOf('1 2'), partitions);
    const on = (id: number): number =>
      after(partitions, moves).reduce((sum, ids, at) => (ids.includes(id) ? sum + sizes[at]! : sum), 0);
    expect(moves).toHaveLength(2);
    expect([on(1), on(2)]).toEqual([55, 101]);
  });

  it('hands leadership over by way of others', () => {
    // 1 and 3 share no partition.
    const partitions = partitionsOf([
      [1, 2],
      [1, 2],
      [1, 2],
      [2, 3],
      [2, 3],
      [3, 2],
    ]);
    const moves = evenOut(nodesOf('1 2 3'), partitions);
    expect(loads(nodesOf('1 2 3'), after(partitions, moves))[1]).toEqual([2, 2, 2]);
  });

  it('does not put two replicas into a rack that had one', () => {
    const partitions = partitionsOf(Array.from({ length: 6 }, () => [1, 3]));
    const nodes = nodesOf('1/a 2/a 3/b');
    const replicas = after(partitions, evenOut(nodes, partitions));
    expect(loads(nodes, replicas)[0]).toEqual([3, 3, 6]);
  });

  it('leaves alone what lies on nodes that may not be used', () => {
    const partitions = partitionsOf([
      [1, 9],
      [1, 9],
      [1, 9],
      [1, 9],
    ]);
    const replicas = after(partitions, evenOut(nodesOf('1 2'), partitions));
    expect(replicas.every((ids) => ids.includes(9))).toBe(true);
    expect(loads(nodesOf('1 2'), replicas)).toEqual([
      [2, 2],
      [2, 2],
    ]);
  });

  it('spreads the leaderships of each topic before those of all', () => {
    const nodes = nodesOf('1 2 3 4');
    const orders = [
      [1, 2, 3],
      [2, 3, 1],
      [3, 1, 2],
    ];
    const partitions = ['a', 'b', 'c', 'd'].flatMap((topic) =>
      Array.from({ length: 6 }, (_, partition) => ({
        topic,
        partition,
        replicas: orders[partition % 3]!,
        sizeBytes: 1,
      })),
    );
    const replicas = after(partitions, evenOut(nodes, partitions));
    expect(loads(nodes, replicas)).toEqual([
      [18, 18, 18, 18],
      [6, 6, 6, 6],
    ]);
    for (const topic of ['a', 'b', 'c', 'd']) {
      const own = replicas.filter((_, at) => partitions[at]!.topic === topic);
      expect(loads(nodes, own)[1].toSorted((a, b) => a - b)).toEqual([1, 1, 2, 2]);
    }
  });

  it('leaves all alike when topics are, too', () => {
    // Each topic is as even as can be; node 1 leads too much in all.
    const partitions = ['a', 'b', 'c'].map((topic) => ({
      topic,
      partition: 0,
      replicas: [1, 2, 3],
      sizeBytes: 1,
    }));
    const nodes = nodesOf('1 2 3');
    expect(loads(nodes, after(partitions, evenOut(nodes, partitions)))[1]).toEqual([1, 1, 1]);
  });

  it('holds for any cluster, and a second plan has nothing left', () => {
    const topics = ['t', 'u', 'v'];
    const cluster = fc.record({
      count: fc.integer({ min: 1, max: 6 }),
      factors: fc.array(
        fc.record({
          factor: fc.nat(3),
          first: fc.nat(5),
          size: fc.nat(50),
          topic: fc.constantFrom(...topics),
        }),
        {
          maxLength: 30,
        },
      ),
    });
    fc.assert(
      fc.property(cluster, ({ count, factors }) => {
        const nodes = nodesOf(Array.from({ length: count }, (_, at) => at + 1).join(' '));
        const partitions = factors.map(({ factor, first, size, topic }, partition) => ({
          topic,
          partition,
          replicas: Array.from(
            { length: Math.min(count, factor + 1) },
            (_, at) => ((first + at) % count) + 1,
          ),
          sizeBytes: size,
        }));
        const moves = evenOut(nodes, partitions);
        const replicas = after(partitions, moves);
        for (const [at, ids] of replicas.entries()) {
          expect(new Set(ids).size).toBe(partitions[at]!.replicas.length);
        }
        const [held, led] = loads(nodes, replicas);
        // One replica of each pair of nodes can always be moved.
        expect(spread(held)).toBeLessThanOrEqual(1);
        // Nor is there one partition left whose lead another of its nodes should rather have.
        const ledOf = new Map(
          topics.map((topic) => [
            topic,
            loads(
              nodes,
              replicas.filter((_, at) => partitions[at]!.topic === topic),
            )[1],
          ]),
        );
        const gains = replicas.flatMap(([leader, ...rest], at) => {
          const ofTopic = ledOf.get(partitions[at]!.topic)!;
          const gain = (counts: readonly number[], id: number): number =>
            counts[leader! - 1]! - counts[id - 1]!;
          return rest.map((id) => ({ topic: gain(ofTopic, id), all: gain(led, id) }));
        });
        expect(gains.filter(({ topic }) => topic >= 2)).toEqual([]);
        expect(gains.filter(({ topic, all }) => topic >= 1 && all >= 2)).toEqual([]);
        const again = partitions.map((each, at) => ({ ...each, replicas: replicas[at]! }));
        expect(evenOut(nodes, again)).toEqual([]);
      }),
    );
  });
});

describe('given nodes', () => {
  const place = (
    nodes: string,
    replicas: readonly (readonly number[])[],
    options: { factor?: number; others?: readonly (readonly number[])[] } = {},
  ): (readonly number[])[] => {
    const partitions = partitionsOf(replicas);
    const others = partitionsOf(options.others ?? []).map((each) => ({ ...each, topic: 'other' }));
    const request = { nodes: nodesOf(nodes), partitions, others, replicationFactor: options.factor };
    return after(partitions, placeOn(request));
  };

  it('hold partitions that are put on them, and what lies there stays', () => {
    expect(
      place('2 3', [
        [1, 2],
        [2, 3],
        [4, 5],
      ]).map((ids) => ids.toSorted((a, b) => a - b)),
    ).toEqual([
      [2, 3],
      [2, 3],
      [2, 3],
    ]);
    expect(place('1 2 3 4', [[3, 1]])).toEqual([[3, 1]]);
  });

  it('get what is missing where least is, other racks first', () => {
    expect(place('1 2 3', [[9]], { others: [[1], [1, 2], [1, 2]] })).toEqual([[3]]);
    expect(place('1/a 2/a 3/b', [[1, 9]], { others: [[3], [3]] })).toEqual([[1, 3]]);
  });

  it('hold more replicas, or fewer, of which the first stay', () => {
    expect(place('1 2 3', [[2]], { factor: 3 })).toEqual([[2, 1, 3]]);
    expect(place('1 2 3', [[3, 1, 2]], { factor: 1 })).toEqual([[3]]);
    expect(() => place('1 2', [[1]], { factor: 3 })).toThrow(RangeError);
  });

  it('share the leaderships that are new to them', () => {
    const replicas = place(
      '1 2 3',
      Array.from({ length: 9 }, () => [7, 8, 9]),
    );
    expect(loads(nodesOf('1 2 3'), replicas)).toEqual([
      [9, 9, 9],
      [3, 3, 3],
    ]);
  });
});
