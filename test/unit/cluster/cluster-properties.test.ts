import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contents, topicNamed } from './cluster-fixtures.ts';
import { openMemoryCluster, settle } from './memory-cluster.ts';
import type { MemoryCluster } from './memory-cluster.ts';

/** Something that happens to a cluster; it never waits for what came before to be answered. */
interface Step {
  readonly kind: 'create' | 'delete' | 'grow' | 'hold' | 'let-go';
  readonly topic: number;
  readonly count: number;
  /** Opening replicas, removing them, committing. */
  readonly gate: number;
  /** Whether the next step comes before this one has got as far as it can. */
  readonly hurries: boolean;
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('create', 'create', 'delete', 'delete', 'grow', 'hold', 'let-go'),
    topic: fc.nat(1),
    count: fc.integer({ min: 1, max: 4 }),
    gate: fc.nat(2),
    hurries: fc.boolean(),
  }),
  { maxLength: 40 },
);

async function take({ cluster, host, log }: MemoryCluster, step: Step): Promise<unknown> {
  const name = `t${step.topic}`;
  switch (step.kind) {
    case 'create':
      return cluster.createTopics([topicNamed(name, { numPartitions: step.count })]);
    case 'delete':
      return cluster.deleteTopics([cluster.image.topic(name)?.id ?? '']);
    case 'grow':
      return cluster.createPartitions([{ name, count: step.count, assignments: null }]);
    case 'hold':
      [host.opening, host.removing, log.commits][step.gate]?.close();
      return undefined;
    default:
      [host.opening, host.removing, log.commits][step.gate]?.open();
      return undefined;
  }
}

describe('a cluster under operations that overlap', () => {
  it('ends with exactly the replicas open that its metadata has, and a restart agrees', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const memory = await openMemoryCluster();
        const { cluster, host, log } = memory;
        const running: Promise<unknown>[] = [];
        for (const step of list) {
          running.push(take(memory, step));
          if (!step.hurries) await settle();
        }
        for (const gate of [host.opening, host.removing, log.commits]) gate.open();
        await Promise.all(running);
        await cluster.close();
        const key = ({ topic, partition, topicId }: { topic: string; partition: number; topicId: string }) =>
          `${topic}-${partition} ${topicId}`;
        expect([...host.openNow.values()].map(key).toSorted()).toEqual(
          cluster.replicasHere().map(key).toSorted(),
        );
        const restarted = await openMemoryCluster({ batches: log.batches, register: false });
        expect(contents(restarted.cluster.image)).toEqual(contents(cluster.image));
        expect(memory.failures).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
