/** What the checks of Kafka's tools share: how a tool is run, and what its output says. */
import type { ToolName } from '../tool-runner.ts';
import { pause } from '../suite.ts';
import type { ClusterSuite } from './cluster-suite.ts';

export interface Tools extends ClusterSuite {
  readonly run: (tool: ToolName, ...args: readonly string[]) => Promise<string>;
  readonly verifiable: (
    tool: 'VerifiableConsumer' | 'VerifiableProducer',
    ...args: readonly string[]
  ) => Promise<string>;
  /** What it wrote, although it failed; throws where it did not. */
  readonly fail: (tool: ToolName, ...args: readonly string[]) => Promise<string>;
}

/** A line of `kafka-topics --describe`. */
export interface DescribedPartition {
  readonly partition: number;
  /** NaN: none. */
  readonly leader: number;
  readonly replicas: readonly number[];
  readonly inSync: readonly number[];
}

export function named(topic: string): string[] {
  return ['--topic', topic];
}

export function sized(partitions: number, replicas: number): string[] {
  return ['--partitions', `${partitions}`, '--replication-factor', `${replicas}`];
}

export function parsePartitions(described: string): DescribedPartition[] {
  const numbers = (text: string | undefined): number[] => (text ?? '').split(',').filter(Boolean).map(Number);
  const line = /Partition: (\d+)\s+Leader: (\S+)\s+Replicas: (\S*)\s+Isr: (\S*)/g;
  return [...described.matchAll(line)].map(([, partition, leader, replicas, inSync]) => ({
    partition: Number(partition),
    leader: Number(leader),
    replicas: numbers(replicas),
    inSync: numbers(inSync),
  }));
}

export function inOrder(numbers: readonly number[]): number[] {
  return numbers.toSorted((a, b) => a - b);
}

export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + 30_000;
  while (!(await holds())) {
    if (performance.now() > untilMs) throw new Error(`After 30 s it is not so that ${what}.`);
    await pause(100);
  }
}
