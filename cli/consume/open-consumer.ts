import type { Assignment, Consumer, Kappalog, PartitionRange } from '../../client/index.ts';
import type { CommandContext } from '../command-context.ts';
import { futureEnd, type Reading } from './reading.ts';

/** A member of the reading's group, which calls `commit` before other members go on with what it has printed. */
export function openMember(
  client: Kappalog,
  { topic, groupProtocol, from, isolation }: Reading,
  member: { readonly groupId: string; readonly commit: () => Promise<void> },
): Consumer {
  return client.consumer({
    groupId: member.groupId,
    groupProtocol,
    topics: [topic],
    from: from === 'end' ? 'latest' : 'earliest',
    // Committed here, record by printed record, instead of by the client, batch by finished batch.
    autoCommit: false,
    rebalance: { onRevoked: member.commit },
    isolation,
  });
}

/** A consumer for the reading, which names no group; undefined where there is nothing to read, as the range is empty. */
export async function openConsumer(
  client: Kappalog,
  reading: Reading,
  context: CommandContext,
): Promise<Consumer | undefined> {
  const { isolation } = reading;
  const assign = await assignments(client, reading, context);
  return assign.length === 0 ? undefined : client.consumer({ assign, isolation });
}

async function assignments(
  client: Kappalog,
  reading: Reading,
  { nowMs, output }: CommandContext,
): Promise<Assignment[]> {
  const { topic, from, partitions } = reading;
  const { resolveRange } = await import('../../client/index.ts');
  const until = futureEnd(reading, nowMs) === undefined ? reading.until : undefined;
  const ranges = await resolveRange(client.admin(), {
    topic,
    // From the end and on, forever, is no range that ends before it starts.
    from: from === 'end' && until === undefined ? { beforeEnd: 0 } : from,
    until: until ?? 'end',
    ...(partitions === undefined ? {} : { partitions }),
  });
  const warning = warningAbout(reading, ranges);
  if (warning !== undefined) output.warn(warning);
  if (until === undefined) return ranges.map(({ partition, start }) => ({ topic, partition, offset: start }));
  return ranges
    .filter(({ start, end }) => start < end)
    .map(({ partition, start, end }) => ({ topic, partition, offset: start, endOffset: end }));
}

/** An offset that no partition has, or has any more, is more likely a mistake than a wish. */
function warningAbout({ from, topic }: Reading, ranges: readonly PartitionRange[]): string | undefined {
  if (typeof from !== 'number') return undefined;
  const highest = Math.max(...ranges.map((range) => range.highWatermark));
  if (from > highest) {
    return `Offset ${from} is past the end of every partition of ${topic} (${highest}); a time in epoch milliseconds is written @${from}.`;
  }
  const missing = ranges.reduce((sum, range) => sum + range.missing, 0);
  return missing === 0 ? undefined : `${missing} records from offset ${from} on were already removed.`;
}
