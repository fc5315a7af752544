/** How far the groups that a node coordinates are behind: the watch over them, what it asks of other nodes, and what HTTP shows of it. */
import type { Clock } from '../platform/clock.ts';
import type { Cluster } from './cluster/cluster.ts';
import { isStanding } from './cluster/partitions/leaderships.ts';
import type { Leaderships } from './cluster/partitions/leaderships.ts';
import { fromJson, toJson } from './cluster/peer-json.ts';
import type { BrokerConfig } from './config/broker-config.ts';
import type { AnyGroup } from './groups/any-group.ts';
import { ConsumerGroup } from './groups/consumer/consumer-group.ts';
import { groupsTopic } from './groups/group-service.ts';
import type { GroupService } from './groups/group-service.ts';
import { GroupLags } from './groups/lag/group-lags.ts';
import { findLags, lagKind } from './groups/lag/lag-questions.ts';
import type { AskedPartition, FoundPartition, LaggedReplica } from './groups/lag/lag-questions.ts';
import type { DescribedGroup, GroupAnswer, GroupSummary, GroupsView } from './http/groups-view.ts';
import type { PeerNetwork } from './peers/peer-network.ts';

/** How long a leader may take to answer. */
const askTimeoutMs = 5_000;

export interface NodeGroupLagsOptions {
  readonly nodeId: number;
  readonly clock: Clock;
  readonly config: BrokerConfig;
  readonly cluster: Cluster;
  readonly groups: GroupService;
  readonly leaderships: Leaderships;
  readonly partitions: { replica(topic: string, partition: number): LaggedReplica | undefined };
  /** Undefined where there are no other nodes. */
  readonly network: PeerNetwork | undefined;
}

export interface NodeGroupLags {
  readonly lags: GroupLags;
  readonly view: GroupsView;
}

export function openGroupLags(options: NodeGroupLagsOptions): NodeGroupLags {
  const { nodeId, clock, config, cluster, groups, leaderships, partitions, network } = options;
  const find = (asked: readonly AskedPartition[]): Promise<FoundPartition[]> =>
    findLags(asked, (topic, partition) => partitions.replica(topic, partition));
  network?.serve(lagKind, async ({ payload }) => [toJson(await find(fromJson<AskedPartition[]>(payload)))]);
  const leaderOf = (topicId: string, partition: number): number | undefined => {
    const said = leaderships.of(topicId, partition);
    return isStanding(said, cluster.image.brokers) ? said.leader : undefined;
  };
  const lags = new GroupLags({
    clock,
    intervalMs: config.kappalogGroupLagIntervalMs,
    partitionsMax: config.kappalogGroupLagPartitions,
    groups: () => groups.coordinated(),
    topicId: (topic) => cluster.image.topic(topic)?.id,
    leaderOf,
    ask: async (leader, asked) => {
      if (leader === nodeId || network === undefined) return find(asked);
      const answer = await network.request(leader, lagKind, [toJson(asked)], { timeoutMs: askTimeoutMs });
      return fromJson<FoundPartition[]>(answer);
    },
  });
  const coordinatorOf = (groupId: string): number | undefined => {
    const topic = cluster.image.topic(groupsTopic);
    return topic && leaderOf(topic.id, groups.partitionFor(groupId));
  };
  return { lags, view: viewOf({ groups, lags, coordinatorOf }) };
}

interface Viewed {
  readonly groups: GroupService;
  readonly lags: GroupLags;
  readonly coordinatorOf: (groupId: string) => number | undefined;
}

function viewOf({ groups, lags, coordinatorOf }: Viewed): GroupsView {
  return {
    leftOut: () => lags.leftOut,
    lags: () => lags.all(),
    *all(): Generator<GroupSummary> {
      for (const group of groups.coordinated()) {
        const { partitions: _, ...lag } = lags.of(group.groupId) ?? { partitions: [] };
        yield { ...summaryOf(group), lag: 'lagRecords' in lag ? lag : null };
      }
    },
    one(groupId: string): GroupAnswer {
      const state = groups.stateOf(groups.partitionFor(groupId));
      if (state === 'loading' || state === 'failed') return { kind: 'loading' };
      const coordinator = coordinatorOf(groupId);
      if (state !== 'active') return { kind: 'elsewhere', coordinator: coordinator ?? null };
      const group = groups.coordinatedGroup(groupId);
      if (group === undefined) return { kind: 'unknown' };
      return {
        kind: 'found',
        group: { ...summaryOf(group), members: membersOf(group), lag: lags.of(groupId) ?? null },
      };
    },
  };
}

function summaryOf(group: AnyGroup): Omit<GroupSummary, 'lag'> {
  const { groupId, state } = group;
  const protocol = group instanceof ConsumerGroup ? 'consumer' : 'classic';
  return { groupId, protocol, state, memberCount: group.members.size };
}

function membersOf(group: AnyGroup): DescribedGroup['members'] {
  const members: DescribedGroup['members'][number][] = [];
  for (const member of group.members.values()) {
    const { memberId, clientId, clientHost } = member;
    const instanceId = 'instanceId' in member ? member.instanceId : member.groupInstanceId;
    members.push({ memberId, instanceId, clientId, clientHost });
  }
  return members;
}
