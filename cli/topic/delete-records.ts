/** `kappalog topic delete-records`: gives up the oldest records of a topic. */
import type { Admin, ReplayPosition, TopicPartition } from '../../client/index.ts';
import { CliError } from '../cli-error.ts';
import { confirm, existingTopic, parsePartitions, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { parsePosition } from '../positions.ts';
import { formatCount, type Column } from '../table.ts';

export interface DeleteRecordsOptions extends ClientOptions {
  readonly before: string;
  readonly partitions?: string;
  readonly yes?: boolean;
}

interface Deletion extends TopicPartition {
  readonly startOffset: number;
  readonly endOffset: number;
  /** The first offset that stays. */
  readonly before: number;
}

type Deleted = Omit<Deletion, 'before' | 'topic'> & { readonly deleted: number };

const columns: readonly Column<Deleted>[] = [
  { title: 'partition', cell: (row) => row.partition, align: 'right' },
  { title: 'start', cell: (row) => row.startOffset, align: 'right' },
  { title: 'end', cell: (row) => row.endOffset, align: 'right' },
  { title: 'deleted', cell: (row) => row.deleted, align: 'right' },
];

/** Deletes what lies before a position, in all partitions or some, once somebody has said yes. */
export async function deleteRecords(
  topic: string,
  options: DeleteRecordsOptions,
  context: CommandContext,
): Promise<void> {
  const position = parsePosition(options.before, '--before', Date.now());
  const chosen = options.partitions === undefined ? undefined : parsePartitions(options.partitions);
  await withClient(options, async (client) => {
    const admin = client.admin();
    const known = (await existingTopic(admin, topic)).partitions.map(({ partition }) => partition);
    const missing = chosen?.find((partition) => !known.includes(partition));
    if (missing !== undefined) {
      throw new CliError(
        'UNKNOWN_PARTITION',
        `Topic ${topic} has ${known.length} partitions and no partition ${missing}.`,
        { exitCode: ExitCode.notFound },
      );
    }
    const deletions = await plan(admin, { topic, partitions: chosen ?? known }, position);
    const count = deletions.reduce((sum, { startOffset, before }) => sum + before - startOffset, 0);
    await confirm(
      `This deletes ${formatCount(count)} records of ${topic} for good.`,
      { yes: options.yes === true },
      context,
    );
    const changed = deletions.filter(({ before, startOffset }) => before > startOffset);
    if (changed.length > 0) {
      await admin.deleteRecords(
        changed.map(({ partition, before }) => ({ topic, partition, offset: before })),
      );
    }
    const rows = deletions.map(({ partition, before, startOffset, endOffset }) => ({
      partition,
      startOffset: before,
      endOffset,
      deleted: before - startOffset,
    }));
    context.output.list('partitions', rows, columns);
  });
}

/** Where each partition is to begin: within what it holds now. */
async function plan(
  admin: Admin,
  { topic, partitions }: { readonly topic: string; readonly partitions: readonly number[] },
  position: ReplayPosition,
): Promise<Deletion[]> {
  const offsetsAt = async (at: 'earliest' | 'latest' | { timestamp: number }): Promise<number[]> => {
    const results = await admin.listOffsets(partitions.map((partition) => ({ topic, partition, at })));
    return results.map(({ offset }) => offset);
  };
  const [starts, ends] = await Promise.all([offsetsAt('earliest'), offsetsAt('latest')]);
  const byTime =
    typeof position === 'object' && 'timestamp' in position ? await offsetsAt(position) : undefined;
  return partitions.map((partition, at) => {
    const [startOffset, endOffset] = [starts[at]!, ends[at]!];
    // No record at or after the time: all are before it.
    const timed = byTime?.[at] === -1 ? endOffset : byTime?.[at];
    const wanted = timed ?? plainOffset(position, startOffset, endOffset);
    return {
      topic,
      partition,
      startOffset,
      endOffset,
      before: Math.min(Math.max(wanted, startOffset), endOffset),
    };
  });
}

function plainOffset(position: ReplayPosition, startOffset: number, endOffset: number): number {
  if (position === 'start') return startOffset;
  if (typeof position === 'number') return position;
  return typeof position === 'object' && 'beforeEnd' in position ? endOffset - position.beforeEnd : endOffset;
}
