/** `kappalog cluster move`: replicas from one data directory of their node to another; what is under way, and taking it back. */
import type { Admin, LogDirDescription } from '../../client/index.ts';
import { CliError, usageError } from '../cli-error.ts';
import { confirm, existingTopics, parseCount, unknownNode, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { countOf, formatBytes, formatCount, renderTable, type Column } from '../table.ts';
import { directoriesOf } from './cluster-state.ts';
import { carryOutInDirectories, type DirectoryOutcome } from './directory-moves.ts';
import { isSelected, movesUnderWay, planDirectories } from './directory-plan.ts';
import type { DirectoryMove, OngoingMove } from './directory-plan.ts';
import { exitCodeOf } from './moves.ts';
import { warnOfSilent } from './silent-nodes.ts';
import { parseTopicSelections, type TopicSelection } from './reassignment-file.ts';

export interface DirectoryMoveOptions extends ClientOptions {
  readonly node?: string;
  readonly from?: string;
  readonly to?: string;
  readonly list?: boolean;
  readonly cancel?: boolean;
  readonly dryRun?: boolean;
  readonly wait: boolean;
  readonly yes?: boolean;
}

const moveColumns: readonly Column<DirectoryMove>[] = [
  { title: 'node', cell: ({ node }) => node, align: 'right' },
  { title: 'topic', cell: ({ topic }) => topic },
  { title: 'partition', cell: ({ partition }) => partition, align: 'right' },
  { title: 'from', cell: ({ from }) => from },
  { title: 'to', cell: ({ to }) => to },
  { title: 'size', cell: ({ sizeBytes }) => formatBytes(sizeBytes), align: 'right' },
];

const ongoingColumns: readonly Column<OngoingMove>[] = [
  ...moveColumns,
  { title: 'copied', cell: ({ copiedBytes }) => formatBytes(copiedBytes), align: 'right' },
  { title: 'records left', cell: ({ lagRecords }) => lagRecords, align: 'right' },
];

export async function moveReplicas(
  topics: readonly string[],
  options: DirectoryMoveOptions,
  context: CommandContext,
): Promise<ExitCode> {
  refuseMixed(topics, options);
  const selections = parseTopicSelections(topics);
  const nodeId = options.node === undefined ? undefined : parseCount(options.node, '--node', 0);
  return withClient(options, async (client) => {
    const admin = client.admin();
    const { brokers } = await admin.describeCluster();
    const known = brokers.map(({ id }) => id);
    if (nodeId !== undefined && !known.includes(nodeId)) throw unknownNode(nodeId, known);
    if (selections.length > 0) {
      await existingTopics(
        admin,
        selections.map(({ topic }) => topic),
      );
    }
    if (options.list === true || options.cancel === true) {
      const asked = nodeId === undefined ? known : [nodeId];
      const found = await findOngoing(admin, asked, selections);
      return options.list === true ? list(found, context) : cancel(admin, found, context);
    }
    const node = nodeId ?? onlyNode(known);
    const moves = planDirectories({
      node,
      directories: await requireDirectories(admin, node),
      topics: selections,
      from: options.from,
      to: (options.to ?? '').split(','),
    });
    return move(admin, { moves, options }, context);
  });
}

function refuseMixed(topics: readonly string[], { from, to, list, cancel }: DirectoryMoveOptions): void {
  if ([to, list, cancel].filter((way) => way !== undefined).length !== 1) {
    throw usageError('Say one of --to DIRECTORY, --list or --cancel.');
  }
  if (from !== undefined && to === undefined) throw usageError('--from goes with --to.');
  if (to !== undefined && topics.length === 0 && from === undefined) {
    throw usageError('Name topics, as NAME or NAME:0-2,5, or with --from the directory whose replicas move.');
  }
}

/** Directories belong to one node each: with several it has to be said which is meant. */
function onlyNode(known: readonly number[]): number {
  const [only, ...others] = known;
  if (only !== undefined && others.length === 0) return only;
  throw usageError(`Say with --node whose replicas move. The cluster has: ${known.join(', ')}.`);
}

async function requireDirectories(admin: Admin, node: number): Promise<readonly LogDirDescription[]> {
  const directories = await directoriesOf(admin, node);
  if (directories === undefined) {
    throw new CliError(
      'BROKER_NOT_AVAILABLE',
      `Node ${node} does not answer, and only it can move its replicas; nothing was done. "kappalog cluster status" shows how it is.`,
      { exitCode: ExitCode.timeout },
    );
  }
  if (directories.length > 1) return directories;
  throw new CliError(
    'LOG_DIR_NOT_FOUND',
    `Node ${node} has one data directory, ${directories[0]?.path ?? ''}; nothing was done. Start it with --data-dir FIRST,SECOND to give it another.`,
    { exitCode: ExitCode.notFound },
  );
}

async function move(
  admin: Admin,
  { moves, options }: { moves: readonly DirectoryMove[]; options: DirectoryMoveOptions },
  context: CommandContext,
): Promise<ExitCode> {
  const bytes = moves.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (options.dryRun === true || moves.length === 0) {
    context.output.result({ dryRun: options.dryRun === true, moves, bytes }, () =>
      moves.length === 0
        ? 'Nothing is to be moved.'
        : `${renderTable(moveColumns, moves)}\n\n${summaryOf(moves, bytes)}`,
    );
    return ExitCode.ok;
  }
  await confirm(summaryOf(moves, bytes), { yes: options.yes === true }, context);
  const outcomes = await carryOutInDirectories(admin, moves, { waits: options.wait }, context);
  context.output.result({ dryRun: false, moves: outcomes, bytes }, () => renderOutcomes(outcomes));
  const isCutShort = options.wait && outcomes.some(({ outcome }) => outcome === 'begun');
  if (isCutShort) {
    const nodes = [...new Set(outcomes.map(({ node }) => node))];
    warnOfSilent(nodes, 'what it has begun goes on once it is back', context);
  }
  return isCutShort ? ExitCode.partial : exitCodeOf(outcomes);
}

function summaryOf(moves: readonly DirectoryMove[], bytes: number): string {
  return `${countOf(moves.length, 'replica goes', 'replicas go')} to another data directory; about ${formatBytes(bytes)} are copied.`;
}

function renderOutcomes(outcomes: readonly DirectoryOutcome[]): string {
  const { done = [], begun = [], failed = [] } = Object.groupBy(outcomes, ({ outcome }) => outcome);
  return [
    ...(done.length === 0
      ? []
      : [`${countOf(done.length, 'replica lies', 'replicas lie')} in another data directory now.`]),
    ...(begun.length === 0
      ? []
      : [
          `${countOf(begun.length, 'replica is on its', 'replicas are on their')} way; "kappalog cluster move --list" shows what is left.`,
        ]),
    ...(failed.length === 0 ? [] : [`${countOf(failed.length, 'was', 'were')} not moved:`]),
    ...failed.map(({ topic, partition, error }) => `${topic}-${partition}: ${error?.message ?? ''}`),
  ].join('\n');
}

interface Found {
  readonly moves: readonly OngoingMove[];
  /** Nodes that do not answer: what they move is not known. */
  readonly silentNodes: readonly number[];
}

async function findOngoing(
  admin: Admin,
  nodes: readonly number[],
  selections: readonly TopicSelection[],
): Promise<Found> {
  const answers = await Promise.all(nodes.map((node) => directoriesOf(admin, node)));
  const moves = answers.flatMap((directories) => movesUnderWay(directories ?? []));
  return {
    moves: moves.filter((each) => isSelected(selections, each)),
    silentNodes: nodes.filter((_, at) => answers[at] === undefined),
  };
}

function list({ moves, silentNodes }: Found, context: CommandContext): ExitCode {
  warnOfSilent(silentNodes, 'what is moved there is not known', context);
  context.output.result({ moves, silentNodes }, () =>
    moves.length === 0 ? 'Nothing is under way.' : renderTable(ongoingColumns, moves),
  );
  return ExitCode.ok;
}

async function cancel(
  admin: Admin,
  { moves, silentNodes }: Found,
  context: CommandContext,
): Promise<ExitCode> {
  warnOfSilent(silentNodes, 'what is moved there is not known', context);
  const results = await admin.alterReplicaLogDirs(
    moves.map(({ topic, partition, node, from }) => ({ topic, partition, broker: node, path: from })),
  );
  const named = results.map(({ topic, partition, broker, error }) => ({
    node: broker,
    topic,
    partition,
    error,
  }));
  const failed = named.filter(({ error }) => error !== null);
  const cancelled = named.filter(({ error }) => error === null);
  context.output.result(
    {
      cancelled: cancelled.map(({ node, topic, partition }) => ({ node, topic, partition })),
      failed: failed.map(({ error, ...rest }) => ({ ...rest, code: error!.code, message: error!.message })),
      silentNodes,
    },
    () =>
      [
        moves.length === 0
          ? 'Nothing is under way.'
          : `${formatCount(cancelled.length)} of ${formatCount(moves.length)} were taken back: these replicas stay where they are.`,
        ...failed.map(({ error }) => error!.message),
      ].join('\n'),
  );
  if (failed.length === 0) return silentNodes.length === 0 ? ExitCode.ok : ExitCode.partial;
  return cancelled.length === 0 ? ExitCode.error : ExitCode.partial;
}
