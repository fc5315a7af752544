/** `kappalog topic create | list | describe | alter | delete`. */
import type {
  Admin,
  ConfigEntry,
  CreatedTopic,
  Kappalog,
  NewTopic,
  TopicDescription,
} from '../../client/index.ts';
import { replicationWarnings, spreadOver } from '../../broker/config/replication-warnings.ts';
import { CliError, usageError } from '../cli-error.ts';
import { confirm, existingTopic, existingTopics, parseCount, parsePairs, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { knownOffsets } from '../known-offsets.ts';
import { formatCount, renderTable, type Column } from '../table.ts';

export interface CreateOptions extends ClientOptions {
  readonly partitions?: string;
  readonly replicationFactor?: string;
  readonly config?: readonly string[];
  readonly ifNotExists?: boolean;
  readonly dryRun?: boolean;
}

/** Creates topics, all with the same options, one after the other; the first that cannot be ends it. */
export async function createTopics(
  names: readonly string[],
  options: CreateOptions,
  context: CommandContext,
): Promise<void> {
  const settings = newTopicSettings(options);
  const dryRun = options.dryRun === true;
  await withClient(options, async (client) => {
    const admin = client.admin();
    const there = options.ifNotExists === true ? await topicNames(admin) : new Set<string>();
    const created: CreatedTopic[] = [];
    const existing = names.filter((name) => there.has(name));
    for (const name of names.filter((each) => !there.has(each))) {
      try {
        created.push(...(await admin.createTopics([{ name, ...settings }], { validateOnly: dryRun })));
      } catch (error) {
        throw afterSome(error, created);
      }
    }
    const warnings = await warningsAbout(created, admin);
    for (const warning of warnings) context.output.warn(warning);
    context.output.result({ created, existing, dryRun, warnings }, () =>
      [
        ...created.map(
          (topic) => `${dryRun ? 'Could create' : 'Created'} topic ${topic.name}${describeSize(topic)}.`,
        ),
        ...existing.map((name) => `Topic ${name} is there already.`),
      ].join('\n'),
    );
  });
}

function newTopicSettings({ partitions, replicationFactor, config }: CreateOptions): Omit<NewTopic, 'name'> {
  return {
    configs: Object.fromEntries(parsePairs(config ?? [], '--config')),
    ...(partitions === undefined ? {} : { partitions: parseCount(partitions, '--partitions', 1) }),
    ...(replicationFactor === undefined
      ? {}
      : { replicationFactor: parseCount(replicationFactor, '--replication-factor', 1) }),
  };
}

/** The controller has spread replicas over the nodes that are there. */
async function warningsAbout(created: readonly CreatedTopic[], admin: Admin): Promise<string[]> {
  if (created.every(({ replicationFactor }) => replicationFactor < 2)) return [];
  const nodes = (await admin.describeCluster()).brokers.filter(({ fenced }) => !fenced);
  return created.flatMap(({ name, replicationFactor }) =>
    replicationWarnings(name, [spreadOver(nodes, replicationFactor)]),
  );
}

/** Says what is there already when a later one of several fails. */
function afterSome(error: unknown, created: readonly CreatedTopic[]): unknown {
  if (created.length === 0 || !(error instanceof Error)) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'ERROR';
  const names = created.map((topic) => topic.name).join(', ');
  return new CliError(code, `${error.message} Created before that: ${names}.`, {
    exitCode: ExitCode.partial,
    cause: error,
  });
}

/** Lists topics in order of name. */
export async function listTopics(
  options: ClientOptions & { readonly internal?: boolean },
  context: CommandContext,
): Promise<void> {
  await withClient(options, async (client) => {
    const admin = client.admin();
    const listed = await admin.listTopics({ internal: options.internal === true });
    const names = listed.map((topic) => topic.name).sort();
    const described = names.length === 0 ? [] : await admin.describeTopics(names);
    const topics = described.map((topic) => ({
      name: topic.name,
      partitions: topic.partitions.length,
      replicationFactor: topic.partitions[0]?.replicas.length ?? 0,
      internal: topic.internal,
      topicId: topic.topicId,
    }));
    context.output.list('topics', topics, [
      { title: 'name', cell: (topic) => topic.name },
      { title: 'partitions', cell: (topic) => topic.partitions, align: 'right' },
      { title: 'replicas', cell: (topic) => topic.replicationFactor, align: 'right' },
    ]);
  });
}

interface DescribedPartition {
  readonly partition: number;
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
  /** Null where there is no leader, or none that answers; so is the next. */
  readonly startOffset: number | null;
  readonly endOffset: number | null;
}

const partitionColumns: readonly Column<DescribedPartition>[] = [
  { title: 'partition', cell: (row) => row.partition, align: 'right' },
  { title: 'leader', cell: (row) => (row.leader < 0 ? null : row.leader), align: 'right' },
  { title: 'replicas', cell: (row) => row.replicas.join(',') },
  { title: 'in sync', cell: (row) => row.inSyncReplicas.join(',') || null },
  { title: 'start', cell: (row) => row.startOffset, align: 'right' },
  { title: 'end', cell: (row) => row.endOffset, align: 'right' },
  { title: 'records', cell: recordsOf, align: 'right' },
];

const configColumns: readonly Column<ConfigEntry>[] = [
  { title: 'setting', cell: (entry) => entry.name },
  { title: 'value', cell: (entry) => (entry.value === null && entry.sensitive ? '(hidden)' : entry.value) },
  { title: 'source', cell: (entry) => entry.source },
];

/** Shows partitions with their offsets, and the settings that differ from their default (or all). */
export async function describeTopics(
  names: readonly string[],
  options: ClientOptions & { readonly allConfigs?: boolean },
  context: CommandContext,
): Promise<void> {
  await withClient(options, async (client) => {
    const admin = client.admin();
    const descriptions = await existingTopics(admin, names);
    const configs = await admin.describeConfigs(names.map((name) => ({ type: 'topic', name })));
    const topics = await Promise.all(
      descriptions.map(async (topic) => ({
        name: topic.name,
        topicId: topic.topicId,
        internal: topic.internal,
        partitions: await describePartitions(admin, topic),
        configs: (configs.find((each) => each.name === topic.name)?.entries ?? []).filter(
          (entry) => options.allConfigs === true || entry.source === 'topic',
        ),
      })),
    );
    context.output.result({ topics }, () =>
      topics
        .map(({ name, topicId, partitions, configs: entries }) => {
          const settings = entries.length === 0 ? [] : ['', renderTable(configColumns, entries)];
          return [
            `Topic ${name} (${topicId})`,
            '',
            renderTable(partitionColumns, partitions),
            ...settings,
          ].join('\n');
        })
        .join('\n\n'),
    );
  });
}

export interface AlterOptions extends ClientOptions {
  readonly partitions?: string;
  readonly config?: readonly string[];
  readonly deleteConfig?: readonly string[];
}

/** Changes settings first, then adds partitions; says what it did. */
export async function alterTopic(
  name: string,
  options: AlterOptions,
  context: CommandContext,
): Promise<void> {
  const set = Object.fromEntries(parsePairs(options.config ?? [], '--config'));
  const remove = options.deleteConfig ?? [];
  const count =
    options.partitions === undefined ? undefined : parseCount(options.partitions, '--partitions', 1);
  const changesConfig = Object.keys(set).length > 0 || remove.length > 0;
  if (!changesConfig && count === undefined) {
    throw usageError(
      'Nothing to change: give --config KEY=VALUE, --delete-config KEY or --partitions COUNT.',
    );
  }
  await withClient(options, async (client) => {
    const admin = client.admin();
    const topic = await existingTopic(admin, name);
    if (count !== undefined && count <= topic.partitions.length) {
      throw new CliError(
        'INVALID_PARTITIONS',
        `Topic ${name} has ${topic.partitions.length} partitions; their number can only grow. Nothing was changed.`,
      );
    }
    if (changesConfig) await admin.alterConfigs([{ type: 'topic', name, set, remove }]);
    if (count !== undefined) await admin.createPartitions({ topic: name, count });
    context.output.result(
      { topic: name, set, removed: remove, partitions: count ?? topic.partitions.length },
      () =>
        [
          ...Object.entries(set).map(([key, value]) => `Set ${key}=${value} on ${name}.`),
          ...remove.map((key) => `Put ${key} of ${name} back to its default.`),
          ...(count === undefined
            ? []
            : [`Topic ${name} has ${count} partitions now; keys may go to other partitions than before.`]),
        ].join('\n'),
    );
  });
}

/** Deletes topics once they all exist and somebody has said yes. */
export async function deleteTopics(
  names: readonly string[],
  options: ClientOptions & { readonly yes?: boolean },
  context: CommandContext,
): Promise<void> {
  await withClient(options, async (client: Kappalog) => {
    const admin = client.admin();
    const descriptions = await existingTopics(admin, names);
    const records = await Promise.all(descriptions.map((topic) => describeCount(admin, topic)));
    const what = names.map((name, index) => `${name} (${records[index]})`).join(', ');
    await confirm(`This deletes ${what} for good.`, { yes: options.yes === true }, context);
    await admin.deleteTopics(names);
    context.output.result({ deleted: names }, () => names.map((name) => `Deleted topic ${name}.`).join('\n'));
  });
}

async function describePartitions(admin: Admin, topic: TopicDescription): Promise<DescribedPartition[]> {
  const places = topic.partitions.map(({ partition, leader }) => ({ topic: topic.name, partition, leader }));
  const [starts, ends] = await Promise.all([
    knownOffsets(admin, places, 'earliest'),
    knownOffsets(admin, places, 'latest'),
  ]);
  return topic.partitions.map(({ partition, leader, leaderEpoch, replicas, inSyncReplicas }, at) => ({
    partition,
    leader,
    leaderEpoch,
    replicas,
    inSyncReplicas,
    startOffset: starts[at] ?? null,
    endOffset: ends[at] ?? null,
  }));
}

/** Null where that could not be told. */
function recordsOf({ startOffset, endOffset }: DescribedPartition): number | null {
  return startOffset === null || endOffset === null ? null : endOffset - startOffset;
}

/** For who is asked. */
async function describeCount(admin: Admin, topic: TopicDescription): Promise<string> {
  const counts = (await describePartitions(admin, topic)).map(recordsOf);
  const known = counts.reduce<number>((sum, count) => sum + (count ?? 0), 0);
  return `${counts.includes(null) ? 'at least ' : ''}${formatCount(known)} records`;
}

async function topicNames(admin: Admin): Promise<Set<string>> {
  return new Set((await admin.listTopics({ internal: true })).map((topic) => topic.name));
}

function describeSize({
  partitions,
  replicationFactor,
}: {
  partitions: number;
  replicationFactor: number;
}): string {
  if (partitions < 1) return '';
  return ` with ${partitions} partition${partitions === 1 ? '' : 's'}, ${replicationFactor} replica${replicationFactor === 1 ? '' : 's'} each`;
}
