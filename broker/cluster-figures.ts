/**
 * What the metrics show of the cluster: the partitions that this node leads, those of the whole cluster as it sees them, the metadata group,
 * and what goes between nodes. All of it is counted when somebody asks, in slices between which others run: a node with ten thousand
 * partitions answers its clients meanwhile.
 */
import type { Yield } from '../platform/yield.ts';
import { isStanding } from './cluster/partitions/leaderships.ts';
import type { Leaderships } from './cluster/partitions/leaderships.ts';
import type { MetadataImage, TopicImage } from './cluster/metadata/metadata-image.ts';
import { isReassigning, targetOf } from './cluster/controller/reassignments.ts';
import type { GroupService } from './groups/group-service.ts';
import type { LeadershipCounts } from './partition/leadership-watch.ts';
import type { MemberProgress } from './partition/replica-types.ts';
import type { PeerTraffic } from './peers/peer-traffic.ts';
import type { Configuration } from './raft/configuration.ts';
import { nodeOf } from './raft/member.ts';
import type { MemberId } from './raft/member.ts';

/** What of a replica is counted. */
export interface CountedReplica {
  readonly topic: string;
  readonly partition: number;
  readonly identity: { readonly topicId: string };
  readonly isLeader: boolean;
  readonly leaderNode: number | undefined;
  readonly servesReads: boolean;
  readonly configuration: Configuration;
  readonly acknowledgements: {
    inSyncMembers(): readonly MemberId[];
    readonly hasEnoughInSync: boolean;
    progress(): readonly MemberProgress[];
    bytesAfter(offset: number): number;
  };
}

export interface CountedMetadata {
  readonly isLeader: boolean;
  readonly leaderNode: number | undefined;
  readonly term: number;
  readonly highWatermark: number;
  readonly configuration: Configuration;
}

export interface ClusterFiguresOptions {
  readonly yielding: Yield;
  readonly cluster: { readonly image: MetadataImage };
  readonly leaderships: Pick<Leaderships, 'of'>;
  readonly storage: CountedStorage;
  readonly groups: Pick<GroupService, 'applyLagRecords' | 'shardCounts'>;
  readonly watch: { readonly counts: LeadershipCounts };
  /** Both undefined where there are no other nodes. */
  readonly network: CountedNetwork | undefined;
  readonly copying: CountedCopying | undefined;
}

export interface CountedStorage {
  readonly partitions: {
    all(): Iterable<CountedReplica>;
    replica(topic: string, partition: number): CountedReplica | undefined;
  };
  readonly metadata: CountedMetadata;
  readonly consensus: { readonly tickingGroups: number };
}

export interface CountedNetwork {
  readonly counters: { readonly framesDropped: number };
  readonly traffics: { all(): ReadonlyMap<number, PeerTraffic> };
}

export interface CountedCopying {
  readonly sending: { readonly sentBytes: number };
  readonly copiedBytes: number;
}

export interface CatchUpBytes {
  /** To members that do not vote yet, and files that this node's replicas have copied. */
  readonly sent: number;
  readonly received: number;
}

/** The largest over all partitions that this node leads. */
export interface FollowerLag {
  readonly nodeId: number;
  readonly role: 'voter' | 'learner';
  entries: number;
  bytes: number;
  /** Since it had everything; of one that never had, nothing is told. */
  seconds: number;
}

export interface ClusterFigures {
  readonly led: number;
  readonly underReplicated: number;
  readonly underMinIsr: number;
  /** For each node that follows this one in some group. */
  readonly lags: readonly FollowerLag[];
  readonly clusterPartitions: number;
  readonly withoutLeader: number;
  readonly reassigning: number;
  readonly nodes: number;
  readonly fencedNodes: number;
  readonly metadataIsLeader: boolean;
  /** A node id, or -1. */
  readonly metadataLeader: number;
  readonly metadataTerm: number;
  readonly metadataHighWatermark: number;
  readonly metadataApplyLag: number;
  readonly metadataVoters: number;
  readonly coordinatorApplyLag: number;
  readonly coordinators: GroupService['shardCounts'];
  readonly elections: LeadershipCounts;
  readonly activeGroups: number;
  readonly traffic: ReadonlyMap<number, PeerTraffic>;
  readonly framesDropped: number;
  readonly catchUp: CatchUpBytes;
}

/** Partitions of one slice: less than a millisecond. */
const sliceLength = 200;

export async function readClusterFigures(options: ClusterFiguresOptions): Promise<ClusterFigures> {
  const replicas = await replicaFigures(options);
  const partitions = await partitionFigures(options);
  const { storage, network, copying } = options;
  const { metadata } = storage;
  const { brokers, endOffset } = options.cluster.image;
  return {
    ...replicas,
    ...partitions,
    nodes: brokers.size,
    fencedNodes: [...brokers.values()].filter(({ fenced }) => fenced).length,
    metadataIsLeader: metadata.isLeader,
    metadataLeader: metadata.leaderNode ?? -1,
    metadataTerm: metadata.term,
    metadataHighWatermark: metadata.highWatermark,
    metadataApplyLag: Math.max(0, metadata.highWatermark - endOffset),
    metadataVoters: metadata.configuration.voters.length,
    coordinatorApplyLag: options.groups.applyLagRecords,
    coordinators: options.groups.shardCounts,
    elections: options.watch.counts,
    activeGroups: storage.consensus.tickingGroups,
    traffic: network?.traffics.all() ?? new Map<number, PeerTraffic>(),
    framesDropped: network?.counters.framesDropped ?? 0,
    catchUp: { sent: copying?.sending.sentBytes ?? 0, received: copying?.copiedBytes ?? 0 },
  };
}

type ReplicaFigures = Pick<ClusterFigures, 'led' | 'underReplicated' | 'underMinIsr' | 'lags'>;

async function replicaFigures(options: ClusterFiguresOptions): Promise<ReplicaFigures> {
  const { cluster, storage, yielding } = options;
  const figures = { led: 0, underReplicated: 0, underMinIsr: 0 };
  const lags = new Map<string, FollowerLag>();
  const isFenced = (member: MemberId): boolean => cluster.image.brokers.get(nodeOf(member))?.fenced === true;
  let seen = 0;
  for (const replica of storage.partitions.all()) {
    if (++seen % sliceLength === 0) await yielding.turn();
    if (!replica.isLeader) continue;
    const { acknowledgements, configuration, identity, partition } = replica;
    const wanted = cluster.image.topicById(identity.topicId)?.partitions[partition];
    const wantedCount = wanted === undefined ? configuration.voters.length : targetOf(wanted).length;
    figures.led++;
    // One that is fenced is not there, though its leader still gives it time.
    const inSync = acknowledgements.inSyncMembers().filter((member) => !isFenced(member));
    if (inSync.length < wantedCount) figures.underReplicated++;
    if (!acknowledgements.hasEnoughInSync) figures.underMinIsr++;
    if (configuration.voters.length + configuration.learners.length > 1) addLags(lags, replica);
  }
  return { ...figures, lags: [...lags.values()] };
}

function addLags(lags: Map<string, FollowerLag>, { acknowledgements }: CountedReplica): void {
  for (const { member, isVoter, state, lagEntries, heldEndOffset, behindMs } of acknowledgements.progress()) {
    if (state === 'leader') continue;
    const nodeId = nodeOf(member);
    const role = isVoter ? 'voter' : 'learner';
    const key = `${nodeId} ${role}`;
    const lag = lags.get(key) ?? { nodeId, role, entries: 0, bytes: 0, seconds: 0 };
    lags.set(key, lag);
    if (lagEntries <= 0) continue;
    lag.entries = Math.max(lag.entries, lagEntries);
    lag.bytes = Math.max(lag.bytes, acknowledgements.bytesAfter(heldEndOffset));
    if (Number.isFinite(behindMs)) lag.seconds = Math.max(lag.seconds, behindMs / 1000);
  }
}

type PartitionFigures = Pick<ClusterFigures, 'clusterPartitions' | 'withoutLeader' | 'reassigning'>;

async function partitionFigures(options: ClusterFiguresOptions): Promise<PartitionFigures> {
  const { cluster, yielding } = options;
  const figures = { clusterPartitions: 0, withoutLeader: 0, reassigning: 0 };
  // Topics of the image may be kept across a turn; those that come meanwhile are counted or not.
  for (const topic of cluster.image.topics()) {
    for (const partition of topic.partitions) {
      if (++figures.clusterPartitions % sliceLength === 0) await yielding.turn();
      if (isReassigning(partition)) figures.reassigning++;
      if (!hasLeader(options, topic, partition.index)) figures.withoutLeader++;
    }
  }
  return figures;
}

/** A replica of this node knows best; of others this node has heard. */
function hasLeader(
  { cluster, leaderships, storage }: ClusterFiguresOptions,
  topic: TopicImage,
  index: number,
) {
  const own = storage.partitions.replica(topic.name, index);
  if (own?.identity.topicId === topic.id) return own.servesReads || own.leaderNode !== undefined;
  return isStanding(leaderships.of(topic.id, index), cluster.image.brokers);
}
