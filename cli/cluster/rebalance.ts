/** `kappalog cluster rebalance`: leaderships go to preferred leaders; with --replicas, replicas are spread evenly first. */
import type { Admin, PartitionResult } from '../../client/index.ts';
import { confirm, parseCount, withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { countOf, renderTable, type Column } from '../table.ts';
import {
  readCluster,
  requireMetadataLeader,
  targetOf,
  type ClusterState,
  type PartitionState,
} from './cluster-state.ts';
import { carryOut, exitCodeOf, moveDocument, renderOutcomes, renderPlan, summaryOf } from './moves.ts';
import { evenOut, type PlanNode, type PlanPartition } from './placement.ts';

export interface RebalanceOptions extends ClientOptions {
  readonly replicas?: boolean;
  readonly dryRun?: boolean;
  readonly atOnce: string;
  readonly yes?: boolean;
}

interface Misplaced {
  readonly topic: string;
  readonly partition: number;
  readonly leader: number;
  readonly preferred: number;
}

const misplacedColumns: readonly Column<Misplaced>[] = [
  { title: 'topic', cell: ({ topic }) => topic },
  { title: 'partition', cell: ({ partition }) => partition, align: 'right' },
  { title: 'leader', cell: ({ leader }) => (leader < 0 ? null : leader), align: 'right' },
  { title: 'preferred', cell: ({ preferred }) => preferred, align: 'right' },
];

export async function rebalance(options: RebalanceOptions, context: CommandContext): Promise<ExitCode> {
  const atOnce = parseCount(options.atOnce, '--at-once', 1);
  return withClient(options, async (client) => {
    const admin = client.admin();
    const state = await readCluster(admin);
    if (options.replicas === true) return spreadReplicas(admin, { state, options, atOnce }, context);
    const misplaced = state.partitions.flatMap(misplacedLeader);
    if (options.dryRun === true) {
      context.output.result({ dryRun: true, misplaced }, () =>
        misplaced.length === 0
          ? 'All partitions are led by their preferred leaders.'
          : renderTable(misplacedColumns, misplaced),
      );
      return ExitCode.ok;
    }
    requireMetadataLeader(state);
    const results = await admin.electLeaders();
    context.output.result(electionDocument(results), () => renderElections(results));
    return codeOfElections(results);
  });
}

async function spreadReplicas(
  admin: Admin,
  { state, options, atOnce }: { state: ClusterState; options: RebalanceOptions; atOnce: number },
  context: CommandContext,
): Promise<ExitCode> {
  const { nodes, partitions } = planInput(state);
  const moves = evenOut(nodes, partitions);
  if (options.dryRun === true || moves.length === 0) {
    context.output.result({ dryRun: options.dryRun === true, moves, ...moveDocument(moves) }, () =>
      moves.length === 0
        ? 'Replicas and preferred leaderships are spread evenly already.'
        : renderPlan(moves),
    );
    return ExitCode.ok;
  }
  requireMetadataLeader(state);
  await confirm(summaryOf(moves), { yes: options.yes === true }, context);
  const outcomes = await carryOut(admin, moves, { atOnce, waits: true }, context);
  const elections = await admin.electLeaders();
  const document = { dryRun: false, moves: outcomes, ...moveDocument(moves), ...electionDocument(elections) };
  context.output.result(document, () => `${renderOutcomes(outcomes)}\n${renderElections(elections)}`);
  const code = exitCodeOf(outcomes);
  return code === ExitCode.ok ? codeOfElections(elections) : code;
}

/** Where replicas may go, and what there is to be spread: partitions that are on their way already are left alone. */
export function planInput({ nodes, partitions }: Pick<ClusterState, 'nodes' | 'partitions'>): {
  readonly nodes: PlanNode[];
  readonly partitions: PlanPartition[];
} {
  return {
    nodes: nodes
      .filter(({ fenced, drained }) => !fenced && !drained)
      .map(({ id, rack, host }) => ({ id, rack, host })),
    partitions: partitions
      .filter(({ adding, removing }) => adding.length === 0 && removing.length === 0)
      .map(({ topic, partition, replicas, sizeBytes }) => ({ topic, partition, replicas, sizeBytes })),
  };
}

function misplacedLeader(partition: PartitionState): Misplaced[] {
  const { topic, partition: index, leader } = partition;
  const [preferred = -1] = targetOf(partition);
  return leader === preferred ? [] : [{ topic, partition: index, leader, preferred }];
}

function electionDocument(results: readonly PartitionResult[]): object {
  return {
    elected: results
      .filter(({ error }) => error === null)
      .map(({ topic, partition }) => ({ topic, partition })),
    notElected: results.flatMap(({ topic, partition, error }) =>
      error === null ? [] : [{ topic, partition, code: error.code, message: error.message }],
    ),
  };
}

function renderElections(results: readonly PartitionResult[]): string {
  const failed = results.flatMap(({ error }) => (error === null ? [] : [error.message]));
  const elected = results.length - failed.length;
  const done =
    results.length === 0
      ? 'All partitions are led by their preferred leaders.'
      : `${countOf(elected, 'partition has', 'partitions have')} gone to preferred leaders.`;
  return [done, ...failed].join('\n');
}

function codeOfElections(results: readonly PartitionResult[]): ExitCode {
  return results.some(({ error }) => error !== null) ? ExitCode.partial : ExitCode.ok;
}
