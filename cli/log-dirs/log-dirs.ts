/** `kappalog log-dirs`: the data directories of the brokers, what is free, and what lies in them. */
import type { LogDirDescription } from '../../client/index.ts';
import { existingTopics, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { formatCount, renderTable, type Column } from '../table.ts';

type LogDirPartition = LogDirDescription['partitions'][number];

const partitionColumns: readonly Column<LogDirPartition>[] = [
  { title: 'topic', cell: (row) => row.topic },
  { title: 'partition', cell: (row) => row.partition, align: 'right' },
  { title: 'bytes', cell: (row) => row.sizeBytes, align: 'right' },
];

/** Of all topics, or of those named, which have to exist. */
export async function describeLogDirs(
  topics: readonly string[],
  options: ClientOptions & { readonly partitions?: boolean },
  context: CommandContext,
): Promise<void> {
  await withClient(options, async (client) => {
    const admin = client.admin();
    if (topics.length > 0) await existingTopics(admin, topics);
    const described = await admin.describeLogDirs(topics.length === 0 ? {} : { topics });
    const directories = described.map(({ error, ...rest }) => ({ ...rest, error: error?.code ?? null }));
    context.output.result({ directories }, () =>
      described.map((directory) => shown(directory, options.partitions === true)).join('\n\n'),
    );
  });
}

function shown({ broker, path, error, ...rest }: LogDirDescription, withPartitions: boolean): string {
  if (error !== null) return `${path} on broker ${broker}: cannot be used (${error.code})`;
  const { partitions, totalBytes, usableBytes } = rest;
  const sizeBytes = partitions.reduce((sum, partition) => sum + partition.sizeBytes, 0);
  const space =
    totalBytes === null || usableBytes === null
      ? ''
      : `, ${formatCount(usableBytes)} of ${formatCount(totalBytes)} bytes free`;
  const summary = `${path} on broker ${broker}: ${formatCount(partitions.length)} partition${partitions.length === 1 ? '' : 's'} with ${formatCount(sizeBytes)} bytes${space}`;
  return withPartitions && partitions.length > 0
    ? [summary, '', renderTable(partitionColumns, partitions)].join('\n')
    : summary;
}
