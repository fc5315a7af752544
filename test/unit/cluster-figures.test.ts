import { describe, expect, it } from 'vitest';
import { readClusterFigures } from '../../broker/cluster-figures.ts';
import type { ClusterFiguresOptions, CountedReplica } from '../../broker/cluster-figures.ts';
import { decideCreateTopics } from '../../broker/cluster/controller/create-topics.ts';
import { Leaderships } from '../../broker/cluster/partitions/leaderships.ts';
import { decideRegistrationChange } from '../../broker/cluster/controller/registration.ts';
import { decideReassignments } from '../../broker/cluster/controller/reassignments.ts';
import type { MemberProgress } from '../../broker/partition/replica-types.ts';
import { memberId } from '../../broker/raft/member.ts';
import { CountedYield } from '../../platform/counted-yield.ts';
import { carryOut, stateOf, topicNamed } from './cluster/cluster-fixtures.ts';

const members = [1, 2, 3].map((id) => memberId(id, 'd'));
const noCounts = { elections: 0, gaps: 0, gapMs: 0 };

/** Nodes 1 to 4 and the topic 't' with so many partitions on 1, 2 and 3; this is node 1. */
function clusterOf(partitionCount: number) {
  const state = stateOf({ nodes: [1, 2, 3, 4] });
  const assignments = Array.from({ length: partitionCount }, (_, partitionIndex) => ({
    partitionIndex,
    brokerIds: [1, 2, 3],
  }));
  const asked = topicNamed('t', { numPartitions: -1, replicationFactor: -1, assignments });
  carryOut(state, decideCreateTopics(state, [asked]));
  return { state, topicId: state.image.topic('t')!.id };
}

function progressOf(member: number, fields: Partial<MemberProgress>): MemberProgress {
  return {
    member: members[member - 1]!,
    isVoter: true,
    isInSync: true,
    heldEndIndex: 10,
    heldEndOffset: 10,
    lagEntries: 0,
    silentMs: 0,
    behindMs: 0,
    state: member === 1 ? 'leader' : 'replicate',
    ...fields,
  };
}

interface Shape {
  readonly isLeader?: boolean;
  readonly inSync?: number;
  readonly hasEnoughInSync?: boolean;
  readonly progress?: readonly MemberProgress[];
  readonly leaderNode?: number | undefined;
}

function replicaOf(topicId: string, partition: number, shape: Shape = {}): CountedReplica {
  const { isLeader = true, inSync = 3, hasEnoughInSync = true } = shape;
  return {
    topic: 't',
    partition,
    identity: { topicId },
    isLeader,
    leaderNode: 'leaderNode' in shape ? shape.leaderNode : 1,
    servesReads: isLeader,
    configuration: { voters: members, outgoing: [], learners: [], revision: 0 },
    acknowledgements: {
      inSyncMembers: () => members.slice(0, inSync),
      hasEnoughInSync,
      progress: () => shape.progress ?? members.map((_, at) => progressOf(at + 1, {})),
      bytesAfter: (offset) => (10 - offset) * 100,
    },
  };
}

function optionsOf(
  { state }: ReturnType<typeof clusterOf>,
  replicas: readonly CountedReplica[],
  leaderships = new Leaderships(),
): ClusterFiguresOptions & { readonly yielding: CountedYield } {
  const byPartition = new Map(replicas.map((replica) => [replica.partition, replica]));
  return {
    yielding: new CountedYield(),
    cluster: state,
    leaderships,
    storage: {
      partitions: { all: () => replicas, replica: (_, partition) => byPartition.get(partition) },
      metadata: {
        isLeader: true,
        leaderNode: 1,
        term: 4,
        highWatermark: state.image.endOffset + 3,
        configuration: { voters: members, outgoing: [], learners: [], revision: 0 },
      },
      consensus: { tickingGroups: 2 },
    },
    groups: { applyLagRecords: 6, shardCounts: { loading: 1, active: 2, failed: 3 } },
    watch: { counts: noCounts },
    network: undefined,
    copying: undefined,
  };
}

describe('the figures of a cluster', () => {
  it('count what this node leads, and who is behind', async () => {
    const cluster = clusterOf(4);
    const lagging = [
      progressOf(1, {}),
      progressOf(2, { lagEntries: 4, heldEndOffset: 6, behindMs: 2_500 }),
      progressOf(3, { lagEntries: 9, heldEndOffset: 1, behindMs: Infinity }),
    ];
    const replicas = [
      replicaOf(cluster.topicId, 0),
      replicaOf(cluster.topicId, 1, { inSync: 2, progress: lagging }),
      replicaOf(cluster.topicId, 2, {
        inSync: 1,
        hasEnoughInSync: false,
        progress: [progressOf(1, {}), progressOf(2, { lagEntries: 1, heldEndOffset: 9, behindMs: 8_000 })],
      }),
      replicaOf(cluster.topicId, 3, { isLeader: false, inSync: 0, leaderNode: 2 }),
    ];
    const figures = await readClusterFigures(optionsOf(cluster, replicas));
    expect(figures).toMatchObject({ led: 3, underReplicated: 2, underMinIsr: 1, withoutLeader: 0 });
    expect(figures.lags).toEqual([
      { nodeId: 2, role: 'voter', entries: 4, bytes: 400, seconds: 8 },
      { nodeId: 3, role: 'voter', entries: 9, bytes: 900, seconds: 0 },
    ]);
    expect(figures).toMatchObject({
      metadataIsLeader: true,
      metadataLeader: 1,
      metadataTerm: 4,
      metadataApplyLag: 3,
      coordinatorApplyLag: 6,
      coordinators: { loading: 1, active: 2, failed: 3 },
      metadataVoters: 3,
      activeGroups: 2,
    });
  });

  it('count the partitions of the cluster, those that move, and those without a leader that is there', async () => {
    const cluster = clusterOf(5);
    const { state, topicId } = cluster;
    const leaderships = new Leaderships();
    const epochOf = (id: number): number => state.image.brokers.get(id)!.epoch;
    for (const [partition, leader] of [1, 2].entries()) {
      const said = { term: 1, version: 1, inSync: [leader], revision: 0, epoch: epochOf(leader) };
      leaderships.merge({ topicId, partition, leader, ...said });
    }
    const reassignments = [{ topic: 't', partition: 1, replicas: [1, 2, 4] }];
    carryOut(state, decideReassignments(state, { reassignments, allowReplicationFactorChange: true }));
    const epoch = epochOf(2);
    carryOut(state, decideRegistrationChange(state, { nodeId: 2, epoch, fenced: true }));
    const replicas = [
      replicaOf(topicId, 3, { isLeader: false, leaderNode: undefined }),
      replicaOf(topicId, 4, { isLeader: false, leaderNode: 3 }),
    ];
    const figures = await readClusterFigures(optionsOf(cluster, replicas, leaderships));
    expect(figures).toMatchObject({ clusterPartitions: 5, reassigning: 1, nodes: 4 });
    // The leader of partition 1 is fenced, of 2 nothing is known, 3 has lost its leader.
    expect(figures).toMatchObject({ withoutLeader: 3, fencedNodes: 1 });
  });

  it('take a replica on a node that is fenced for one that is not in sync', async () => {
    const cluster = clusterOf(1);
    const { state, topicId } = cluster;
    const { epoch } = state.image.brokers.get(3)!;
    carryOut(state, decideRegistrationChange(state, { nodeId: 3, epoch, fenced: true }));
    const figures = await readClusterFigures(optionsOf(cluster, [replicaOf(topicId, 0)]));
    expect(figures).toMatchObject({ led: 1, underReplicated: 1 });
  });

  it('are counted in slices, between which others run', async () => {
    const cluster = clusterOf(1_000);
    const replicas = Array.from({ length: 1_000 }, (_, partition) => replicaOf(cluster.topicId, partition));
    const options = optionsOf(cluster, replicas);
    const figures = await readClusterFigures(options);
    expect([figures.led, figures.clusterPartitions]).toEqual([1_000, 1_000]);
    expect(options.yielding.turns).toBe(10);
  });
});
