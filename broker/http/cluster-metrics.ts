/** The metrics of the cluster, by name. docs/operations.md lists them with what to watch, and a test holds the two together. */
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { ClusterFigures } from '../cluster-figures.ts';

type Read = () => ClusterFigures;

/** A figure without labels. */
interface Plain {
  readonly name: string;
  readonly help: string;
  readonly of: (figures: ClusterFigures) => number;
}

/** `read` gives what was counted for the present answer. */
export function addClusterMetrics(registry: Registry, read: Read): void {
  for (const { name, help, of } of [...partitionGauges, ...clusterGauges, ...metadataGauges]) {
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers: [registry],
      collect: () => gauge.set(of(read())),
    });
  }
  for (const { name, help, of } of counters) {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [registry],
      collect: () => {
        counter.reset();
        counter.inc(of(read()));
      },
    });
  }
  addLags(registry, read);
  addTraffic(registry, read);
}

const partitionGauges: readonly Plain[] = [
  { name: 'kappalog_partitions_led', help: 'Partitions that this node leads.', of: ({ led }) => led },
  {
    name: 'kappalog_partitions_under_replicated',
    help: 'Partitions led here of whose replicas not all are in sync.',
    of: ({ underReplicated }) => underReplicated,
  },
  {
    name: 'kappalog_partitions_under_min_isr',
    help: 'Partitions led here that take no writes with acks=all, as fewer than min.insync.replicas are in sync.',
    of: ({ underMinIsr }) => underMinIsr,
  },
  {
    name: 'kappalog_raft_active_groups',
    help: 'Groups of this node that have something to do at the moment; idle ones cost nothing.',
    of: ({ activeGroups }) => activeGroups,
  },
];

const clusterGauges: readonly Plain[] = [
  {
    name: 'kappalog_cluster_partitions',
    help: 'Partitions of the whole cluster.',
    of: ({ clusterPartitions }) => clusterPartitions,
  },
  {
    name: 'kappalog_cluster_partitions_without_leader',
    help: 'Partitions of the whole cluster that have no leader, as this node sees it.',
    of: ({ withoutLeader }) => withoutLeader,
  },
  {
    name: 'kappalog_cluster_reassignments',
    help: 'Partitions of the whole cluster whose replicas are being moved.',
    of: ({ reassigning }) => reassigning,
  },
  {
    name: 'kappalog_cluster_nodes',
    help: 'Nodes that are registered in the cluster.',
    of: ({ nodes }) => nodes,
  },
  {
    name: 'kappalog_cluster_nodes_fenced',
    help: 'Registered nodes that are not there, or not ready.',
    of: ({ fencedNodes }) => fencedNodes,
  },
];

const metadataGauges: readonly Plain[] = [
  {
    name: 'kappalog_metadata_is_leader',
    help: 'Whether this node leads the metadata: 1 or 0.',
    of: ({ metadataIsLeader }) => Number(metadataIsLeader),
  },
  {
    name: 'kappalog_metadata_leader',
    help: 'The node that leads the metadata, as this one knows; -1 for none.',
    of: ({ metadataLeader }) => metadataLeader,
  },
  {
    name: 'kappalog_metadata_term',
    help: 'Term of the leader of the metadata.',
    of: ({ metadataTerm }) => metadataTerm,
  },
  {
    name: 'kappalog_metadata_high_watermark',
    help: 'Offset up to which this node knows the metadata log to be committed.',
    of: ({ metadataHighWatermark }) => metadataHighWatermark,
  },
  {
    name: 'kappalog_metadata_apply_lag_records',
    help: 'Committed records of metadata that this node has yet to apply.',
    of: ({ metadataApplyLag }) => metadataApplyLag,
  },
  {
    name: 'kappalog_coordinator_apply_lag_records',
    help: 'Committed records of groups and their offsets that the coordinators of this node have yet to apply.',
    of: ({ coordinatorApplyLag }) => coordinatorApplyLag,
  },
  {
    name: 'kappalog_coordinators_active',
    help: 'Partitions of __consumer_offsets whose groups this node coordinates.',
    of: ({ coordinators }) => coordinators.active,
  },
  {
    name: 'kappalog_coordinators_loading',
    help: 'Partitions of __consumer_offsets whose groups this node is to coordinate, and loads.',
    of: ({ coordinators }) => coordinators.loading,
  },
  {
    name: 'kappalog_coordinators_failed',
    help: 'Partitions of __consumer_offsets whose groups this node is to coordinate, and could not load or keep; it tries again.',
    of: ({ coordinators }) => coordinators.failed,
  },
  {
    name: 'kappalog_metadata_voters',
    help: 'Nodes that vote on metadata.',
    of: ({ metadataVoters }) => metadataVoters,
  },
];

const counters: readonly Plain[] = [
  {
    name: 'kappalog_elections_total',
    help: 'Leaderships of partitions that this node has taken.',
    of: ({ elections }) => elections.elections,
  },
  {
    name: 'kappalog_leaderless_total',
    help: 'Times that a replica of this node had lost its leader and found one again.',
    of: ({ elections }) => elections.gaps,
  },
  {
    name: 'kappalog_leaderless_seconds_total',
    help: 'Time that these replicas were without a leader.',
    of: ({ elections }) => elections.gapMs / 1000,
  },
  {
    name: 'kappalog_catch_up_sent_bytes_total',
    help: 'Bytes sent to new replicas, as records and as files.',
    of: ({ catchUp }) => catchUp.sent,
  },
  {
    name: 'kappalog_catch_up_received_bytes_total',
    help: 'Bytes of files that replicas of this node have copied from others.',
    of: ({ catchUp }) => catchUp.received,
  },
  {
    name: 'kappalog_peer_dropped_frames_total',
    help: 'Frames of consensus that could not be sent to other nodes, which are asked for again.',
    of: ({ framesDropped }) => framesDropped,
  },
];

function addLags(registry: Registry, read: Read): void {
  const kinds = [
    ['entries', 'Entries that a follower of this node lacks, in the partition where it lacks most.'],
    ['bytes', 'Bytes that a follower of this node lacks, about, in the partition where it lacks most.'],
    [
      'seconds',
      'Time since a follower that lacks something had everything, in the partition where it is longest.',
    ],
  ] as const;
  for (const [unit, help] of kinds) {
    const gauge: Gauge<'node' | 'role'> = new Gauge({
      name: `kappalog_follower_lag_${unit}`,
      help,
      labelNames: ['node', 'role'],
      registers: [registry],
      collect: () => {
        gauge.reset();
        for (const lag of read().lags) gauge.set({ node: lag.nodeId, role: lag.role }, lag[unit]);
      },
    });
  }
}

function addTraffic(registry: Registry, read: Read): void {
  const kinds = [
    ['kappalog_peer_sent_bytes_total', 'Bytes sent to another node.', 'sentBytes'],
    ['kappalog_peer_received_bytes_total', 'Bytes received from another node.', 'receivedBytes'],
    ['kappalog_peer_sent_frames_total', 'Frames sent to another node.', 'sentFrames'],
    ['kappalog_peer_received_frames_total', 'Frames received from another node.', 'receivedFrames'],
  ] as const;
  for (const [name, help, key] of kinds) {
    const counter: Counter<'node'> = new Counter({
      name,
      help,
      labelNames: ['node'],
      registers: [registry],
      collect: () => {
        counter.reset();
        for (const [node, traffic] of read().traffic) counter.inc({ node }, traffic[key]);
      },
    });
  }
}
