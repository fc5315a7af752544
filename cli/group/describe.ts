/** `kappalog group describe`: the state of groups, what their members read, and how far they are. */
import type { GroupDescription, GroupMember } from '../../client/index.ts';
import { withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { countOf, renderTable, type Column } from '../table.ts';
import { formatDuration } from '../times.ts';
import { partitionsOf, refuseMissing } from './groups.ts';
import type { GroupPartition } from './groups.ts';

export interface DescribeOptions extends ClientOptions {
  readonly members?: boolean;
}

const partitionColumns: readonly Column<GroupPartition>[] = [
  { title: 'topic', cell: (row) => row.topic },
  { title: 'partition', cell: (row) => row.partition, align: 'right' },
  { title: 'committed', cell: (row) => row.committed, align: 'right' },
  { title: 'end', cell: (row) => row.end, align: 'right' },
  { title: 'lag', cell: (row) => row.lag, align: 'right' },
  { title: 'behind', cell: (row) => showSeconds(row.lagSeconds), align: 'right' },
  { title: 'member', cell: (row) => row.memberId },
];

const memberColumns: readonly Column<GroupMember>[] = [
  { title: 'member', cell: ({ memberId }) => memberId },
  { title: 'instance', cell: ({ groupInstanceId }) => groupInstanceId },
  { title: 'client', cell: ({ clientId }) => clientId },
  { title: 'host', cell: ({ clientHost }) => clientHost },
  { title: 'epoch', cell: ({ consumer }) => consumer?.epoch, align: 'right' },
  { title: 'reads', cell: ({ assignment }) => showPartitions(assignment) },
  {
    title: 'is to read',
    cell: ({ consumer, assignment }) => {
      const target = showPartitions(consumer?.targetAssignment ?? assignment);
      return target === showPartitions(assignment) ? null : target;
    },
  },
];

/** How long ago; a dash where it is not known. */
export function showSeconds(seconds: number | null): string | null {
  return seconds === null ? null : formatDuration(seconds * 1_000);
}

/** `orders: 0-2,5; payments: 1`. */
export function showPartitions(
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): string {
  return [...Map.groupBy(partitions, ({ topic }) => topic)]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([topic, items]) => `${topic}: ${ranges(items.map(({ partition }) => partition))}`)
    .join('; ');
}

function ranges(numbers: readonly number[]): string {
  const found: [first: number, last: number][] = [];
  for (const number of numbers.toSorted((one, other) => one - other)) {
    const range = found.at(-1);
    if (range !== undefined && number === range[1] + 1) range[1] = number;
    else found.push([number, number]);
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** Shows for each group its state, and for each partition what is committed and how far that is behind. */
export async function describeGroups(
  names: readonly string[],
  options: DescribeOptions,
  context: CommandContext,
): Promise<void> {
  await withClient(options, async (client) => {
    const admin = client.admin();
    await refuseMissing(admin, names);
    const described = await admin.describeGroups(names);
    const groups = await Promise.all(
      described.map(async (group) => {
        const partitions = await partitionsOf(admin, group, context.nowMs);
        const known = partitions.filter((each) => each.lag !== null);
        const lag = known.reduce((sum, each) => sum + each.lag!, 0);
        return { ...group, lag: partitions.length === known.length ? lag : null, partitions };
      }),
    );
    context.output.result({ groups }, () =>
      groups
        .map((group) => {
          const tables = [
            ...(options.members === true && group.members.length > 0
              ? [renderTable(memberColumns, group.members)]
              : []),
            ...(group.partitions.length > 0 ? [renderTable(partitionColumns, group.partitions)] : []),
          ];
          return [summaryOf(group, group.lag), ...tables].join('\n\n');
        })
        .join('\n\n'),
    );
  });
}

function summaryOf(group: GroupDescription, lag: number | null): string {
  const members = countOf(group.members.length, 'member');
  const protocol = group.protocol === '' ? '' : ` (${group.protocol})`;
  const epoch = group.epoch === null ? '' : `, epoch ${group.epoch}`;
  return `Group ${group.groupId}: ${group.type}, ${group.state}, ${members}${protocol}${epoch}, lag ${lag ?? 'unknown'}`;
}
