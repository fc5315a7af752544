/**
 * `kappalog group reset`: sets what a group has committed, so that it reads again, or leaves out, what lies between. It shows what would
 * change and does nothing unless told to.
 */
import { readFile } from 'node:fs/promises';
import type { Admin, TopicPartition } from '../../client/index.ts';
import { KafkaError } from '../../client/index.ts';
import { CliError, usageError } from '../cli-error.ts';
import { existingTopics, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { parsePosition } from '../positions.ts';
import { countOf, renderTable, type Column } from '../table.ts';
import { byTopic, keyOf, refuseMissing } from './groups.ts';
import { fromCsv, planReset, toCsv } from './reset-plan.ts';
import type { KnownPartition, PlannedReset, ResetTarget } from './reset-plan.ts';
import { parseTopics, selects } from './topic-selection.ts';

export interface ResetOptions extends ClientOptions {
  readonly to?: string;
  readonly shift?: string;
  readonly file?: string;
  readonly topic?: readonly string[];
  readonly execute?: boolean;
  readonly export?: boolean;
}

const columns: readonly Column<PlannedReset>[] = [
  { title: 'topic', cell: (row) => row.topic },
  { title: 'partition', cell: (row) => row.partition, align: 'right' },
  { title: 'committed', cell: (row) => row.from, align: 'right' },
  { title: 'to', cell: (row) => row.to, align: 'right' },
  {
    title: 'read again',
    cell: (row) => (row.again !== null && row.again > 0 ? row.again : null),
    align: 'right',
  },
  {
    title: 'left out',
    cell: (row) => (row.again !== null && row.again < 0 ? -row.again : null),
    align: 'right',
  },
  { title: 'note', cell: (row) => (row.isClamped ? 'the log has no more than that' : null) },
];

export async function resetGroup(
  name: string,
  options: ResetOptions,
  context: CommandContext,
): Promise<void> {
  const ways = [options.to, options.shift, options.file].filter((way) => way !== undefined).length;
  if (ways > 1 || (ways === 0 && options.export !== true)) {
    throw usageError(
      'Say where to: one of --to POSITION, --shift RECORDS, --file FILE (or --export alone, for what is committed).',
    );
  }
  await withClient(options, async (client) => {
    const admin = client.admin();
    // A group that is not there yet can be given a place to begin, where the topics are named.
    if (options.topic === undefined && options.file === undefined) await refuseMissing(admin, [name]);
    const plan = (await planOf(admin, name, options, context)).toSorted(byTopic);
    if (options.export === true) {
      context.output.result({ group: name, partitions: plan }, () => toCsv(plan));
      return;
    }
    const isDone = options.execute === true;
    if (isDone) await carryOut(admin, name, plan);
    context.output.result({ group: name, executed: isDone, partitions: plan }, () =>
      renderTable(columns, plan),
    );
    const what = `${countOf(plan.length, 'partition')} of ${name}`;
    context.output.note(isDone ? `Reset ${what}.` : `Nothing was changed. Add --execute to reset ${what}.`);
  });
}

async function planOf(
  admin: Admin,
  name: string,
  options: ResetOptions,
  context: CommandContext,
): Promise<PlannedReset[]> {
  if (options.file !== undefined) return planFromFile(admin, name, options.file);
  const committed = await committedOf(admin, name);
  const places =
    options.topic === undefined ? [...committed.values()] : await partitionsNamed(admin, options.topic);
  if (places.length === 0) {
    const message = `Group ${name} has committed nothing: say which topics, with --topic.`;
    throw new CliError('NO_OFFSET', message, { exitCode: ExitCode.notFound });
  }
  const known = await knownPartitions(admin, places, committed);
  const targets = await targetsOf(admin, known, options, context.nowMs);
  return known.map((each, place) => planReset(each, targets[place]!));
}

async function planFromFile(admin: Admin, name: string, file: string): Promise<PlannedReset[]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw usageError(
      `The file ${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}.`,
      cause,
    );
  });
  const wanted = fromCsv(text);
  if (typeof wanted === 'number') {
    throw usageError(`Line ${wanted} of ${file} is not of the form topic,partition,offset.`);
  }
  if (wanted.length === 0) throw usageError(`The file ${file} has no offsets.`);
  await existingTopics(admin, [...new Set(wanted.map(({ topic }) => topic))]);
  const known = await knownPartitions(admin, wanted, await committedOf(admin, name));
  return known.map((each, place) => planReset(each, { kind: 'offset', offset: wanted[place]!.offset }));
}

async function committedOf(
  admin: Admin,
  name: string,
): Promise<Map<string, TopicPartition & { offset: number }>> {
  return new Map((await admin.fetchGroupOffsets(name)).map((offset) => [keyOf(offset), offset]));
}

/** All partitions of these topics that are meant, whether or not something is committed there. */
async function partitionsNamed(admin: Admin, texts: readonly string[]): Promise<TopicPartition[]> {
  const selection = parseTopics(texts);
  const topics = await existingTopics(admin, [...selection.keys()]);
  const named = topics.flatMap(({ name, partitions }) => {
    const missing = [...(selection.get(name) ?? [])].find((partition) => partitions[partition] === undefined);
    if (missing !== undefined) {
      const message = `There is no partition ${missing} of ${name}, which has ${countOf(partitions.length, 'partition')}.`;
      throw new CliError('UNKNOWN_PARTITION', message, { exitCode: ExitCode.notFound });
    }
    return partitions.map(({ partition }) => ({ topic: name, partition }));
  });
  return named.filter((each) => selects(selection, each));
}

async function knownPartitions(
  admin: Admin,
  places: readonly TopicPartition[],
  committed: ReadonlyMap<string, { readonly offset: number }>,
): Promise<KnownPartition[]> {
  const at = (end: 'earliest' | 'latest') =>
    admin.listOffsets(places.map(({ topic, partition }) => ({ topic, partition, at: end })));
  const [starts, ends] = await Promise.all([at('earliest'), at('latest')]);
  return places.map(({ topic, partition }, place) => ({
    topic,
    partition,
    committed: committed.get(keyOf({ topic, partition }))?.offset ?? null,
    start: starts[place]!.offset,
    end: ends[place]!.offset,
  }));
}

/** One for each partition, in their order. */
async function targetsOf(
  admin: Admin,
  known: readonly KnownPartition[],
  { to, shift }: ResetOptions,
  nowMs: number,
): Promise<readonly ResetTarget[]> {
  if (shift !== undefined) {
    const records = Number(shift);
    if (!/^[+-]?\d+$/.test(shift.trim()) || !Number.isSafeInteger(records)) {
      throw usageError(`--shift takes a number of records, such as -100 or 50, not "${shift}".`);
    }
    return known.map(() => ({ kind: 'shift', records }));
  }
  if (to === undefined || /^current$/i.test(to.trim()))
    return known.map(() => ({ kind: 'shift', records: 0 }));
  const position = parsePosition(to, '--to', nowMs);
  if (position === 'start') return known.map(({ start }) => ({ kind: 'offset', offset: start }));
  if (position === 'end') return known.map(({ end }) => ({ kind: 'offset', offset: end }));
  if (typeof position === 'number') return known.map(() => ({ kind: 'offset', offset: position }));
  if ('beforeEnd' in position) return known.map(() => ({ kind: 'before-end', records: position.beforeEnd }));
  const found = await admin.listOffsets(
    known.map(({ topic, partition }) => ({ topic, partition, at: { timestamp: position.timestamp } })),
  );
  // Where no record is as late, the group goes on with what comes.
  return known.map(({ end }, place) => ({
    kind: 'offset',
    offset: found[place]!.offset < 0 ? end : found[place]!.offset,
  }));
}

/** A group with members would go on where it is, and commit that: they have to stop first. */
async function carryOut(admin: Admin, name: string, plan: readonly PlannedReset[]): Promise<void> {
  const [group] = await admin.describeGroups([name]);
  const members = group?.members ?? [];
  if (members.length > 0)
    throw hasMembers(
      name,
      members.map(({ clientId, clientHost }) => `${clientId} at ${clientHost.replace(/^\//, '')}`),
    );
  try {
    await admin.commitGroupOffsets(
      name,
      plan.map(({ topic, partition, to }) => ({ topic, partition, offset: to })),
    );
  } catch (error) {
    if (error instanceof KafkaError && error.code === 'UNKNOWN_MEMBER_ID') throw hasMembers(name, []);
    throw error;
  }
}

function hasMembers(name: string, members: readonly string[]): CliError {
  const who =
    members.length === 0 ? '' : ` (${members.slice(0, 5).join(', ')}${members.length > 5 ? ', ...' : ''})`;
  return new CliError(
    'NON_EMPTY_GROUP',
    `Group ${name} has members${who}, which would go on where they are: stop them first. Nothing was changed.`,
  );
}
