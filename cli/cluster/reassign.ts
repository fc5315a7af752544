/** `kappalog cluster reassign`: other nodes for partitions, as an option or a file says; what is under way, and taking it back. */
import { readFile } from 'node:fs/promises';
import { replicationWarnings, spreadOver } from '../../broker/config/replication-warnings.ts';
import type { Admin, OngoingReassignment } from '../../client/index.ts';
import { CliError, usageError } from '../cli-error.ts';
import { confirm, missing, parseCount, unknownNode, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { countOf, formatCount, renderTable, type Column } from '../table.ts';
import {
  readCluster,
  requireMetadataLeader,
  targetOf,
  type ClusterState,
  type PartitionState,
} from './cluster-state.ts';
import { carryOut, exitCodeOf, moveDocument, renderOutcomes, renderPlan, summaryOf } from './moves.ts';
import { placeOn, type Move } from './placement.ts';
import { parseNodeIds, parseReassignmentFile, parseTopicSelections } from './reassignment-file.ts';
import type { Assignment, TopicSelection } from './reassignment-file.ts';

export interface ReassignOptions extends ClientOptions {
  readonly to?: string;
  readonly replicationFactor?: string;
  readonly file?: string;
  readonly list?: boolean;
  readonly cancel?: boolean;
  readonly dryRun?: boolean;
  readonly wait: boolean;
  readonly yes?: boolean;
}

interface Ongoing extends OngoingReassignment {
  /** Of `adding`, those that have all. */
  readonly added: readonly number[];
}

const ongoingColumns: readonly Column<Ongoing>[] = [
  { title: 'topic', cell: ({ topic }) => topic },
  { title: 'partition', cell: ({ partition }) => partition, align: 'right' },
  { title: 'replicas', cell: (each) => targetOf(each).join(',') },
  { title: 'adding', cell: ({ adding }) => adding.join(',') || null },
  { title: 'in sync', cell: ({ added }) => added.join(',') || null },
  { title: 'removing', cell: ({ removing }) => removing.join(',') || null },
];

export async function reassign(
  topics: readonly string[],
  options: ReassignOptions,
  context: CommandContext,
): Promise<ExitCode> {
  refuseMixed(topics, options);
  const selections = parseTopicSelections(topics);
  const assignments = options.file === undefined ? undefined : await readAssignments(options.file);
  return withClient(options, async (client) => {
    const admin = client.admin();
    const state = await readCluster(admin);
    const selected = select(state, selections);
    if (options.list === true) return list(state, selected, context);
    if (options.dryRun !== true) requireMetadataLeader(state);
    if (options.cancel === true) return cancel(admin, { state, selected }, context);
    const moves = assignments === undefined ? plan(state, selected, options) : movesOf(state, assignments);
    return move(admin, { state, moves, options }, context);
  });
}

function refuseMixed(topics: readonly string[], options: ReassignOptions): void {
  const ways = [options.to, options.file, options.list, options.cancel].filter((way) => way !== undefined);
  if (ways.length !== 1) {
    throw usageError('Say one of --to NODES, --file FILE, --list or --cancel.');
  }
  if (options.to !== undefined && topics.length === 0) {
    throw usageError('Name topics, as NAME or NAME:0-2,5, whose partitions go to these nodes.');
  }
  if (options.file !== undefined && topics.length > 0) {
    throw usageError('The file says which partitions get other replicas; name no topics beside it.');
  }
  if (options.replicationFactor !== undefined && options.to === undefined) {
    throw usageError('--replication-factor goes with --to.');
  }
}

async function readAssignments(file: string): Promise<Assignment[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw usageError(
      `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
  return parseReassignmentFile(text, file);
}

/** The partitions that are named, which must exist; all where none are. */
function select({ partitions }: ClusterState, selections: readonly TopicSelection[]): PartitionState[] {
  if (selections.length === 0) return [...partitions];
  const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
  return selections.flatMap(({ topic, partitions: indexes }) => {
    const present = byTopic.get(topic);
    if (present === undefined) throw missing('topic', topic, byTopic.keys());
    const absent = indexes?.find((index) => present[index] === undefined);
    if (absent !== undefined) throw noPartition(topic, absent, present.length);
    return indexes === undefined ? present : indexes.map((index) => present[index]!);
  });
}

function noPartition(topic: string, partition: number, count: number): CliError {
  const message = `Topic ${topic} has ${countOf(count, 'partition')} and no partition ${partition}; nothing was done.`;
  return new CliError('UNKNOWN_PARTITION', message, { exitCode: ExitCode.notFound });
}

function plan(state: ClusterState, selected: readonly PartitionState[], options: ReassignOptions): Move[] {
  const ids = parseNodeIds(options.to ?? '', '--to');
  const byId = new Map(state.nodes.map((node) => [node.id, node]));
  const nodes = ids.map((id) => {
    const node = byId.get(id);
    if (node !== undefined) return node;
    throw unknownNode(id, [...byId.keys()]);
  });
  const replicationFactor =
    options.replicationFactor === undefined
      ? undefined
      : parseCount(options.replicationFactor, '--replication-factor', 1);
  const most = Math.max(0, ...selected.map((each) => replicationFactor ?? targetOf(each).length));
  if (most > ids.length) {
    throw usageError(
      `${most} replicas need ${most} nodes, and --to names ${ids.length}. Name more nodes, or fewer replicas with --replication-factor.`,
    );
  }
  const chosen = new Set(selected);
  const planned = (each: PartitionState) => ({ ...each, replicas: targetOf(each) });
  return placeOn({
    nodes,
    partitions: selected.map(planned),
    others: state.partitions.filter((each) => !chosen.has(each)).map(planned),
    replicationFactor,
  });
}

/** What a file asks for, without what is so already. */
function movesOf(state: ClusterState, assignments: readonly Assignment[]): Move[] {
  const byTopic = Map.groupBy(state.partitions, ({ topic }) => topic);
  return assignments.flatMap(({ topic, partition, replicas: after }): Move[] => {
    const present = byTopic.get(topic);
    if (present === undefined) throw missing('topic', topic, byTopic.keys());
    const known = present[partition];
    if (known === undefined) throw noPartition(topic, partition, present.length);
    const before = targetOf(known);
    if (before.join() === after.join()) return [];
    return [{ topic, partition, before, after, sizeBytes: known.sizeBytes }];
  });
}

async function move(
  admin: Admin,
  { state, moves, options }: { state: ClusterState; moves: readonly Move[]; options: ReassignOptions },
  context: CommandContext,
): Promise<ExitCode> {
  const warnings = warningsAbout(state, moves);
  for (const warning of warnings) context.output.warn(warning);
  if (options.dryRun === true || moves.length === 0) {
    const document = { dryRun: options.dryRun === true, moves, ...moveDocument(moves), warnings };
    context.output.result(document, () => renderPlan(moves));
    return ExitCode.ok;
  }
  await confirm(summaryOf(moves), { yes: options.yes === true }, context);
  const outcomes = await carryOut(admin, moves, { atOnce: Infinity, waits: options.wait }, context);
  context.output.result({ dryRun: false, moves: outcomes, ...moveDocument(moves), warnings }, () =>
    renderOutcomes(outcomes),
  );
  return exitCodeOf(outcomes);
}

/** Once for each topic whose replicas move. */
function warningsAbout({ nodes }: ClusterState, moves: readonly Move[]): string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const byTopic = Map.groupBy(moves, ({ topic }) => topic);
  return [...byTopic].flatMap(([topic, ofTopic]) =>
    replicationWarnings(
      topic,
      ofTopic.map(({ after }) => {
        const chosen = after.flatMap((id) => byId.get(id) ?? []);
        return spreadOver(chosen, after.length);
      }),
    ),
  );
}

function list(state: ClusterState, selected: readonly PartitionState[], context: CommandContext): ExitCode {
  const bySelected = new Map(selected.map((each) => [`${each.topic}/${each.partition}`, each]));
  const reassignments = state.reassignments.flatMap((each): Ongoing[] => {
    const partition = bySelected.get(`${each.topic}/${each.partition}`);
    if (partition === undefined) return [];
    return [{ ...each, added: each.adding.filter((id) => partition.inSync.includes(id)) }];
  });
  context.output.result({ reassignments }, () =>
    reassignments.length === 0 ? 'Nothing is under way.' : renderTable(ongoingColumns, reassignments),
  );
  return ExitCode.ok;
}

async function cancel(
  admin: Admin,
  { state, selected }: { state: ClusterState; selected: readonly PartitionState[] },
  context: CommandContext,
): Promise<ExitCode> {
  const wanted = new Set(selected.map(({ topic, partition }) => `${topic}/${partition}`));
  const ongoing = state.reassignments.filter(({ topic, partition }) => wanted.has(`${topic}/${partition}`));
  const results = await admin.alterPartitionReassignments(
    ongoing.map(({ topic, partition }) => ({ topic, partition, replicas: null })),
  );
  const failed = results.filter(({ error }) => error !== null);
  const cancelled = results.filter(({ error }) => error === null);
  context.output.result(
    {
      cancelled: cancelled.map(({ topic, partition }) => ({ topic, partition })),
      failed: failed.map(({ topic, partition, error }) => ({
        topic,
        partition,
        code: error!.code,
        message: error!.message,
      })),
    },
    () =>
      [
        ongoing.length === 0
          ? 'Nothing is under way.'
          : `${formatCount(cancelled.length)} of ${formatCount(ongoing.length)} were taken back: these partitions keep the replicas that they had.`,
        ...failed.map(({ error }) => error!.message),
      ].join('\n'),
  );
  if (failed.length === 0) return ExitCode.ok;
  return cancelled.length === 0 ? ExitCode.error : ExitCode.partial;
}
