/** `kappalog cluster status | nodes`: the cluster at a glance. */
import type { OngoingReassignment, TopicPartition } from '../../client/index.ts';
import { withClient } from '../client.ts';
import type { ClientOptions, CommandContext } from '../command-context.ts';
import { ExitCode } from '../exit-codes.ts';
import { countOf, formatBytes, formatCount, renderTable, type Column } from '../table.ts';
import { readCluster, type ClusterState, type NodeState } from './cluster-state.ts';
import { healthOf, type Health, type HealthStatus } from './health.ts';

/** Partitions that are named for people; machines get all. */
const namesShownMax = 10;

const exitCodes: Readonly<Record<HealthStatus, ExitCode>> = {
  healthy: ExitCode.ok,
  degraded: ExitCode.degraded,
  unavailable: ExitCode.unavailable,
};

const nodeColumns: readonly Column<NodeState>[] = [
  { title: 'node', cell: ({ id }) => id, align: 'right' },
  { title: 'address', cell: ({ host, port }) => `${host}:${port}` },
  { title: 'rack', cell: ({ rack }) => rack },
  { title: 'state', cell: stateOf },
  { title: 'leaders', cell: ({ leaders }) => leaders, align: 'right' },
  { title: 'replicas', cell: ({ replicas }) => replicas, align: 'right' },
  {
    title: 'size',
    cell: ({ sizeBytes }) => (sizeBytes === null ? null : formatBytes(sizeBytes)),
    align: 'right',
  },
  { title: 'metadata', cell: ({ metadataRole }) => metadataRole },
  { title: 'lag', cell: ({ metadataLag }) => metadataLag, align: 'right' },
];

/** Shows all of it; the exit code says whether the cluster is well. */
export async function showStatus(options: ClientOptions, context: CommandContext): Promise<ExitCode> {
  return withClient(options, async (client) => {
    const state = await readCluster(client.admin());
    const health = healthOf(state);
    context.output.result(statusDocument(state, health), () => renderStatus(state, health));
    return exitCodes[health.status];
  });
}

/** Shows the nodes alone. */
export async function showNodes(options: ClientOptions, context: CommandContext): Promise<void> {
  await withClient(options, async (client) => {
    const { nodes } = await readCluster(client.admin());
    context.output.result({ nodes }, () => renderTable(nodeColumns, nodes));
  });
}

/** What `-o json` prints. */
export function statusDocument(state: ClusterState, health: Health): object {
  const { clusterId, features, nodes, quorum, topicCount, partitions, reassignments } = state;
  const names = (list: readonly TopicPartition[]): object[] =>
    list.map(({ topic, partition }) => ({ topic, partition }));
  return {
    status: health.status,
    clusterId,
    features,
    nodes,
    metadata: {
      leader: quorum === null || quorum.leader < 0 ? null : quorum.leader,
      leaderEpoch: quorum?.leaderEpoch ?? null,
      highWatermark: quorum?.highWatermark ?? null,
      voters: quorum?.voters.map(({ id }) => id) ?? [],
      observers: quorum?.observers.map(({ id }) => id) ?? [],
      lagMax: lagMax(nodes),
      silentVoters: health.silentVoters,
      error: state.quorumError,
    },
    topics: topicCount,
    partitions: partitions.length,
    offline: names(health.offline),
    underMinInSync: names(health.underMinInSync),
    underReplicated: names(health.underReplicated),
    fencedNodes: health.fencedNodes,
    unansweringNodes: health.unansweringNodes,
    reassignments,
  };
}

/** What people read. */
export function renderStatus(state: ClusterState, health: Health): string {
  const { clusterId, nodes, features, reassignments } = state;
  const agreed = features.flatMap(({ name, level }) => (level === null ? [] : [`${name} ${level}`]));
  return [
    `Cluster ${clusterId} is ${health.status}.`,
    '',
    renderTable(nodeColumns, nodes),
    '',
    metadataLine(state, health),
    ...(agreed.length === 0 ? [] : [`Features: ${agreed.join(', ')}`]),
    partitionLine(state, health),
    ...problemLine('without a leader', health.offline),
    ...problemLine('with too few replicas in sync for acks=all', health.underMinInSync),
    ...problemLine('under-replicated', health.underReplicated),
    ...nodesLine('Nodes that are not heard of', health.fencedNodes),
    ...nodesLine('Nodes that do not answer', health.unansweringNodes),
    ...(reassignments.length === 0 ? [] : [reassignmentLine(reassignments)]),
  ].join('\n');
}

function stateOf({ fenced, answers, drained, replicas }: NodeState): string {
  const words = [
    fenced ? 'fenced' : answers ? 'up' : 'no answer',
    ...(drained ? [replicas === 0 ? 'drained' : 'draining'] : []),
  ];
  return words.join(', ');
}

function metadataLine({ quorum, quorumError, nodes }: ClusterState, { silentVoters }: Health): string {
  if (quorumError !== null) return `Metadata: not available. ${quorumError}`;
  if (quorum === null) return 'Metadata: the brokers do not tell.';
  const { leader, leaderEpoch, voters, observers } = quorum;
  const leads = leader < 0 ? 'nobody leads' : `node ${leader} leads in term ${leaderEpoch}`;
  const lag = lagMax(nodes);
  return [
    `Metadata: ${leads}; voters ${voters.map(({ id }) => id).join(', ')}`,
    ...(observers.length === 0 ? [] : [`observers ${observers.map(({ id }) => id).join(', ')}`]),
    ...(lag === null ? [] : [`${countOf(lag, 'entry', 'entries')} behind at most`]),
    ...(silentVoters.length === 0 ? [] : [`voters not heard of: ${silentVoters.join(', ')}`]),
  ].join('; ');
}

function lagMax(nodes: readonly NodeState[]): number | null {
  const lags = nodes.flatMap(({ metadataLag }) => (metadataLag === null ? [] : [metadataLag]));
  return lags.length === 0 ? null : Math.max(...lags);
}

function partitionLine(
  { partitions, topicCount }: ClusterState,
  { offline, underMinInSync, underReplicated, unansweringNodes }: Health,
): string {
  // Of a node that has only just fallen silent the cluster may not know yet.
  const problems = [offline, underMinInSync, underReplicated, unansweringNodes];
  const isWell = problems.every((list) => list.length === 0);
  const count = `${formatCount(partitions.length)} in ${countOf(topicCount, 'topic')}`;
  return `Partitions: ${count}${isWell && partitions.length > 0 ? ', all in sync' : ''}`;
}

function problemLine(problem: string, partitions: readonly TopicPartition[]): string[] {
  if (partitions.length === 0) return [];
  return [`  ${formatCount(partitions.length)} ${problem}: ${nameSome(partitions)}`];
}

function nodesLine(what: string, nodeIds: readonly number[]): string[] {
  return nodeIds.length === 0 ? [] : [`${what}: ${nodeIds.join(', ')}`];
}

function reassignmentLine(reassignments: readonly OngoingReassignment[]): string {
  return `Reassignments: ${formatCount(reassignments.length)} under way: ${nameSome(reassignments)}`;
}

/** The first of them. */
export function nameSome(partitions: readonly TopicPartition[]): string {
  const shown = partitions.slice(0, namesShownMax).map(({ topic, partition }) => `${topic}-${partition}`);
  const more = partitions.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${formatCount(more)} more` : shown.join(', ');
}
