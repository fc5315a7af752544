/** `kappalog group list | describe | delete`. */
import type { Admin, GroupDescription, GroupOffset } from '../../client/index.ts';
import { confirm, missing, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { knownOffsets } from '../known-offsets.ts';
import { renderTable, type Column } from '../table.ts';

/** Lists groups in order of name. */
export async function listGroups(options: ClientOptions, context: CommandContext): Promise<void> {
  await withClient(options, async (client) => {
    const groups = [...(await client.admin().listGroups())].sort((a, b) => (a.groupId < b.groupId ? -1 : 1));
    context.output.list('groups', groups, [
      { title: 'group', cell: (group) => group.groupId },
      { title: 'state', cell: (group) => group.state || null },
      { title: 'protocol', cell: (group) => group.protocolType || null },
    ]);
  });
}

interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  /** The next offset to read; `null` where nothing is committed. */
  readonly committed: number | null;
  /** `null` where the topic is gone, or the partition has no leader that answers. */
  readonly end: number | null;
  /** Records behind the end; `null` where it is not known, which is not the same as 0. */
  readonly lag: number | null;
  readonly memberId: string | null;
  readonly clientId: string | null;
}

const lagColumns: readonly Column<PartitionLag>[] = [
  { title: 'topic', cell: (row) => row.topic },
  { title: 'partition', cell: (row) => row.partition, align: 'right' },
  { title: 'committed', cell: (row) => row.committed, align: 'right' },
  { title: 'end', cell: (row) => row.end, align: 'right' },
  { title: 'lag', cell: (row) => row.lag, align: 'right' },
  { title: 'member', cell: (row) => row.memberId },
];

/** Shows for each group its state, and for each partition what is committed and how far that is behind. */
export async function describeGroups(
  names: readonly string[],
  options: ClientOptions,
  context: CommandContext,
): Promise<void> {
  await withClient(options, async (client) => {
    const admin = client.admin();
    await refuseMissing(admin, names);
    const described = await admin.describeGroups(names);
    const groups = await Promise.all(
      described.map(async (group) => {
        const partitions = await lagOf(admin, group);
        const known = partitions.filter((each) => each.lag !== null);
        const lag = known.reduce((sum, each) => sum + each.lag!, 0);
        return { ...group, lag: partitions.length === known.length ? lag : null, partitions };
      }),
    );
    context.output.result({ groups }, () =>
      groups
        .map((group) => {
          const summary = `Group ${group.groupId}: ${group.state}, ${group.members.length} members${group.protocol === '' ? '' : ` (${group.protocol})`}, lag ${group.lag ?? 'unknown'}`;
          return group.partitions.length === 0
            ? summary
            : `${summary}\n\n${renderTable(lagColumns, group.partitions)}`;
        })
        .join('\n\n'),
    );
  });
}

/** Deletes groups once they all exist and somebody has said yes. */
export async function deleteGroups(
  names: readonly string[],
  options: ClientOptions & { readonly yes?: boolean },
  context: CommandContext,
): Promise<void> {
  await withClient(options, async (client) => {
    const admin = client.admin();
    await refuseMissing(admin, names);
    await confirm(
      `This deletes the committed offsets of ${names.join(', ')}.`,
      { yes: options.yes === true },
      context,
    );
    await admin.deleteGroups(names);
    context.output.result({ deleted: names }, () => names.map((name) => `Deleted group ${name}.`).join('\n'));
  });
}

async function refuseMissing(admin: Admin, names: readonly string[]): Promise<void> {
  const known = new Set((await admin.listGroups()).map((group) => group.groupId));
  for (const name of names) {
    if (!known.has(name)) throw missing('group', name, known);
  }
}

/** Every partition that is committed or assigned, in order of topic and partition. */
async function lagOf(admin: Admin, group: GroupDescription): Promise<PartitionLag[]> {
  const rows = new Map<string, PartitionLag>();
  const unknown = { committed: null, end: null, lag: null, memberId: null, clientId: null };
  const put = (topic: string, partition: number, known: Partial<PartitionLag>): void => {
    const key = `${topic}/${partition}`;
    rows.set(key, { topic, partition, ...(rows.get(key) ?? unknown), ...known });
  };
  const offsets: readonly GroupOffset[] = await admin.fetchGroupOffsets(group.groupId);
  for (const { topic, partition, offset } of offsets)
    put(topic, partition, { committed: offset < 0 ? null : offset });
  for (const { memberId, clientId, assignment } of group.members) {
    for (const { topic, partition } of assignment) put(topic, partition, { memberId, clientId });
  }
  const leaders = await leadersOf(admin, new Set([...rows.values()].map(({ topic }) => topic)));
  const present = [...rows.values()].flatMap(({ topic, partition }) => {
    const leader = leaders.get(`${topic}/${partition}`);
    return leader === undefined ? [] : [{ topic, partition, leader }];
  });
  const ends = await knownOffsets(admin, present, 'latest');
  for (const [at, { topic, partition }] of present.entries()) {
    const committed = rows.get(`${topic}/${partition}`)?.committed ?? null;
    const end = ends[at] ?? null;
    const lag = committed === null || end === null ? null : Math.max(0, end - committed);
    put(topic, partition, { end, lag });
  }
  return [...rows.values()].sort((a, b) =>
    a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
  );
}

/** By partition of those topics that exist; -1 while there is none. */
async function leadersOf(admin: Admin, topics: ReadonlySet<string>): Promise<Map<string, number>> {
  const existing = (await admin.listTopics({ internal: true })).map(({ name }) => name);
  const names = existing.filter((name) => topics.has(name));
  const described = names.length === 0 ? [] : await admin.describeTopics(names);
  return new Map(
    described.flatMap(({ name, partitions }) =>
      partitions.map(({ partition, leader }) => [`${name}/${partition}`, leader] as const),
    ),
  );
}
