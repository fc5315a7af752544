/** Topics on the command line, each with the partitions that are meant: `orders`, `orders:0,2-4`. */
import type { TopicPartition } from '../../client/index.ts';
import { usageError } from '../cli-error.ts';

/** By topic; undefined: all of its partitions. */
export type TopicSelection = ReadonlyMap<string, ReadonlySet<number> | undefined>;

/** Throws a usage error. A topic that is named twice has the partitions of both. */
export function parseTopics(texts: readonly string[]): TopicSelection {
  const selection = new Map<string, Set<number> | undefined>();
  for (const text of texts) {
    const [, topic = '', list] = /^([^:]+)(?::(.*))?$/.exec(text.trim()) ?? [];
    if (topic === '')
      throw usageError(`--topic takes a topic, such as orders or orders:0,2-4, not "${text}".`);
    const partitions = list === undefined ? undefined : parsePartitions(list, text);
    const before = selection.get(topic);
    if (partitions === undefined || (selection.has(topic) && before === undefined))
      selection.set(topic, undefined);
    else selection.set(topic, new Set([...(before ?? []), ...partitions]));
  }
  return selection;
}

function parsePartitions(list: string, text: string): number[] {
  return list.split(',').flatMap((part) => {
    const match = /^\s*(\d{1,7})(?:-(\d{1,7}))?\s*$/.exec(part);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last < first || last - first > 100_000) {
      throw usageError(`--topic takes partitions such as orders:0,2 or orders:0-3,7, not "${text}".`);
    }
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

export function selects(selection: TopicSelection, { topic, partition }: TopicPartition): boolean {
  if (!selection.has(topic)) return false;
  return selection.get(topic)?.has(partition) ?? true;
}
