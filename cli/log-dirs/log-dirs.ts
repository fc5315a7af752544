/** `kappalog log-dirs`: the data directories of the brokers, what is free, and what lies in them. */
import type { LogDirDescription } from '../../client/index.ts';
import { existingTopics, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { directoriesOf } from '../cluster/cluster-state.ts';
import { warnOfSilent } from '../cluster/silent-nodes.ts';
import { countOf, formatCount, renderTable, type Column } from '../table.ts';

type LogDirPartition = LogDirDescription['partitions'][number];

const partitionColumns: readonly Column<LogDirPartition>[] = [
  { title: 'topic', cell: (row) => row.topic },
  { title: 'partition', cell: (row) => row.partition, align: 'right' },
  { title: 'bytes', cell: (row) => row.sizeBytes, align: 'right' },
  {
    title: 'state',
    cell: ({ isFuture, offsetLag }) =>
      isFuture ? `on its way here, ${countOf(offsetLag, 'record')} left` : 'current',
  },
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
    const { brokers } = await admin.describeCluster();
    const wanted = topics.length === 0 ? undefined : topics;
    const answers = await Promise.all(brokers.map(({ id }) => directoriesOf(admin, id, wanted)));
    const described = answers.flatMap((each) => each ?? []);
    const silentNodes = brokers.map(({ id }) => id).filter((_, at) => answers[at] === undefined);
    warnOfSilent(silentNodes, 'what lies there is not known', context);
    const directories = described.map(({ error, ...rest }) => ({ ...rest, error: error?.code ?? null }));
    context.output.result({ directories, silentNodes }, () =>
      described.map((directory) => shown(directory, options.partitions === true)).join('\n\n'),
    );
  });
}

function shown({ broker, path, error, ...rest }: LogDirDescription, withPartitions: boolean): string {
  if (error !== null) return `${path} on broker ${broker}: cannot be used (${error.code})`;
  const { partitions, totalBytes, usableBytes } = rest;
  const sizeBytes = partitions.reduce((sum, partition) => sum + partition.sizeBytes, 0);
  const arriving = partitions.filter(({ isFuture }) => isFuture).length;
  const count = countOf(partitions.length - arriving, 'partition');
  const coming = arriving === 0 ? '' : ` and ${formatCount(arriving)} on the way here`;
  const space =
    totalBytes === null || usableBytes === null
      ? ''
      : `, ${formatCount(usableBytes)} of ${formatCount(totalBytes)} bytes free`;
  const summary = `${path} on broker ${broker}: ${count}${coming} with ${formatCount(sizeBytes)} bytes${space}`;
  return withPartitions && partitions.length > 0
    ? [summary, '', renderTable(partitionColumns, partitions)].join('\n')
    : summary;
}
