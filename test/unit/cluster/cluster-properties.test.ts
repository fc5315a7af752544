import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contents, topicNamed } from './cluster-fixtures.ts';
import { openMemoryCluster, settle } from './memory-cluster.ts';
import type { MemoryCluster } from './memory-cluster.ts';

/** Something that happens to a cluster; nothing waits for the operation before it. */
interface Step {
  readonly kind: 'create' | 'delete' | 'grow' | 'hold' | 'let-go' | 'settle';
  readonly topic: number;
  readonly count: number;
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('create', 'create', 'delete', 'grow', 'hold', 'let-go', 'settle'),
    topic: fc.nat(2),
    count: fc.integer({ min: 1, max: 4 }),
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
      for (const gate of [host.opening, host.removing, log.commits]) gate.close();
      return undefined;
    case 'let-go':
      for (const gate of [host.opening, host.removing, log.commits]) gate.open();
      return undefined;
    default:
      return settle();
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
          const taken = take(memory, step);
          if (step.kind === 'settle') await taken;
          else running.push(taken);
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
